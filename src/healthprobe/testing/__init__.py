"""Test tools for packages built on healthprobe: scripted engines, virtual time, ports in memory, contract suites."""
