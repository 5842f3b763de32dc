"""The metrics of a run for Prometheus, read at the scrape from what the run counts anyway. Nothing is counted twice."""
