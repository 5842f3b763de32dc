"""Probers: how an engine is probed. Imports domain; knows nothing of the worker."""
