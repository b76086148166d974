"""An app whose work takes long: once in a thread that holds the document, once beside the session, which goes on."""

import time

import attrs
import trio

from supervisor import in_thread, receives


@attrs.frozen
class Measure:
    pass


@attrs.frozen
class Render:
    pages: int


@attrs.frozen
class Rendered:
    page: str


def read_instrument():
    """Stands for a call that blocks its thread."""
    time.sleep(0.05)
    return 21.5


def render_page(number):
    """Stands for work that takes long."""
    time.sleep(0.05)
    return f"page {number}"


@in_thread
def modify_document(doc):
    doc.data = {"celsius": read_instrument(), "rounds": 0, "pages": []}


@receives(Measure, from_client=True, thread=True)
def on_measure(doc, message):
    for _ in range(3):
        doc.data["celsius"] = read_instrument()
        doc.data["rounds"] += 1
        doc.commit()  # visitors see each round


@receives(Render, from_client=True)
def on_render(doc, message):
    doc.data["pages"] = []
    doc.session_context.start_soon(render, doc.session_context, message.pages)


async def render(session_context, pages):
    """Runs beside the session, and ends with it. It doesn't hold the document."""
    for number in range(1, pages + 1):
        page = await trio.to_thread.run_sync(render_page, number, abandon_on_cancel=True)
        await session_context.tell(Rendered(page))


@receives(Rendered)
def on_rendered(doc, message):
    doc.data["pages"].append(message.page)
