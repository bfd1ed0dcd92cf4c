"""The model-based test of the contract of a position: a store against a model in plain Python, on both engines."""
