"""Models that train a generator against adversaries; importing a file registers its models."""
