"""HTTP: health events to a webhook, runtime records from Prometheus http_sd. Imports domain and ports."""

from healthprobe.adapters.http.records import HttpRecords
from healthprobe.adapters.http.webhook import WebhookPublisher

__all__ = ["HttpRecords", "WebhookPublisher"]
