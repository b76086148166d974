"""A document with a hundred thousand values."""


def modify_document(doc):
    doc.data = {
        "rows": [{"name": f"row {number}", "cells": [number, number * 2, number * 3]} for number in range(20_000)],
        "ticks": 0,
    }
    doc.add_periodic_callback(tick, doc, seconds=0.2)


def tick(doc):
    doc.data["ticks"] += 1
