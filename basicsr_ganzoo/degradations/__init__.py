"""Online degradation: LQ images made from GT during training, by the second-order degradation of Real-ESRGAN."""

from basicsr_ganzoo.degradations.kernels import RandomKernels
from basicsr_ganzoo.degradations.pair_pool import TrainingPairPool
from basicsr_ganzoo.degradations.second_order import SecondOrderDegradation

__all__ = ['RandomKernels', 'SecondOrderDegradation', 'TrainingPairPool']
