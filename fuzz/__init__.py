"""Fuzzing: a million broken inputs for every parser of external input.

`python -m fuzz` mutates valid examples. Each input must give a value or the one documented error of its parser, within
a second, and all of them together must not make memory grow. Ten thousand rounds of `fuzz.rows` play the whole worker
over a database in which one value was altered.
"""
