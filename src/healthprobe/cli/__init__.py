"""The command line: one file a command. Slow imports are made inside the commands that need them."""
