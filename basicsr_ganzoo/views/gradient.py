"""Gradient view: the magnitude or the components of the image's gradient."""

from typing import Annotated, Literal

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from pydantic import Field

from basicsr_ganzoo.config.signature import checked
from basicsr_ganzoo.config.types import Number
from basicsr_ganzoo.registry import register
from basicsr_ganzoo.views._filters import correlate
from basicsr_ganzoo.views.base import View

#: operator -> weights of the three rows (columns) over which the difference is averaged
SMOOTHING = {'central': [0.0, 1.0, 0.0], 'sobel': [0.25, 0.5, 0.25]}


@register(ARCH_REGISTRY)
class GradientView(View):
    """The gradient of each channel, as magnitude or components (SPSR, Ma et al. 2020, arXiv:2003.13081).

    The magnitude is that of SPSR's released code, sqrt(dx^2 + dy^2 + epsilon^2) with dx = right - left neighbour,
    except that epsilon is subtracted, so that a flat image gives 0, and that borders are mirrored, not black.

    Args:
        output: ``magnitude``, or ``components``, which are signed and smooth: dx of all channels, then dy of all.
        operator: ``central`` difference of the two neighbours, or ``sobel``, which averages three of them with weights
            1/4, 1/2, 1/4. Both are twice the slope in intensity per pixel.
        epsilon: smooths the magnitude below this difference, which makes it differentiable at 0; at least 1e-6.
        gain: factor of the result.

    Shape: (N, C, H, W) -> the same or, as components, (N, 2 * C, H, W) (``network_d.num_in_ch`` is 2 * C); any size.

    Range: magnitude 0 to 1.42 * gain, components -gain to gain. On photographs (100 of BSDS500, RGB in 0 to 1 with a
    standard deviation of 0.246) the magnitude has a mean of 0.090 and a standard deviation of 0.116 (sobel: 0.077 and
    0.099), the components 0.104 (sobel: 0.089): with ``gain: 2`` about that of RGB.

    Cost: 6 (sobel: 12) multiply-adds per value; element-wise, so FlopCounter counts 0.
    """

    @checked
    def __init__(
        self,
        output: Literal['magnitude', 'components'] = 'magnitude',
        operator: Literal[tuple(SMOOTHING)] = 'central',
        epsilon: Annotated[Number, Field(ge=1e-6)] = 1e-3,
        gain: Number = 1.0,
    ):
        super().__init__()
        self.output, self.smoothing, self.epsilon, self.gain = output, SMOOTHING[operator], epsilon, gain

    def out_channels(self, num_in_ch):
        return num_in_ch if self.output == 'magnitude' else 2 * num_in_ch

    def transform(self, image, drawn):
        dx, dy = self.difference(image, dim=3), self.difference(image, dim=2)
        if self.output == 'components':
            return self.gain * torch.cat([dx, dy], dim=1)
        square = dx.square() + dy.square()
        # sqrt(square + epsilon^2) - epsilon, written so that it is exactly 0 where the image is flat
        return self.gain * square / (torch.sqrt(square + self.epsilon**2) + self.epsilon)

    def difference(self, image, dim):
        """The next pixel minus the previous one along ``dim``, smoothed along the other axis."""
        slope = correlate(image, [-1.0, 0.0, 1.0], dim)
        return slope if self.smoothing[0] == 0 else correlate(slope, self.smoothing, 5 - dim)
