"""An application: handlers, hooks, producers and the sessions it makes."""
