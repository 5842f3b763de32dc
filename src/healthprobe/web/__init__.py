"""The page and the read-only API of a run, over HTTP."""
