import trio


async def fetch_data_from_remote_source():
    """Stands for a source of yours."""
    await trio.sleep(1)
    return 21.5


async def listen_for_changes(app_context):
    while True:
        new_data = await fetch_data_from_remote_source()
        for session_context in app_context.sessions:
            async with session_context.locked_document() as doc:
                doc.data["foo"].append(new_data)


def on_application_load(app_context):
    app_context.add_callback(lambda: listen_for_changes(app_context))
