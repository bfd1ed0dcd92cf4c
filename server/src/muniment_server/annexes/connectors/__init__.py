"""Connectors: what other systems have, brought in, and what is here, taken there. They never see each other."""
