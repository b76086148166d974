"""The wire: messages, and both ends of a connection as state machines. Pure."""
