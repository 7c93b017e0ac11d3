"""Residual classifier: one logit for the whole image."""

from basicsr.utils.registry import ARCH_REGISTRY
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import spectral_norm

from basicsr_ganzoo.archs._layers import check_image, sn_conv
from basicsr_ganzoo.config.build import check_counts
from basicsr_ganzoo.registry import register


class _ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a 1x1 shortcut, then a 2x2 mean; the first block of a network starts without ReLU."""

    def __init__(self, in_ch, out_ch, first=False, downsample=True):
        super().__init__()
        self.first = first
        self.downsample = downsample
        self.conv1 = sn_conv(in_ch, out_ch, 3, padding=1, bias=True)
        self.conv2 = sn_conv(out_ch, out_ch, 3, padding=1, bias=True)
        self.shortcut = sn_conv(in_ch, out_ch, 1, bias=True)

    def forward(self, x):
        residual = self.conv2(F.relu(self.conv1(x if self.first else F.relu(x))))
        if not self.downsample:
            return residual + self.shortcut(x)
        # A 1x1 convolution and a mean commute, so the shortcut is averaged first: a quarter of the work.
        return F.avg_pool2d(residual, 2) + self.shortcut(F.avg_pool2d(x, 2))


@register(ARCH_REGISTRY)
class ResNetDiscriminator(nn.Module):
    """Residual classifier with spectral norm on every layer, SN-GAN (Miyato et al. 2018, arXiv:1802.05957, Table 6).

    ``num_down`` halving blocks and one block at constant size, ReLU, sum over the map, dense layer. No batch
    statistics, so a batch of one works and the logits of a batch do not depend on each other.

    Args:
        num_in_ch: channels of the image.
        num_feat: width of the first block; it doubles up to 16 times this.
        num_down: blocks that halve the map; the paper has 5 for 128x128.

    Shape: (N, num_in_ch, H, W) -> (N, 1); H and W >= 2 ** num_down. The sum grows with the area of the image, as in
    the paper, so keep one crop size in a run.
    """

    def __init__(self, num_in_ch=3, num_feat=64, num_down=5):
        super().__init__()
        check_counts(type(self).__name__, num_in_ch=num_in_ch, num_feat=num_feat, num_down=num_down)
        self.num_in_ch = num_in_ch
        self.min_size = 2**num_down
        widths = [num_feat * min(2**level, 16) for level in range(num_down)]
        self.blocks = nn.ModuleList(
            _ResidualBlock(in_ch, out_ch, first=index == 0)
            for index, (in_ch, out_ch) in enumerate(zip([num_in_ch, *widths], widths, strict=False))
        )
        self.blocks.append(_ResidualBlock(widths[-1], widths[-1], downsample=False))
        self.linear = spectral_norm(nn.Linear(widths[-1], 1))

    def forward(self, image):
        return self.features(image)[0]

    def features(self, image):
        """Return the logits and the map after each block, finest first."""
        check_image(self, image)
        x, maps = image, []
        for block in self.blocks:
            x = block(x)
            maps.append(x)
        return self.linear(F.relu(x).sum(dim=(2, 3))), maps
