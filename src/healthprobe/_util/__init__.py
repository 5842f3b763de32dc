"""What no room owns: asyncio helpers, text, durations. Imports nothing of this project."""
