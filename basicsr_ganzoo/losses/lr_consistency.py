"""LR consistency loss: SR, downscaled, must match the LQ image."""

from basicsr.utils.registry import LOSS_REGISTRY
from torch import nn
from torch.nn import functional as F

from basicsr_ganzoo.config.signature import checked
from basicsr_ganzoo.config.types import Count, NonNegative
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.registry import register


@register(LOSS_REGISTRY)
class LRConsistencyLoss(nn.Module):
    """L1 distance between local means of SR and LQ, which prevents a colour shift.

    The back-projection loss of Best-Buddy GANs (arXiv:2103.15295) compares SR, downscaled to LQ's size, with LQ. Over
    windows of ``window`` x ``window`` LQ pixels, noise, blur and JPEG artifacts of LQ average out, so it also works
    with Real-ESRGAN's degradation; ``window: 1`` compares every LQ pixel. SR is downscaled by average pooling, not
    bicubically. Incomplete windows at the right and bottom edges are not compared.

    Args:
        loss_weight: factor, at least 0.
        window: side of the windows in LQ pixels, at least 1.
    """

    #: which image of the model SR is compared with
    compares_with = 'lq'

    @checked
    def __init__(self, loss_weight: NonNegative = 1.0, window: Count = 4):
        super().__init__()
        self.loss_weight = loss_weight
        self.window = window

    def forward(self, sr, lq):
        """Compare SR (N, C, H, W) with LQ (N, C, h, w). Returns a 0-dim tensor.

        Raises:
            OptionError: H and W are not the same integer multiple of h and w, or LQ is smaller than a window.
        """
        scale = sr.shape[-1] // lq.shape[-1]
        if [side * scale for side in lq.shape[-2:]] != list(sr.shape[-2:]):
            raise OptionError(
                f'LRConsistencyLoss needs SR to be an integer multiple of LQ, got {_size(sr)} and {_size(lq)}'
            )
        if min(lq.shape[-2:]) < self.window:
            raise OptionError(f'LRConsistencyLoss needs LQ of {self.window} pixels (window) or more, got {_size(lq)}')
        return F.l1_loss(_means(sr, self.window * scale), _means(lq, self.window)) * self.loss_weight


def _means(image, side):
    return F.avg_pool2d(image, side)


def _size(image):
    return 'x'.join(map(str, image.shape[-2:]))
