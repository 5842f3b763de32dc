"""HTTP: publishes health events to a webhook, reads runtime records from a Prometheus http_sd endpoint."""

from healthprobe.adapters.http.heartbeat import HttpHeartbeat
from healthprobe.adapters.http.records import HttpRecords
from healthprobe.adapters.http.webhook import WebhookPublisher

__all__ = ["HttpHeartbeat", "HttpRecords", "WebhookPublisher"]
