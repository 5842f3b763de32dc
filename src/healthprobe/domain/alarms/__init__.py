"""Rules of alarms: which alerts are open, for whom, what holds them back and what ends them."""
