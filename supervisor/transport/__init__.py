"""Sockets: one port for pages and websockets."""
