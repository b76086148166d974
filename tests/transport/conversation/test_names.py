"""The name of a connection."""

from .apps import app_of, names_in


async def test_a_connection_is_named_by_its_request(supervise):
    seen = []

    def name_connection(request):
        return request.headers.get("host") + "\ud800"

    def on_connection_opened(session_context, connection):
        seen.append(connection.name)

    async with supervise(app_of(name_connection=name_connection, on_connection_opened=on_connection_opened)) as running:
        session = await running.new_session()
        client = await session.connect()
        await client.until_present(len)
        assert seen == names_in(client.presence["session"]) == [session.context.connections[0].name] == ["localhost?"]


async def test_a_connection_whose_name_fails_has_none(supervise):
    def name_connection(request):
        raise LookupError("swordfish")

    async with supervise(app_of(name_connection=name_connection)) as running:
        session = await running.new_session()
        await session.connect()
        assert session.context.connections[0].name is None
        assert [incident.what for incident in running.incidents] == ["name_connection"]
        running.incidents.clear()
