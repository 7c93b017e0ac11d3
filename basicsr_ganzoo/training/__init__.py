"""The training loop of ``ganzoo train``: it counts iterations, and a run that was stopped goes on exactly."""
