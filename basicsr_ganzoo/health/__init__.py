"""How the GAN is doing: metrics in the log, and a diagnosis in words when a rule has held for a while."""

from basicsr_ganzoo.health.report import HealthReport

__all__ = ['HealthReport']
