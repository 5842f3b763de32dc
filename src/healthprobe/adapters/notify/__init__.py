"""Messages to people, through any service that apprise supports."""

from healthprobe.adapters.notify.alerter import NotifyAlerter

__all__ = ["NotifyAlerter"]
