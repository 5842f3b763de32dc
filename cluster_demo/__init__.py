"""The demo of a cluster: three NATS nodes and three instances on loopback, some of which are killed.

`make cluster-demo` runs it. Everything in it is the real thing: servers, engines, and `healthprobe run --cluster`.
"""
