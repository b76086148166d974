"""An app whose handlers fail as they are told to, and which tells the story of its session."""

from supervisor.actor.restart import Backoff, FailurePolicy
from supervisor.session.receivers import receives

PAUSE = Backoff(first=1, longest=60, jitter=0)
RESTART = FailurePolicy(directive="restart", backoff=PAUSE)


class Call:
    """Makes the handler call `func(doc)`, plain or async."""

    def __init__(self, func):
        self.func = func

    def __repr__(self):
        return "Call(…)"


class Fail(Exception):
    pass


class Log:
    def __init__(self, text):
        self.text = text


class Break:
    """Its handler raises."""


class Stop(Break):
    pass


class Restart(Break):
    pass


@receives(Call)
def on_call(doc, message):
    return message.func(doc)


@receives(Log)
def on_log(doc, message):
    doc.data["log"].append(message.text)


@receives(Break)
@receives(Stop, on_failure="stop")
@receives(Restart, on_failure="restart")
def on_break(doc, message):
    doc.data["log"].append("lost")
    raise Fail(type(message).__name__)


class App(dict):
    """A namespace that tells the story of its session."""

    def __init__(self, policy=None, **more):
        super().__init__(on_call=on_call, on_log=on_log, on_break=on_break, failure_policy=policy)
        self.story = story = []

        def on_session_created(session_context):
            story.append("created")
            session_context.document.data["by hook"] = ["made"]

        def modify_document(doc):
            story.append("modify")
            doc.data["log"] = []

        def on_session_failed(session_context, error):
            story.append(f"failed {error}")

        def on_session_destroyed(session_context):
            story.append("destroyed")

        self.update(
            on_session_created=on_session_created,
            modify_document=modify_document,
            on_session_failed=on_session_failed,
            on_session_destroyed=on_session_destroyed,
        )
        self.update(more)


class Audience:
    """Hears what a session shows."""

    def __init__(self, session):
        self.session = session
        self.heard = []

    def committed(self, patch):
        self.heard.append(patch.revision)

    def editable(self, patterns):
        self.heard.append(patterns)

    def restarting(self, pause):
        self.heard.append(("restarting", pause))

    def renewed(self, patterns):
        self.heard.append((self.session.epoch, self.session.stored.revision, self.session.stored.snapshot(), patterns))


def listen(app, session):
    actor = app.actor.find(session.id)
    actor.audience = Audience(actor)
    return actor.audience.heard


async def log_of(session):
    async with session.locked_document() as doc:
        return list(doc.data["log"])
