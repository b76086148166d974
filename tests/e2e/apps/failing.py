"""Has a hook that fails."""


def on_session_created(session_context):
    raise RuntimeError("the secret of the database is hunter2")


def modify_document(doc):
    raise AssertionError("a session whose hook failed is not built")
