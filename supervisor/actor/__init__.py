"""The actor runtime: mailboxes, refs, timers and the wait-for graph; it knows no document.

- an actor: `base`, its `mailbox`, the `entry` in that, the `ref` to it; policies of types of messages: `policy`, `lane`
- what it calls later: `callbacks`, `timers`; whether that can be called: `call_check`
- failures: `guard`, `restart`, `unawaited`; the end: `stopping`
- who waits for whom: `waiting`, `holding`
- threads: `in_thread`, `workers`, `thread_door`
- what holds the loop: `watchdog`, `turn_clock`, `stalls`, `tasks`
- what is told of it: `story`, `brief`
"""
