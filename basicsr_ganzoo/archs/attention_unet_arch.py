"""U-Net discriminators with attention gates on the skips: one logit per pixel, at one or several scales."""

from typing import Literal

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import nn
from torch.nn import functional as F

from basicsr_ganzoo.archs._layers import check_image, lrelu, resize_to, sn_conv
from basicsr_ganzoo.config.signature import checked
from basicsr_ganzoo.config.types import Count
from basicsr_ganzoo.registry import register

Norm = Literal['batch', 'none']


class _AttentionGate(nn.Module):
    """Additive attention of a skip ``x`` to a coarse ``gate`` (Attention U-Net, arXiv:1804.03999, Eq. 1 and 2)."""

    def __init__(self, num_feat, gate_feat, norm):
        super().__init__()
        self.W = nn.Sequential(nn.Conv2d(num_feat, num_feat, 1))
        if norm == 'batch':
            self.W.append(nn.BatchNorm2d(num_feat))
        self.theta = nn.Conv2d(num_feat, num_feat, 2, 2, bias=False)
        self.phi = nn.Conv2d(gate_feat, num_feat, 1)
        self.psi = nn.Conv2d(num_feat, 1, 1)

    def forward(self, x, gate):
        theta = self.theta(x)
        attention = self.psi(F.relu(theta + resize_to(self.phi(gate), theta))).sigmoid()
        return self.W(resize_to(attention, x) * x)


class _UpsampleConcat(nn.Module):
    """Resize ``x`` to ``skip``, halve its channels and concatenate it after ``skip``."""

    def __init__(self, num_feat):
        super().__init__()
        self.convU = sn_conv(num_feat * 2, num_feat, 3, 1, 1)

    def forward(self, skip, x):
        return torch.cat([skip, lrelu(self.convU(resize_to(x, skip)))], dim=1)


@register(ARCH_REGISTRY)
class AttentionUNetDiscriminator(nn.Module):
    """U-Net with spectral norm and attention gates on its skips (A-ESRGAN, Wei et al. 2021, arXiv:2112.10046).

    With ``norm: batch`` its state dict has the keys and shapes of A-ESRGAN's single-scale discriminator. ``none`` omits
    the batch norm after the gates, so that the logits of a batch are independent of each other.

    Args:
        num_in_ch: channels of the image.
        num_feat: channels at full resolution; they double per level, up to 8 times this.
        norm: ``batch`` (as published) or ``none``.

    Shape: (N, num_in_ch, H, W) -> (N, 1, H, W); H and W >= 16.
    """

    @checked
    def __init__(self, num_in_ch: Count = 3, num_feat: Count = 64, norm: Norm = 'batch'):
        super().__init__()
        self.num_in_ch = num_in_ch
        self.min_size = 16
        gate_feat = num_feat * 4
        self.conv0 = nn.Conv2d(num_in_ch, num_feat, 3, 1, 1)
        self.conv1 = sn_conv(num_feat, num_feat * 2, 3, 2, 1)
        self.conv2 = sn_conv(num_feat * 2, num_feat * 4, 3, 2, 1)
        self.conv3 = sn_conv(num_feat * 4, num_feat * 8, 3, 2, 1)
        # Padding a 1x1 convolution gives a map 2 pixels too large. The published weights were trained that way.
        self.gating = sn_conv(num_feat * 8, gate_feat, 1, 1, 1)
        for index, width in enumerate((num_feat * 4, num_feat * 2, num_feat), start=1):
            setattr(self, f'attn_{index}', _AttentionGate(width, gate_feat, norm))
            setattr(self, f'cat_{index}', _UpsampleConcat(width))
            setattr(self, f'conv{index + 3}', sn_conv(width * 2, width, 3, 1, 1))
        self.conv7 = sn_conv(num_feat, num_feat, 3, 1, 1)
        self.conv8 = sn_conv(num_feat, num_feat, 3, 1, 1)
        self.conv9 = nn.Conv2d(num_feat, 1, 3, 1, 1)

    def forward(self, image):
        return self.features(image)[0]

    def features(self, image):
        """Return the logits and the feature maps in the order of computation: down the U-Net, then up."""
        check_image(self, image)
        down = [lrelu(self.conv0(image))]
        for conv in (self.conv1, self.conv2, self.conv3):
            down.append(lrelu(conv(down[-1])))
        x, up = down[-1], []
        gate = lrelu(self.gating(x))
        for index, skip in enumerate(reversed(down[:-1]), start=1):
            attended = getattr(self, f'attn_{index}')(skip, gate)
            x = lrelu(getattr(self, f'conv{index + 3}')(getattr(self, f'cat_{index}')(attended, x)))
            up.append(x)
        x = lrelu(self.conv8(lrelu(self.conv7(x))))
        return self.conv9(x), [*down, *up]


@register(ARCH_REGISTRY)
class MultiScaleAttentionUNetDiscriminator(nn.Module):
    """Attention U-Nets at ``num_scales`` resolutions, each half of the one before (A-ESRGAN, arXiv:2112.10046).

    Its state dict has the keys and shapes of A-ESRGAN's ``multiscale``, whose ``layer0`` sees the coarsest image.
    A-ESRGAN sums the losses over the scales: set the loss's ``scale_reduction: sum`` for the same effective GAN weight.

    Args:
        num_in_ch: channels of the image.
        num_feat: channels of each U-Net at its full resolution.
        num_scales: number of U-Nets; 2 in the paper.
        norm: ``batch`` (as published) or ``none``.

    Shape: (N, num_in_ch, H, W) -> list of (N, 1, h, w), full resolution first; H and W >= 16 * 2 ** (num_scales - 1).
    """

    @checked
    def __init__(self, num_in_ch: Count = 3, num_feat: Count = 64, num_scales: Count = 2, norm: Norm = 'batch'):
        super().__init__()
        self.num_in_ch = num_in_ch
        self.num_scales = num_scales
        self.min_size = 16 * 2 ** (num_scales - 1)
        for index in range(num_scales):
            setattr(self, f'layer{index}', AttentionUNetDiscriminator(num_in_ch, num_feat, norm))

    def forward(self, image):
        return self.features(image)[0]

    def features(self, image):
        """Return the list of logits and the feature maps of all scales, full resolution first."""
        check_image(self, image)
        logits, maps = [], []
        for index in reversed(range(self.num_scales)):
            scale_logits, scale_maps = getattr(self, f'layer{index}').features(image)
            logits.append(scale_logits)
            maps.extend(scale_maps)
            if index:
                image = F.avg_pool2d(image, 4, stride=2, padding=1)
        return logits, maps
