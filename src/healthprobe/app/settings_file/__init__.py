"""The settings file of a run, `healthprobe.toml`."""
