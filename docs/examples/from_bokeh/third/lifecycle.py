import trio

told = []


async def notify_my_load_balancer(session_id):
    """Stands for a request to a balancer of yours."""
    await trio.sleep(0.1)
    told.append(session_id)


async def on_session_created(session_context):
    await notify_my_load_balancer(session_context.id)
