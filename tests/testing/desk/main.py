"""What a visitor of the desk sees."""


def modify_document(doc):
    doc.data["price"] = doc.session_context.application.state.first
