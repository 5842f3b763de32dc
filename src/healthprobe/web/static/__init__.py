"""The static files of the page. There is no build step and no dependency."""
