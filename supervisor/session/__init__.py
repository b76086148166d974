"""A session: one actor that owns one document and those who watch it."""
