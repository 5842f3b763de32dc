"""`python -m healthprobe` is the command `healthprobe`."""

from healthprobe.surfaces.cli.main import main

main()
