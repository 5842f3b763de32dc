"""What a fleet larger than one machine takes: unit costs, what follows from them, and a million games to try it on.

`python -m benchmarks units`, `simulation` and `cluster` write the tables of docs/scale.md.
"""
