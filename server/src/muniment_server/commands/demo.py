"""`muniment demo`: real models on real data, recorded."""


def demo() -> None:
    """Train a sweep."""
