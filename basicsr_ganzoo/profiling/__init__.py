"""Measures the costs of networks, training steps and data loading, against BasicSR's."""
