"""Proof by fault for a cluster: instances that share a fleet, on three NATS nodes, with faults done to all of them.

`python -m chaos.cluster` shows that the log is what the engines did, whoever was killed, paused or cut off meanwhile,
and that it is so because of the fence alone; `python -m chaos.cluster takeover` how long engines go unwatched.
"""
