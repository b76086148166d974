"""Sockets: one port for pages and websockets.

A connection's way, in the order in which to read it:

- it comes in: `address`, `tls`, `listener`, `reception`; who may: `admission`, `origin`, `forwarded`, `occupancy`,
  `credentials`
- HTTP: `head`, `http_stream`, `bridge`, `cycle`, `requests`; its answers: `web`, `site`, `live_page`, `pages`,
  `template_check`, `safe_headers`, `health`, `exported`
- a websocket: `websocket`, `websocket_options`, `library_stream`, `replay`, `heartbeat`
- what is said over it: `conversation`, `entries`, `wire`, `presence`; how fast: `intake`, `pace`
- what is written to it: `frames`, `outbox`; to slow readers: `backlog`, `withheld`
- its end: `draining`
- what is told of it: `reports`, `places`; under development: `development`, `events`, `tracebacks`
"""
