"""The command line against real stores."""
