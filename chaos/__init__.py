"""Proof by fault: the whole program with real servers, under faults, checked against an oracle.

`python -m chaos` injects each fault and checks that the log is what the engines did, and that every consumer received
what the log holds. Its short form is a test (`make test-slow`).
"""
