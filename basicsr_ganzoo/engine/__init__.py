"""How a step runs: precision, compilation, accumulation, optimizers, EMA, non-finite guard, processes, random state."""

from basicsr_ganzoo.engine.ema import MovingAverage
from basicsr_ganzoo.engine.guard import StepGuard
from basicsr_ganzoo.engine.optimizers import build_optimizer
from basicsr_ganzoo.engine.placement import Placement
from basicsr_ganzoo.engine.precision import Precision
from basicsr_ganzoo.engine.speed_options import SpeedOptions
from basicsr_ganzoo.engine.step import Batch, StepResult

__all__ = [
    'Batch',
    'MovingAverage',
    'Placement',
    'Precision',
    'SpeedOptions',
    'StepGuard',
    'StepResult',
    'build_optimizer',
]
