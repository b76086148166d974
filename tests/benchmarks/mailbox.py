"""What a message costs in a mailbox: of a type without a policy, and of types with one.

    python tests/benchmarks/mailbox.py              ratios to a bare deque
    python tests/benchmarks/mailbox.py --source DIR   and the same of another checkout, to compare with

Each figure is the least of many rounds, since a disturbance only adds; a round puts a hundred messages and takes them
out again. The floor is a bare `deque.append` and `popleft` of as many objects.
"""

import argparse
import subprocess
import sys
from collections import deque
from time import perf_counter

from supervisor.actor.entry import Tell
from supervisor.actor.mailbox import Mailbox

ROUNDS = 4_000
BATCH = 100


def least(func, *args):
    """Nanoseconds per message."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = perf_counter()
        func(*args)
        best = min(best, perf_counter() - began)
    return best / BATCH * 1e9


def through_a_deque(queue, entries):
    for entry in entries:
        queue.append(entry)
    for _ in entries:
        queue.popleft()


def through(mailbox, entries):
    for entry in entries:
        mailbox.put(entry)
    for _ in entries:
        mailbox.take()


def through_under(mailbox, policy, pairs, dropped):
    for entry, key in pairs:
        mailbox.put_under(policy, entry, key, dropped)
    while mailbox.take() is not None:
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", help="another checkout, whose mailbox is measured in turn with this one")
    parser.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    entries = [Tell(number) for number in range(BATCH)]
    if options.plain:
        print(least(through, Mailbox(), entries) / least(through_a_deque, deque(), entries))
        return
    floor = least(through_a_deque, deque(), entries)
    print(f"bare deque: {floor:.0f} ns a message")
    if options.source is not None:
        for turn in range(3):
            for name, where in [("here", None), (options.source, options.source)]:
                command = [sys.executable, __file__, "--plain"]
                environment = None if where is None else {"PYTHONPATH": where}
                out = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
                print(f"turn {turn + 1}, without a policy, {name}: {float(out):.2f} times the deque")
    print(f"without a policy: {least(through, Mailbox(), entries) / floor:.1f} times")

    from supervisor.actor.policy import NO_KEY, MailboxPolicy

    def dropped(entry):
        pass

    conflating = MailboxPolicy(conflate=lambda message: message)
    for what, policy, capacity, keys in [
        ("refuse, with room", MailboxPolicy(when_full="refuse"), 1000, [NO_KEY] * BATCH),
        ("drop_oldest, nearly all dropped", MailboxPolicy(when_full="drop_oldest"), 10, [NO_KEY] * BATCH),
        ("conflate, each its own key", conflating, 1000, range(BATCH)),
        ("conflate, ten keys", conflating, 1000, [number % 10 for number in range(BATCH)]),
    ]:
        pairs = list(zip(entries, keys, strict=True))
        print(f"{what}: {least(through_under, Mailbox(capacity), policy, pairs, dropped) / floor:.1f} times")


if __name__ == "__main__":
    main()
