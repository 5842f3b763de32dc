"""Stores, logs and publishers: one technology each. Import domain and ports, and never each other."""
