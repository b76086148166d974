"""A document of ten thousand values, which are nowhere many together."""


def modify_document(doc):
    doc.data = {f"part {part}": {f"value {value}": part * value for value in range(50)} for part in range(200)}
