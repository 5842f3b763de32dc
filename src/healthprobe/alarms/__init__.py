"""Alarms: what people are woken by. Follows the log, and gives each alerter the alerts that are open."""
