"""An application: its handlers and hooks, its producers, and the sessions that it makes, finds and ends."""
