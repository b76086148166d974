"""Lets nobody in, and says why."""


def on_session_created(session_context):
    session_context.destroy(reason="Visits are on Tuesdays.")


def modify_document(doc):
    raise AssertionError("a refused session is not built")
