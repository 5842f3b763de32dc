"""The soak: the whole program for a long time over a fleet that changes and misbehaves, and nothing of it may grow.

`python -m soak` runs `healthprobe run` over thousands of engines on loopback. A fifth of the games is replaced every
minute, and at any time some engines hang, refuse, reset, stutter or talk nonsense. What the process holds is sampled,
and what grows after the first minutes is a leak.
"""
