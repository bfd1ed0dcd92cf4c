"""Work that runs without a request."""
