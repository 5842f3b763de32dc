"""Shipped for others: scripted engines, virtual time, ports in memory that fail on command, contract suites."""
