"""Draws the life of a session from the table that the server lives by; run it when the table has changed.

python docs/drawings/lifecycle.py
"""

import math
from collections import defaultdict
from pathlib import Path

from supervisor.session.lifecycle import _TABLE, State

FILE = Path(__file__).with_name("lifecycle.svg")
WIDTH, HEIGHT, BOX_WIDTH, BOX_HEIGHT = 880, 420, 120, 48
CENTRES = {
    State.CREATING: (65, 85),
    State.WAITING: (275, 85),
    State.ACTIVE: (495, 85),
    State.LINGERING: (800, 85),
    State.FINISHING: (775, 225),
    State.DRAINING: (400, 340),
    State.DESTROYED: (690, 340),
}
APART = 9
"""Half the distance of two lines that lead to and fro."""

HEAD = f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="lifecycle-title"
     font-family="inherit" font-size="14" text-anchor="middle" fill="currentColor">
<title id="lifecycle-title">The states of a session, and what leads from one to the next; the table below says the same
</title>
<defs><marker id="lifecycle-arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">
<path d="M0 0 8 4 0 8z"/></marker></defs>
"""


def draw():
    """The drawing, as SVG."""
    ways = defaultdict(list)
    for (state, event), (following, _) in _TABLE.items():
        ways[state, following].append(event.value)
    lines, labels = [], []
    for (start, end), events in ways.items():
        text = ", ".join(events)
        path, place = _loop(start) if start is end else _line(start, end, is_double=(end, start) in ways)
        lines.append(f'<path d="{path}" marker-end="url(#lifecycle-arrow)"/>')
        labels.append(f'<text x="{place[0]:.0f}" y="{place[1]:.0f}">{text}</text>')
    boxes = []
    for state in State:
        x, y = CENTRES[state]
        left, top = x - BOX_WIDTH / 2, y - BOX_HEIGHT / 2
        boxes.append(f'<rect x="{left:g}" y="{top:g}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="8"/>')
        labels.append(f'<text x="{x}" y="{y + 5}" class="state">{state.value}</text>')
    return (
        HEAD
        + _group('fill="none" stroke="currentColor" stroke-width="1.3"', lines)
        + _group('class="box" stroke="currentColor" stroke-width="1.3"', boxes)
        + _group('class="label"', labels)
        + "</svg>\n"
    )


def _group(attributes, elements):
    return f"<g {attributes}>\n" + "\n".join(elements) + "\n</g>\n"


def _line(start, end, *, is_double):
    """A straight line from one box to another, and where its label stands."""
    (x1, y1), (x2, y2) = CENTRES[start], CENTRES[end]
    length = math.hypot(x2 - x1, y2 - y1)
    along = ((x2 - x1) / length, (y2 - y1) / length)
    if is_double:
        shift = (along[1] * APART, -along[0] * APART)
        x1, y1, x2, y2 = x1 + shift[0], y1 + shift[1], x2 + shift[0], y2 + shift[1]
    reach = _to_border(along)
    a = (x1 + along[0] * reach, y1 + along[1] * reach)
    b = (x2 - along[0] * (reach + 3), y2 - along[1] * (reach + 3))
    middle = ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2)
    if abs(along[1]) < 0.01:  # along the row: above the line, or below the one that leads back
        place = (middle[0], middle[1] + (18 if along[0] < 0 else -8))
    else:
        place = (middle[0], middle[1] + 5)
    return f"M{a[0]:.0f} {a[1]:.0f} {b[0]:.0f} {b[1]:.0f}", place


def _to_border(along):
    """How far it is from a box's centre to its border in this direction."""
    across = BOX_WIDTH / 2 / abs(along[0]) if along[0] else math.inf
    down = BOX_HEIGHT / 2 / abs(along[1]) if along[1] else math.inf
    return min(across, down)


def _loop(state):
    """A way from a box back to it: above the upper row, below the lower one."""
    x, y = CENTRES[state]
    out = -1 if y < HEIGHT / 2 else 1
    edge = y + out * BOX_HEIGHT / 2
    path = f"M{x - 22} {edge:g}C{x - 30} {edge + out * 38:g} {x + 30} {edge + out * 38:g} {x + 22} {edge + out * 3:g}"
    return path, (x, edge + out * 30 + (-6 if out < 0 else 16))


if __name__ == "__main__":
    FILE.write_text(draw())
