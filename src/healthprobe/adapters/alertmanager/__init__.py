"""Alertmanager: alerts that fire, are repeated while they last, and resolve."""

from healthprobe.adapters.alertmanager.alerter import AlertmanagerAlerter

__all__ = ["AlertmanagerAlerter"]
