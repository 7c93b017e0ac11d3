"""Metrics for validation beside BasicSR's; each is a function that BasicSR's METRIC_REGISTRY knows."""
