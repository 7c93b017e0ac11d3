"""SR, reduced again, has to look like the picture it was made from."""

from basicsr.utils.registry import LOSS_REGISTRY
from torch import nn
from torch.nn import functional as F

from basicsr_ganzoo.config.build import check_number, check_whole_number
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.registry import register


@register(LOSS_REGISTRY)
class LRConsistencyLoss(nn.Module):
    """L1 distance of the means of SR and of LQ over the same squares: the guard against colours that drift.

    The back-projection loss of Best-Buddy GANs (arXiv:2103.15295) compares SR, reduced to LQ's size, with LQ. Over
    squares of ``window`` LQ pixels noise, blur and JPEG of LQ cancel out, so that it also works with Real-ESRGAN's
    degradation; ``window: 1`` compares every LQ pixel. Reducing is a mean over squares, not bicubic. What is left of LQ
    at the right and at the bottom, when no whole square fits there any more, is not compared.

    Args:
        loss_weight: factor.
        window: side of the squares, in pixels of LQ.
    """

    #: of the model's pictures, the one to compare with
    compares_with = 'lq'

    def __init__(self, loss_weight=1.0, window=4):
        super().__init__()
        check_number(type(self).__name__, 'loss_weight', loss_weight, least=0)
        check_whole_number(type(self).__name__, 'window', window)
        self.loss_weight = loss_weight
        self.window = window

    def forward(self, sr, lq):
        """Compare SR (N, C, H, W) with LQ (N, C, h, w). Returns a 0-dim tensor.

        Raises:
            OptionError: H and W are not the same whole multiple of h and w, or a square does not fit into LQ.
        """
        scale = sr.shape[-1] // lq.shape[-1]
        if [side * scale for side in lq.shape[-2:]] != list(sr.shape[-2:]):
            raise OptionError(
                f'LRConsistencyLoss needs SR to be a whole multiple of LQ, got {_size(sr)} and {_size(lq)}'
            )
        if min(lq.shape[-2:]) < self.window:
            raise OptionError(f'LRConsistencyLoss needs LQ of {self.window} pixels (window) or more, got {_size(lq)}')
        return F.l1_loss(_means(sr, self.window * scale), _means(lq, self.window)) * self.loss_weight


def _means(image, side):
    return F.avg_pool2d(image, side)


def _size(image):
    return 'x'.join(map(str, image.shape[-2:]))
