"""One board for everybody, with the names of those who look at it."""

from supervisor import SessionRefused

BLOCKED = {"mallory"}


def on_application_load(app_context):
    app_context.share_presence()


def choose_session_id(request):
    return "board"


def name_connection(request):
    return request.headers.get("x-remote-user")  # as a proxy sets it, that has asked for a password


def modify_document(doc):
    doc.data = {"visits": 0, "last": None}


def on_connection_opened(session_context, connection):
    if connection.name in BLOCKED:
        raise SessionRefused("You were blocked.")
    session_context.document.data["visits"] += 1


def on_connection_closed(session_context, connection):
    session_context.document.data["last"] = connection.name
