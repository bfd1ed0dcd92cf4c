"""Muniment and the real MLflow server, driven alike over MLflow's own protocol."""
