"""The three kinds of callbacks of a document."""


def greet(doc):
    doc.data["greeting"] = "hello"


def close_counter(doc):
    doc.data["open"] = False


def count(doc):
    doc.data["seconds"] += 0.5


def stop_counting(doc, handle):
    doc.remove_callback(handle)


def modify_document(doc):
    doc.data = {"greeting": None, "open": True, "seconds": 0.0}
    doc.add_next_tick_callback(greet, doc)  # soon; add_callback is another name of it
    doc.add_timeout_callback(close_counter, doc, seconds=5)  # once
    handle = doc.add_periodic_callback(count, doc, seconds=0.5)  # again and again
    doc.add_timeout_callback(stop_counting, doc, handle, seconds=5.2)
