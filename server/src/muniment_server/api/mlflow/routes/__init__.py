"""What MLflow's clients ask for, one file a noun. A handler reads a message, calls our services, and answers."""
