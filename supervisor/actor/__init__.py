"""The actor runtime: mailboxes, refs, timers and the wait-for graph; it knows no document."""
