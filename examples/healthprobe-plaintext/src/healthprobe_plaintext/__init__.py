"""healthprobe with text files: a store, a log and a publisher of a third party, with the standard library alone."""
