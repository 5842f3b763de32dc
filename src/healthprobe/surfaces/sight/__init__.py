"""What can be seen of a run, read when somebody looks from what the run keeps anyway. Page, API and metrics show it."""
