import trio


async def fetch_data_from_remote_source():
    """Stands for a source of yours."""
    await trio.sleep(1)
    return 21.5


def apply_changes(doc, new_data):
    doc.data["foo"].append(new_data)


async def listen_for_changes(app_context):
    while True:
        new_data = await fetch_data_from_remote_source()
        for session_context in app_context.sessions:
            doc = session_context.document
            doc.add_callback(apply_changes, doc, new_data)


def on_application_load(app_context):
    app_context.add_callback(lambda: listen_for_changes(app_context))
