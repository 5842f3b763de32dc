"""Proof by fault: the whole program among real servers, with faults done to all of them, against an oracle.

`python -m chaos` shows for each fault that the log is what the engines did, and that every consumer has what the log
has. The short form of it is a test.
"""
