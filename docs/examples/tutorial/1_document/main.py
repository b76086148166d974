"""A shopping list: each visitor has one."""


def modify_document(doc):
    doc.data = {"items": ["milk", "bread"]}
