"""The API and the page: a run as it is seen, over HTTP, to be read and not changed."""
