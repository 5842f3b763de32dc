"""Reads and judges what engines answer."""
