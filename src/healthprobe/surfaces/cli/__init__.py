"""The command line: one file a command, thin over composition; what is slow to import is imported inside commands."""
