"""U-Net discriminator of Real-ESRGAN: one logit per pixel."""

from basicsr.utils.registry import ARCH_REGISTRY
from torch import nn

from basicsr_ganzoo.archs._layers import check_image, lrelu, resize_to, sn_conv
from basicsr_ganzoo.config.signature import checked
from basicsr_ganzoo.config.types import Count
from basicsr_ganzoo.registry import register


@register(ARCH_REGISTRY)
class UNetSNDiscriminator(nn.Module):
    """U-Net with spectral norm, the discriminator of Real-ESRGAN (Wang et al. 2021, arXiv:2107.10833, Sec. 3.4).

    Keys, shapes and outputs equal Real-ESRGAN's ``UNetDiscriminatorSN``, so ``RealESRGAN_x4plus_netD.pth`` loads
    strictly. Differs by resizing to the size of the skip, so H and W need not be multiples of 8.

    Args:
        num_in_ch: channels of the image.
        num_feat: channels at full resolution; they double per level, up to 8 times this.
        skip_connection: add the feature maps of the contracting path, as published.

    Shape: (N, num_in_ch, H, W) -> (N, 1, H, W); H and W >= 16.
    """

    @checked
    def __init__(self, num_in_ch: Count = 3, num_feat: Count = 64, skip_connection: bool = True):
        super().__init__()
        self.num_in_ch = num_in_ch
        self.min_size = 16
        self.skip_connection = skip_connection
        self.conv0 = nn.Conv2d(num_in_ch, num_feat, 3, 1, 1)
        self.conv1 = sn_conv(num_feat, num_feat * 2, 4, 2, 1)
        self.conv2 = sn_conv(num_feat * 2, num_feat * 4, 4, 2, 1)
        self.conv3 = sn_conv(num_feat * 4, num_feat * 8, 4, 2, 1)
        self.conv4 = sn_conv(num_feat * 8, num_feat * 4, 3, 1, 1)
        self.conv5 = sn_conv(num_feat * 4, num_feat * 2, 3, 1, 1)
        self.conv6 = sn_conv(num_feat * 2, num_feat, 3, 1, 1)
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
        for conv, skip in zip((self.conv4, self.conv5, self.conv6), reversed(down[:-1]), strict=True):
            x = lrelu(conv(resize_to(x, skip)))
            if self.skip_connection:
                x = x + skip
            up.append(x)
        x = lrelu(self.conv8(lrelu(self.conv7(x))))
        return self.conv9(x), [*down, *up]
