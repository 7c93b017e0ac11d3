"""What the tests ask of the registries."""

from basicsr_ganzoo.losses import AdversarialLoss
from basicsr_ganzoo.registry import entries

GAN_LOSSES = {
    name: loss
    for name, loss in entries('losses').items()
    if isinstance(loss, type) and issubclass(loss, AdversarialLoss)
}
