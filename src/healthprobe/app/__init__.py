"""Puts a program together: URLs, settings, the run from start to stop."""
