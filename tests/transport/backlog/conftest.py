"""What a client gets that reads more slowly than its session changes, frame by frame, against the real server."""

from ..peers import serve, serve_tcp, table

__all__ = ["serve", "serve_tcp", "table"]
