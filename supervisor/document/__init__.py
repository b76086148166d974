"""Documents: observed state, transactions and patches. Pure.

- what every kind of document is: `base`
- the kind that there is: `json_document`, its containers `observed_dict` and `observed_list`, what they take, `values`,
  and its transaction, `journal`; lent to a thread: `committed`
- RFC 6901 and 6902: `pointer`, `patch`; what clients wish: `edit`
"""
