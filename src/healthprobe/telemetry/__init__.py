"""Counters, Prometheus metrics, OTLP export and structured logs."""
