"""The soak: the whole program for a long time, over engines that change and fail. Nothing may grow.

`python -m soak` runs `healthprobe run` over thousands of engines on loopback. A fifth of the games is replaced every
minute, and at any time some engines hang, refuse, reset, drip or send garbage. What the process holds is sampled; what
grows after the first minutes is a leak.
"""
