"""PagerDuty, by its Events API v2: alerts that trigger and resolve an incident there."""

from healthprobe.adapters.pagerduty.alerter import PagerDutyAlerter

__all__ = ["PagerDutyAlerter"]
