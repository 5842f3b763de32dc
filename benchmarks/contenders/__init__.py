"""The contenders: each a file that knows how one program is made to probe, and nothing of how it is measured."""
