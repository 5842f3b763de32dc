"""The live state of a run's games, read by page, API, metrics and terminal."""
