"""The app of several tests: a handler that does what a test says, and a log that outlives the session."""

from supervisor.session.receivers import receives


class Call:
    """Makes the handler call `func(doc)`, plain or async."""

    def __init__(self, func):
        self.func = func


class Log:
    """Appends to the document's log."""

    def __init__(self, text):
        self.text = text


@receives(Call)
def on_call(doc, message):
    return message.func(doc)


@receives(Log)
def on_log(doc, message):
    doc.data["log"].append(message.text)


def modify_document(doc):
    doc.data["log"] = []


class App(dict):
    """A namespace whose destroyed hook keeps what the document was at the end."""

    def __init__(self, **more):
        super().__init__(on_call=on_call, on_log=on_log, modify_document=modify_document)
        self.last = []
        self["on_session_destroyed"] = lambda session: self.last.append(list(session.document.data["log"]))
        self.update(more)
