"""Documents: observed state, transactions and patches. Pure."""
