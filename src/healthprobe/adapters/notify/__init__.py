"""Messages to people, through any service that apprise supports."""

from healthprobe.adapters.notify.alerter import NotifyAlerter
from healthprobe.adapters.notify.publisher import NotifyPublisher

__all__ = ["NotifyAlerter", "NotifyPublisher"]
