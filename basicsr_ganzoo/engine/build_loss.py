"""Building the losses that an option file names."""

import torch
from basicsr.utils.registry import LOSS_REGISTRY

from basicsr_ganzoo.config.build import build
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.weights import vgg


def build_loss(block, where, device):
    """Build a registered loss on a device, or return None without a block; ``where`` is its key, for messages.

    Raises:
        OptionError: the block is wrong, or the weights of the loss are not available.
    """
    if not block:
        return None
    try:
        loss = build(LOSS_REGISTRY, block, where)
    except OSError as error:  # BasicSR's perceptual loss reads or downloads its weights when it is built
        raise OptionError(
            f'{where}: its weights are not available ({error}); download VGG19 from {vgg.URL} ({vgg.SIZE}) '
            f'to {vgg.PLACE}, or remove the block'
        ) from error
    return loss.to(device) if isinstance(loss, torch.nn.Module) else loss
