def check_signature(session_id):
    """Stands for a check of yours."""
    return "forged" not in session_id


def on_session_created(session_context):
    if not check_signature(session_context.id):
        session_context.destroy()
