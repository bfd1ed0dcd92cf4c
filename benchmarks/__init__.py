"""Measured claims: what Muniment does a second, beside what the machine could do with the same bytes."""
