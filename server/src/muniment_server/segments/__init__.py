"""Metric points as columns: their digest, their folds, and the two levels in which they are kept. Pure; no SQL."""
