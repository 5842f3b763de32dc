"""Messages to people, through any service that apprise supports."""

from healthprobe.adapters.notify.publisher import NotifyPublisher

__all__ = ["NotifyPublisher"]
