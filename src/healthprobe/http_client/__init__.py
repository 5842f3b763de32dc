"""What adapters that ask an HTTP server share: address, client, errors in plain words, and secrets by their place."""
