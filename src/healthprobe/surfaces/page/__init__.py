"""The page: what a browser is given. Static, without a build step, and without anything from elsewhere."""
