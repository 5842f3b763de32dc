"""Tells a platform of game engines which engine has stopped answering, and when it is back."""

from importlib.metadata import version

__version__ = version("healthprobe")
