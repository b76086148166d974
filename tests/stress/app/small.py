"""What the small apps of the suite share with the work app: hooks that count, and a document with a log."""

import attrs
import ledger


@attrs.frozen
class Add:
    """Put a label into the log."""

    label: str
    who: str


def on_add(doc, message):
    doc.data["log"].append(message.label)
    return len(doc.data["log"])


def build(doc):
    """Not counted, since a session that is restarted is built again."""
    doc.data.update(log=[], counters={}, tick=0)


def count_hooks(namespace):
    """Put the lifecycle hooks into an app's namespace."""

    def on_application_load(app_context):
        ledger.work = app_context
        app_context.state.producers = {}

    def on_session_created(session_context):
        ledger.note(session_context.id, "created")

    def on_session_destroyed(session_context):
        ledger.note(session_context.id, "destroyed")

    def on_connection_opened(session_context, connection):
        ledger.note(session_context.id, "opened")

    def on_connection_closed(session_context, connection):
        ledger.note(session_context.id, "closed")

    namespace.update({name: value for name, value in locals().items() if name.startswith("on_")})
