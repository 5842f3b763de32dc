"""The rules, as pure functions and values. Standard library only: no I/O, no clock, no asyncio, no logging."""
