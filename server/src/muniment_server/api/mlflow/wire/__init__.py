"""The shapes of MLflow's protocol: messages, answers, errors, and the checks that its server makes."""
