"""Proof by fault for a cluster: instances that share a fleet, on three NATS nodes, with faults injected into both.

`python -m chaos.cluster` shows that the log is what the engines did, whatever was killed, paused or cut off meanwhile,
and that the fencing tokens are the reason; `python -m chaos.cluster takeover` measures how long engines go unprobed.
"""
