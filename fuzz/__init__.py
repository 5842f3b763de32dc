"""Fuzzing: every parser of what others write is fed with a million broken inputs, and must refuse them as it promises.

`python -m fuzz` mutates valid examples. Each input must end in a value or in the one documented error of its parser,
within a second, and all of them together must leave no memory behind.
"""
