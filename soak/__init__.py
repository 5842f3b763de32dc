"""The soak."""
