"""A session: one actor that owns one document, and the connections that watch it."""
