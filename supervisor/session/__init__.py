"""A session: one actor that owns one document, and the connections that watch it.

- the session: `actor`, its life as a table, `lifecycle`, and what authors hold of it, `context`
- what it needs of its application: `household`; what it came with: `request`
- messages: `receivers`; edits: `editing`; who hears of changes: `changes`
- who holds the document: `custody`, `lending`, `threads`
- connections: `connection`, `opening`, `expiry`
- beside its handlers: `background`; failures: `policy`, `restarting`
"""
