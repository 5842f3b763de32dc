"""Fuzzing: a million broken inputs for every parser of external input.

`python -m fuzz` mutates valid examples. Each input must give a value or the one documented error of its parser, within
a second, and all of them together must not make memory grow.
"""
