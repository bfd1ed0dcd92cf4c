"""Every form of a valid and an invalid request, as cases: one file a noun."""
