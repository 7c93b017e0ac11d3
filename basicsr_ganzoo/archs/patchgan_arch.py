"""PatchGAN discriminators: one logit per overlapping patch, at one or several scales, or per pixel."""

from collections import OrderedDict
from typing import Annotated

from basicsr.utils.registry import ARCH_REGISTRY
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from basicsr_ganzoo.archs._layers import CONV_NORMS, ConvNorm, check_image, patch_block, patch_conv
from basicsr_ganzoo.config.signature import checked
from basicsr_ganzoo.config.types import Count
from basicsr_ganzoo.registry import register

NumLayers = Annotated[Count, Field(le=5)]
Padding = Annotated[Count, Field(le=2)]


@register(ARCH_REGISTRY)
class PatchGANDiscriminator(nn.Module):
    """PatchGAN: a fully convolutional map of logits (pix2pix, Isola et al. 2017, arXiv:1611.07004).

    ``num_layers`` strided 4x4 convolutions, one more with stride 1, and a convolution to one channel. The receptive
    field of a logit is 16, 34, 70, 142 or 286 pixels wide and high for 1 to 5 layers. With ``padding: 2`` it has the
    keys, shapes and outputs of the PatchGAN in KAIR and BSRGAN (arXiv:2103.14006), for every norm except ``none``.

    Args:
        num_in_ch: channels of the image.
        num_feat: channels of the first layer; they double per layer, up to 8 times this.
        num_layers: strided layers, 1 to 5.
        norm: ``spectral`` (all layers), ``batch`` or ``instance`` (all layers except the first and the last), their
            combinations ``batchspectral`` and ``instancespectral``, or ``none``.
        padding: 1 (pix2pix) or 2 (pix2pixHD, KAIR).

    Shape: (N, num_in_ch, H, W) -> (N, 1, h, w), 30x30 from 256x256 with the defaults; H and W >= 3 * 2 ** num_layers.
    """

    @checked
    def __init__(
        self,
        num_in_ch: Count = 3,
        num_feat: Count = 64,
        num_layers: NumLayers = 3,
        norm: ConvNorm = 'spectral',
        padding: Padding = 1,
    ):
        super().__init__()
        self.num_in_ch = num_in_ch
        self.min_size = 3 * 2**num_layers
        spectral = CONV_NORMS[norm][0]
        widths = [num_feat * min(2**layer, 8) for layer in range(num_layers + 1)]

        first = nn.Sequential(patch_conv(num_in_ch, num_feat, 4, 2, padding, spectral), nn.LeakyReLU(0.2))
        middle = [
            patch_block(widths[layer - 1], widths[layer], 4, 2 if layer < num_layers else 1, padding, norm)
            for layer in range(1, num_layers + 1)
        ]
        last = nn.Sequential(patch_conv(widths[-1], 1, 4, 1, padding, spectral))
        self.model = nn.Sequential(OrderedDict((f'child{i}', b) for i, b in enumerate([first, *middle, last])))

    def forward(self, image):
        return self.features(image)[0]

    def features(self, image):
        """Return the logits and the feature map after each layer except the last, finest first."""
        check_image(self, image)
        x, maps = image, []
        for block in self.model:
            x = block(x)
            maps.append(x)
        return maps.pop(), maps

    def receptive_field(self):
        """Side in pixels of the receptive field of one logit, which is square."""
        size = 1
        for block in reversed(self.model):
            size = (size - 1) * block[0].stride[0] + block[0].kernel_size[0]
        return size


@register(ARCH_REGISTRY)
class PixelGANDiscriminator(nn.Module):
    """PixelGAN: 1x1 convolutions, so each logit depends on the colour of one pixel (arXiv:1611.07004, Sec. 6.1.2).

    Args:
        num_in_ch: channels of the image.
        num_feat: channels of the first layer; the second has twice as many.
        norm: as in ``PatchGANDiscriminator``.

    Shape: (N, num_in_ch, H, W) -> (N, 1, H, W); H and W >= 2.
    """

    @checked
    def __init__(self, num_in_ch: Count = 3, num_feat: Count = 64, norm: ConvNorm = 'spectral'):
        super().__init__()
        self.num_in_ch = num_in_ch
        self.min_size = 2
        spectral = CONV_NORMS[norm][0]
        self.first = nn.Sequential(patch_conv(num_in_ch, num_feat, 1, 1, 0, spectral), nn.LeakyReLU(0.2))
        self.middle = patch_block(num_feat, num_feat * 2, 1, 1, 0, norm)
        self.last = patch_conv(num_feat * 2, 1, 1, 1, 0, spectral)

    def forward(self, image):
        return self.features(image)[0]

    def features(self, image):
        """Return the logits and the feature maps of the two hidden layers."""
        check_image(self, image)
        first = self.first(image)
        middle = self.middle(first)
        return self.last(middle), [first, middle]


@register(ARCH_REGISTRY)
class MultiScalePatchGANDiscriminator(nn.Module):
    """PatchGANs at ``num_scales`` resolutions, each half of the one before (pix2pixHD, arXiv:1711.11585).

    Returns the logits of all scales, full resolution first; the loss reduces them (``scale_reduction``).

    Args:
        num_in_ch: channels of the image.
        num_feat: channels of the first layer of each PatchGAN.
        num_scales: number of PatchGANs; 3 in the paper.
        num_layers, norm, padding: of each PatchGAN.

    Shape: (N, num_in_ch, H, W) -> list of (N, 1, h, w); H and W >= 3 * 2 ** (num_layers + num_scales - 1).
    """

    @checked
    def __init__(
        self,
        num_in_ch: Count = 3,
        num_feat: Count = 64,
        num_scales: Count = 3,
        num_layers: NumLayers = 3,
        norm: ConvNorm = 'spectral',
        padding: Padding = 2,
    ):
        super().__init__()
        self.num_in_ch = num_in_ch
        self.scales = nn.ModuleList(
            PatchGANDiscriminator(num_in_ch, num_feat, num_layers, norm, padding) for _ in range(num_scales)
        )
        self.min_size = self.scales[0].min_size * 2 ** (num_scales - 1)

    def forward(self, image):
        return self.features(image)[0]

    def features(self, image):
        """Return the list of logits and the feature maps of all scales, full resolution first."""
        check_image(self, image)
        logits, maps = [], []
        for index, net in enumerate(self.scales):
            if index:
                image = F.avg_pool2d(image, 3, stride=2, padding=1, count_include_pad=False)
            scale_logits, scale_maps = net.features(image)
            logits.append(scale_logits)
            maps.extend(scale_maps)
        return logits, maps
