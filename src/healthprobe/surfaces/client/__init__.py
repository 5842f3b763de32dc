"""Asking a run that listens: its documents, read over HTTP, and what is shown of them in a terminal."""
