"""Handlers that block a thread, with the document lent to it."""

import time

import attrs
import small

from supervisor import receives

small.count_hooks(globals())
add = receives(small.Add, from_client=True)(small.on_add)
modify_document = small.build


@attrs.frozen
class Block:
    """Put a label into the log, block the thread, and fail if told so."""

    label: str
    seconds: float
    fails: bool = False


@receives(Block, from_client=True, thread=True)
def on_block(doc, message):
    doc.data["log"].append(message.label)
    time.sleep(message.seconds)
    if message.fails:
        raise ValueError("a thread was to raise")
    return message.label
