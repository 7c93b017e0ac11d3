"""The cost of a discriminator in a training step, with its views and regularizers."""

import torch

from basicsr_ganzoo.adversarial import Adversary
from basicsr_ganzoo.adversarial.adapters import WithFeatures
from basicsr_ganzoo.engine.cost import FlopCounter
from basicsr_ganzoo.losses.adversarial import SoftplusGANLoss


def adversary_cost(network, size, views=(), regularizers=None, feature_matching=None):
    """FLOPs of an adversary's part of a step, with all gradients, for one image; computed on the meta device.

    Args:
        network: a discriminator class.
        size: (H, W) of the image in pixels.
        views, regularizers, feature_matching: as for ``Adversary``; the regularizers are due in this step.

    Raises:
        ValueError: the network rejects this size, or what the views make of it.
    """
    channels = 3
    for view in views:
        channels = view.out_channels(channels)
    with torch.device('meta'):
        net = network(num_in_ch=channels)
        images = [torch.empty(1, 3, *size) for _ in range(2)]
    net = WithFeatures(net) if feature_matching else net
    parts = {'views': [view.to('meta') for view in views], 'feature_matching': feature_matching}
    parts['regularizers'] = {name: regularizer.to('meta') for name, regularizer in (regularizers or {}).items()}
    adversary = Adversary(net, SoftplusGANLoss(), torch.optim.SGD(net.parameters(), lr=0.1), **parts)
    with FlopCounter() as counter:
        adversary.step(*images)
    return counter.total
