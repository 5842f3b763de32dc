"""Probers: how one engine is asked for its health. Imports domain and ports; knows nothing of the worker."""
