"""The loop: list, prune, probe in lanes, decide, commit; and the relay. Read it first. Imports domain and ports."""
