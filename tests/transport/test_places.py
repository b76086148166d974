"""Code of an app that works on what a client has sent is named too. All other code: test_places.py of application."""

import threading

import attrs

from supervisor.application.handlers import Application, NamespaceHandler
from supervisor.session.receivers import receives
from supervisor.transport.places import STACKS

FOUND = []


def look(*_):
    """What another thread sees of this one, just now."""
    here = threading.get_ident()
    thread = threading.Thread(target=lambda: FOUND.append(STACKS.read(here)))
    thread.start()
    thread.join()


@attrs.frozen
class Checked:
    value: int = attrs.field(validator=look)


async def test_a_validator_of_a_message(supervise):
    @receives(Checked, from_client=True)
    def on_checked(doc, message):
        pass

    application = Application(NamespaceHandler({"on_checked": on_checked}, where="app"), name="app")
    async with supervise(application) as running:
        session = await running.new_session()
        await (await session.connect()).send("Checked", value=1)
    (found,) = FOUND
    assert (found.application, found.what) == ("app", "fields of message Checked of a client")
    assert session.id.startswith(found.session)
    assert found.where.startswith("look, line ")
