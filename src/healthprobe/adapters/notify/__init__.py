"""Messages to people, by any service that apprise knows. Imports domain and ports."""

from healthprobe.adapters.notify.publisher import NotifyPublisher

__all__ = ["NotifyPublisher"]
