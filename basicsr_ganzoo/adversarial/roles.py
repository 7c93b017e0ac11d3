"""What the blocks of an adversary have to be: a GAN loss, a regularizer, a view, ..."""

from collections.abc import Callable
from dataclasses import dataclass

from basicsr.utils.registry import ARCH_REGISTRY, LOSS_REGISTRY

from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.losses import is_gan_loss


@dataclass(frozen=True)
class Role:
    """One kind of block: ``what`` it has to be, one of `ganzoo list KIND`, for which ``fits`` is true."""

    what: str
    kind: str
    fits: Callable
    registry: object = LOSS_REGISTRY

    def check(self, entry):
        """Raise ``OptionError`` unless ``entry`` fits. Returns it."""
        if not self.fits(entry):
            raise OptionError(f'{type(entry).__name__} is no {self.what}; `ganzoo list {self.kind}` names them')
        return entry


def compares_maps(loss):
    """Whether a loss compares feature maps of a discriminator."""
    return getattr(loss, 'compares_with', None) == 'maps'


#: by the key of the block
ROLES = {
    'gan_opt': Role('GAN loss', 'losses', is_gan_loss),
    'feature_matching_opt': Role('loss of feature maps', 'losses', compares_maps),
    'gan_weight_opt': Role('GAN weight', 'gan_weights', lambda it: hasattr(it, 'factor')),
    'd_reg_opt': Role('regularizer', 'regularizers', lambda it: hasattr(it, 'is_due')),
    'views': Role('view', 'views', lambda it: hasattr(it, 'out_channels'), ARCH_REGISTRY),
}
