"""The rules: pure and total. Standard library only; no I/O, no clock, no asyncio, no logging."""
