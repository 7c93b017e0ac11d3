"""Measures the costs of networks, training steps and data loading, against BasicSR's."""

from basicsr_ganzoo.profiling.network_cost import adversary_cost

__all__ = ['adversary_cost']
