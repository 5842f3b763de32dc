"""`python -m healthprobe` is the command `healthprobe`."""

from healthprobe.cli.main import main

main()
