"""Building blocks of the discriminators: input check, convolutions with spectral norm, resizing to a skip."""

from typing import Literal

from torch import nn
from torch.nn import functional as F
from torch.nn.utils import spectral_norm

from basicsr_ganzoo.errors import OptionError

#: norm of a PatchGAN -> (spectral norm on every convolution, normalization of all layers except the first and the last)
CONV_NORMS = {
    'spectral': (True, None),
    'batch': (False, nn.BatchNorm2d),
    'instance': (False, nn.InstanceNorm2d),
    'batchspectral': (True, nn.BatchNorm2d),
    'instancespectral': (True, nn.InstanceNorm2d),
    'none': (False, None),
}
ConvNorm = Literal[tuple(CONV_NORMS)]


def check_image(net, image):
    """Raise ``OptionError`` unless ``image`` has the shape (N, num_in_ch, H, W) with H and W >= ``min_size``."""
    name = type(net).__name__
    if image.ndim != 4 or image.shape[1] != net.num_in_ch:
        raise OptionError(f'{name} needs an image of shape (N, {net.num_in_ch}, H, W), got {tuple(image.shape)}')
    height, width = image.shape[-2:]
    if min(height, width) < net.min_size:
        raise OptionError(f'{name} needs H and W >= {net.min_size}, got {height}x{width}')


def lrelu(x):
    """Leaky ReLU with slope 0.2, which every discriminator here uses."""
    return F.leaky_relu(x, 0.2)


def resize_to(x, reference):
    """Bilinear resize of ``x`` to the height and width of ``reference``."""
    return F.interpolate(x, size=reference.shape[-2:], mode='bilinear', align_corners=False)


def sn_conv(in_ch, out_ch, kernel, stride=1, padding=0, bias=False):
    """Convolution with hook-based spectral norm, which has the keys of published checkpoints (weight_orig, _u, _v)."""
    return spectral_norm(nn.Conv2d(in_ch, out_ch, kernel, stride, padding, bias=bias))


def patch_conv(in_ch, out_ch, kernel, stride, padding, spectral):
    """Convolution with weights drawn from N(0, 0.02) and zero bias, as in pix2pix (arXiv:1611.07004, Sec. 6.2)."""
    conv = nn.Conv2d(in_ch, out_ch, kernel, stride, padding)
    nn.init.normal_(conv.weight, 0, 0.02)
    nn.init.zeros_(conv.bias)
    return spectral_norm(conv) if spectral else conv


def patch_block(in_ch, out_ch, kernel, stride, padding, norm):
    """Convolution, normalization ``norm`` (a key of :data:`CONV_NORMS`) and leaky ReLU."""
    spectral, norm_layer = CONV_NORMS[norm]
    layers = [patch_conv(in_ch, out_ch, kernel, stride, padding, spectral)]
    if norm_layer:
        layers.append(norm_layer(out_ch))
    return nn.Sequential(*layers, nn.LeakyReLU(0.2))
