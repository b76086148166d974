"""Serving an app while it is written: its files are watched, and changed code takes the place of the old."""
