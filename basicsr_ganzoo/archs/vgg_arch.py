"""VGG-style discriminators of SRGAN and ESRGAN: one logit per image."""

from math import log2
from typing import Annotated, Literal

from basicsr.utils.registry import ARCH_REGISTRY
from pydantic import Field
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import spectral_norm

from basicsr_ganzoo.archs._layers import check_image, lrelu
from basicsr_ganzoo.config.signature import checked
from basicsr_ganzoo.config.types import Count, Whole
from basicsr_ganzoo.registry import register


@register(ARCH_REGISTRY)
class VGGDiscriminator(nn.Module):
    """VGG-style classifier of ESRGAN and BasicSR's SRGAN, for any image size (arXiv:1809.00219).

    Each level is a 3x3 and a strided 4x4 convolution; two linear layers follow. With ``norm: batch`` at 128 and 256
    its keys, shapes and outputs equal BasicSR's ``VGGStyleDiscriminator``. At other sizes the last feature map is
    average-pooled to 4x4.

    Args:
        num_in_ch: channels of the image.
        num_feat: channels of the first level; they double per level, up to 8 times this.
        input_size: image side in pixels that sets the depth, at least 16: 128 gives 5 levels, 256 gives 6.
        norm: ``batch`` (as published), ``spectral`` (all layers, with biases, no batch norm) or ``none``.

    Shape: (N, num_in_ch, H, W) -> (N, 1); H and W >= 2 ** (levels + 1), which is 64 for an input_size of 128.
    """

    @checked
    def __init__(
        self,
        num_in_ch: Count = 3,
        num_feat: Count = 64,
        input_size: Annotated[Whole, Field(ge=16)] = 128,
        norm: Literal['batch', 'spectral', 'none'] = 'batch',
    ):
        super().__init__()
        self.num_in_ch = num_in_ch
        self.num_levels = int(log2(input_size / 4))
        self.min_size = 2 ** (self.num_levels + 1)
        self.batch_norm = norm == 'batch'
        wrap = spectral_norm if norm == 'spectral' else lambda layer: layer

        in_ch = num_in_ch
        for level in range(self.num_levels):
            out_ch = num_feat * min(2**level, 8)
            bias = not self.batch_norm
            setattr(self, f'conv{level}_0', wrap(nn.Conv2d(in_ch, out_ch, 3, 1, 1, bias=bias or level == 0)))
            if self.batch_norm and level > 0:
                setattr(self, f'bn{level}_0', nn.BatchNorm2d(out_ch))
            setattr(self, f'conv{level}_1', wrap(nn.Conv2d(out_ch, out_ch, 4, 2, 1, bias=bias)))
            if self.batch_norm:
                setattr(self, f'bn{level}_1', nn.BatchNorm2d(out_ch))
            in_ch = out_ch
        self.linear1 = wrap(nn.Linear(in_ch * 4 * 4, 100))
        self.linear2 = wrap(nn.Linear(100, 1))

    def forward(self, image):
        return self.features(image)[0]

    def features(self, image):
        """Return the logits and the last feature map of each level, finest first."""
        check_image(self, image)
        x, maps = image, []
        for level in range(self.num_levels):
            x = lrelu(self._conv(x, f'{level}_0'))
            x = lrelu(self._conv(x, f'{level}_1'))
            maps.append(x)
        if x.shape[-2:] != (4, 4):
            x = F.adaptive_avg_pool2d(x, 4)
        return self.linear2(lrelu(self.linear1(x.flatten(1)))), maps

    def _conv(self, x, name):
        x = getattr(self, f'conv{name}')(x)
        return getattr(self, f'bn{name}')(x) if hasattr(self, f'bn{name}') else x


@register(ARCH_REGISTRY)
class SRGANDiscriminator(nn.Module):
    """Discriminator of the SRGAN paper: eight 3x3 convolutions and a linear layer of 1024 (arXiv:1609.04802, Fig. 4).

    Differs from the figure by returning the logit, without the sigmoid, and by average-pooling the last feature map to
    6x6, which changes nothing at the paper's 96x96 and allows other sizes.

    Args:
        num_in_ch: channels of the image.
        num_feat: channels of the first convolution; the last has 8 times as many.

    Shape: (N, num_in_ch, H, W) -> (N, 1); H and W >= 32.
    """

    @checked
    def __init__(self, num_in_ch: Count = 3, num_feat: Count = 64):
        super().__init__()
        self.num_in_ch = num_in_ch
        self.min_size = 32
        widths = [num_feat * k for k in (1, 2, 2, 4, 4, 8, 8)]
        self.conv_first = nn.Conv2d(num_in_ch, num_feat, 3, 1, 1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(in_ch, out_ch, 3, stride, 1), nn.BatchNorm2d(out_ch), nn.LeakyReLU(0.2))
            for in_ch, out_ch, stride in zip([num_feat, *widths], widths, (2, 1, 2, 1, 2, 1, 2), strict=False)
        )
        self.linear1 = nn.Linear(num_feat * 8 * 6 * 6, 1024)
        self.linear2 = nn.Linear(1024, 1)

    def forward(self, image):
        return self.features(image)[0]

    def features(self, image):
        """Return the logits and the feature map after each convolution, finest first."""
        check_image(self, image)
        maps = [lrelu(self.conv_first(image))]
        for block in self.blocks:
            maps.append(block(maps[-1]))
        x = maps[-1]
        if x.shape[-2:] != (6, 6):
            x = F.adaptive_avg_pool2d(x, 6)
        return self.linear2(lrelu(self.linear1(x.flatten(1)))), maps
