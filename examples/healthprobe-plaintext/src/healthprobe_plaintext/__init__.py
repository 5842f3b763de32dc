"""healthprobe with nothing but text: a store, a log and a publisher of a third party, on the standard library alone."""
