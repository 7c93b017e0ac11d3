"""What the discriminators share: input checks, the spectral norm of published checkpoints, resizing to a skip."""

from torch import nn
from torch.nn import functional as F
from torch.nn.utils import spectral_norm

from basicsr_ganzoo.errors import OptionError

#: ``PatchGANDiscriminator`` and its kin: norm -> (spectral norm on every convolution, normalisation of the middle ones)
CONV_NORMS = {
    'spectral': (True, None),
    'batch': (False, nn.BatchNorm2d),
    'instance': (False, nn.InstanceNorm2d),
    'batchspectral': (True, nn.BatchNorm2d),
    'instancespectral': (True, nn.InstanceNorm2d),
    'none': (False, None),
}


def check_image(net, image):
    """Raise ``OptionError``, a ``ValueError``, unless ``image`` is (N, num_in_ch, H, W) with sides >= ``min_size``."""
    name = type(net).__name__
    if image.ndim != 4 or image.shape[1] != net.num_in_ch:
        raise OptionError(f'{name} needs an image of shape (N, {net.num_in_ch}, H, W), got {tuple(image.shape)}')
    height, width = image.shape[-2:]
    if min(height, width) < net.min_size:
        raise OptionError(f'{name} needs H and W >= {net.min_size}, got {height}x{width}')


def lrelu(x):
    """Leaky ReLU with the slope 0.2 that every discriminator of the field uses."""
    return F.leaky_relu(x, 0.2)


def resize_to(x, reference):
    """Bilinear resize of ``x`` to the height and width of ``reference``."""
    return F.interpolate(x, size=reference.shape[-2:], mode='bilinear', align_corners=False)


def sn_conv(in_ch, out_ch, kernel, stride=1, padding=0, bias=False):
    """Convolution with the hook form of spectral norm, whose keys (weight_orig, _u, _v) published checkpoints have."""
    return spectral_norm(nn.Conv2d(in_ch, out_ch, kernel, stride, padding, bias=bias))


def patch_conv(in_ch, out_ch, kernel, stride, padding, spectral):
    """Convolution with bias drawn from N(0, 0.02), the initialisation of pix2pix (arXiv:1611.07004, Sec. 6.2)."""
    conv = nn.Conv2d(in_ch, out_ch, kernel, stride, padding)
    nn.init.normal_(conv.weight, 0, 0.02)
    nn.init.zeros_(conv.bias)
    return spectral_norm(conv) if spectral else conv


def patch_block(in_ch, out_ch, kernel, stride, padding, norm):
    """Convolution, the normalisation that ``norm`` (a key of :data:`CONV_NORMS`) names, leaky ReLU."""
    spectral, norm_layer = CONV_NORMS[norm]
    layers = [patch_conv(in_ch, out_ch, kernel, stride, padding, spectral)]
    if norm_layer:
        layers.append(norm_layer(out_ch))
    return nn.Sequential(*layers, nn.LeakyReLU(0.2))
