"""The app that most tests here serve, and what is looked at in answers and logs."""

import html
import json
import re

COUNTER = """
    import attrs

    from supervisor import receives


    @attrs.frozen
    class Add:
        number: int


    @receives(Add, from_client=True)
    def on_add(doc, message):
        doc.data["sum"] += message.number
        return doc.data["sum"]


    def modify_document(doc):
        doc.data["sum"] = 0
"""


def read_page(answer):
    """What the page tells the browser client."""
    return json.loads(html.unescape(re.search(r'<meta name="supervisor" content="([^"]*)">', answer.text)[1]))


def assert_served(fetch, url):
    for asked in (url, f"{url}?", f"{url}?a=b&session_no=1"):
        answer = fetch(asked)
        assert answer.status == 200, asked
        assert answer.headers["content-type"].startswith("text/html")
    assert fetch(url, method="HEAD").status == 200


def assert_structured(stderr):
    for line in stderr.splitlines():
        assert re.search(r"\bapplication=\S+ session=\S+", line), line
