"""Metrics and traces for a collector of OpenTelemetry, over OTLP/HTTP. No other room knows OpenTelemetry: an extra."""
