"""ResNet discriminator: one logit per image."""

from basicsr.utils.registry import ARCH_REGISTRY
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import spectral_norm

from basicsr_ganzoo.archs._layers import check_image, sn_conv
from basicsr_ganzoo.config.signature import checked
from basicsr_ganzoo.config.types import Count
from basicsr_ganzoo.registry import register


class _ResidualBlock(nn.Module):
    """Two 3x3 convolutions plus a 1x1 shortcut, then 2x2 average pooling; the first block starts without ReLU."""

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
        # A 1x1 convolution and average pooling commute, so the shortcut is pooled first: a quarter of the work.
        return F.avg_pool2d(residual, 2) + self.shortcut(F.avg_pool2d(x, 2))


@register(ARCH_REGISTRY)
class ResNetDiscriminator(nn.Module):
    """Residual classifier with spectral norm on every layer, SN-GAN (Miyato et al. 2018, arXiv:1802.05957, Table 6).

    ``num_down`` blocks that halve the map, one block at constant size, ReLU, sum over the map, linear layer. It uses no
    batch statistics, so a batch of one works and the logits of a batch do not depend on each other.

    Args:
        num_in_ch: channels of the image.
        num_feat: channels of the first block; they double per block, up to 16 times this.
        num_down: number of blocks that halve the map; 5 in the paper for 128x128.

    Shape: (N, num_in_ch, H, W) -> (N, 1); H and W >= 2 ** num_down. As in the paper, the sum grows with the area of
    the image, so use one crop size throughout a run.
    """

    @checked
    def __init__(self, num_in_ch: Count = 3, num_feat: Count = 64, num_down: Count = 5):
        super().__init__()
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
        """Return the logits and the feature map after each block, finest first."""
        check_image(self, image)
        x, maps = image, []
        for block in self.blocks:
            x = block(x)
            maps.append(x)
        return self.linear(F.relu(x).sum(dim=(2, 3))), maps
