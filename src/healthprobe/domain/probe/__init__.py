"""The settings of a probe: what a record may say of it, and how that is read."""
