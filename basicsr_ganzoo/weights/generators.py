"""Generators of BasicSR that spandrel does not recognize, built from the shapes of their weights."""

from collections import namedtuple

import torch
from basicsr.archs.rrdbnet_arch import RRDBNet
from basicsr.archs.srresnet_arch import MSRResNet
from torch.nn import functional as F

from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.weights.convert import convert
from basicsr_ganzoo.weights.find import find_weights
from basicsr_ganzoo.weights.mismatch import FAMILIES, RRDB_SCALES, arguments, family
from basicsr_ganzoo.weights.read import read_file

Architecture = namedtuple('Architecture', 'name')


class Generator:
    """A generator for inference, with the interface of spandrel's descriptor that we use.

    Args:
        net: the network, RGB to RGB.
        scale: upscaling factor.
        multiple: H and W of its input must be multiples of this; other inputs are padded at the right and bottom.
        device: device to move it to.
    """

    def __init__(self, net, scale, multiple, device):
        self.net = net.eval().to(device)
        self.architecture = Architecture(type(net).__name__)
        self.scale, self.multiple, self.device = scale, multiple, torch.device(device)

    def __call__(self, image):
        height, width = image.shape[-2:]
        padded = F.pad(image, (0, -width % self.multiple, 0, -height % self.multiple), mode='replicate')
        return self.net(padded)[..., : height * self.scale, : width * self.scale]


def recognize(path, device='cpu'):
    """The generator of a file if it is an RRDBNet or MSRResNet for RGB images, of any width and depth, else None.

    Raises:
        OptionError: the file holds a discriminator.
    """
    try:
        weights = find_weights(read_file(path))[1]
    except OptionError:
        return None
    shapes = {key: tuple(tensor.shape) for key, tensor in weights.items()}
    name = family(shapes)
    if name and not FAMILIES[name][0]:
        raise OptionError(f'{path} is not a generator but the discriminator {name}; use the net_g file beside it')
    try:
        net, scale, multiple = BUILDERS[name](shapes)
        net.load_state_dict(convert(weights, net))
    except (KeyError, RuntimeError):
        return None
    return Generator(net, scale, multiple, device)


def _rrdbnet(shapes):
    found = arguments('RRDBNet', shapes)
    scale = RRDB_SCALES[shapes['conv_first.weight'][1]]
    net = RRDBNet(3, 3, scale, **{key: found[key] for key in ('num_feat', 'num_block', 'num_grow_ch')})
    return net, scale, 4 // scale


def _msrresnet(shapes):
    found = arguments('MSRResNet', shapes)
    net = MSRResNet(3, 3, **{key: found[key] for key in ('num_feat', 'num_block', 'upscale')})
    return net, found['upscale'], 1


BUILDERS = {'RRDBNet': _rrdbnet, 'MSRResNet': _msrresnet}
