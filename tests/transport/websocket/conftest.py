"""One websocket connection against the real server, by a peer that writes and reads raw frames.

Memory streams and virtual time for most; loopback TCP where the socket matters.
"""

from ..peers import serve, serve_tcp, table

__all__ = ["serve", "serve_tcp", "table"]
