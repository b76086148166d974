def modify_document(doc):
    doc.data = {"foo": []}
