"""Sign a session's id for a link, in a program that shares the key with the server and knows nothing else of it."""

import base64
import hmac
import time


def sign_session_id(name, secret_key, *, max_age):
    key = hmac.digest(secret_key, b"session id", "sha256")
    text = f"{name}.{int(time.time() + max_age)}"
    signature = hmac.digest(key, text.encode(), "sha256")
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
