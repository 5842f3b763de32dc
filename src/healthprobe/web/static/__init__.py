"""The page: static files that a browser shows of a run, from what the API tells. No build step, no dependency."""
