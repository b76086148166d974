"""The wire: messages, and both ends of a connection as state machines. Pure.

How the parts fit, from the ground up:

- `codes`: why a connection is closed, and what the client then does
- `messages`: every message of the wire as a struct, decoded strictly, encoded fast
- `encoding`: an author's value as JSON, or a clear refusal; `pointer`: the name of a place in a document
- `fields`, `readers`: the fields of a client's message as an object of the app's own class
- `history`, `records`, `feed`: the server's memory of one session: what was sent, and which answers are owed
- `carrying`, `bridge`: edits of clients that are behind; `merging`: patches for clients that read slowly
- `presence`: who is there, on both ends
- `server`: the server's end of one connection
- `mirror`, `pending`, `sends`, `events`, `client`: the client's end, across reconnects

`docs/reference/wire.md` is the page from which another client can be written.
"""
