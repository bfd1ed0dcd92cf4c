"""Between MLflow's records and Muniment's, both ways; pure."""
