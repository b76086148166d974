"""Who may come in: visitors with a cookie that the site's login page has signed."""

import hashlib
import hmac
import os

from supervisor import SessionRefused

KEY = os.environ.get("LOGIN_KEY", "only for trying it out").encode()


def sign(name):
    """What the login page puts into the cookie `member`."""
    return f"{name}.{hmac.new(KEY, name.encode(), hashlib.sha256).hexdigest()}"


def find_member(request):
    """Who asks; None if the cookie isn't one that the login page made."""
    cookie = request.cookies.get("member", "")
    name = cookie.rpartition(".")[0]
    return name if name and hmac.compare_digest(cookie.encode(), sign(name).encode()) else None


def on_session_created(session_context):
    """Asked once for each session, before anything is built."""
    if find_member(session_context.request) is None:
        raise SessionRefused("Please log in first.")


def on_connection_opened(session_context, connection):
    """Asked whenever a page attaches, also when it comes back: with the cookies of that moment."""
    if find_member(connection.request) != find_member(session_context.request):
        raise SessionRefused("This session belongs to somebody else. Please log in again.")


def name_connection(request):
    """What others see as this visitor's name, where they see one."""
    return find_member(request)


def modify_document(doc):
    doc.data = {"member": find_member(doc.session_context.request)}
