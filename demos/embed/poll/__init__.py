"""An app is a package; this file says so to type checkers, and the server does without it."""
