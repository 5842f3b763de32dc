"""What people touch: command line, settings, composition, demo. The only room that may import all the others."""
