"""Adapters that let BasicSR's losses and networks without feature maps serve in an adversary."""

import torch
from torch import nn

from basicsr_ganzoo.losses.logits import as_list, share_above


class StockLoss:
    """BasicSR's ``GANLoss`` (or any loss with its call) as a loss that an ``Adversary`` can use."""

    separable = True

    def __init__(self, loss):
        self.loss = loss

    def d_loss(self, real, fake):
        return self._mean(real, True, True), self._mean(fake, False, True)

    def g_loss(self, real, fake):
        return self._mean(fake, True, False)

    def accuracy(self, real, fake):
        middle = {'lsgan': 0.5, 'wgan': (real.mean() + fake.mean()) / 2}
        boundary = middle.get(getattr(self.loss, 'gan_type', None), 0)
        return share_above(real, boundary), 1 - share_above(fake, boundary)

    def _mean(self, pred, target_is_real, is_disc):
        return torch.stack([self.loss(p, target_is_real, is_disc=is_disc) for p in as_list(pred)]).mean()


class WithFeatures(nn.Module):
    """A discriminator whose forward pass also returns its feature maps: image -> (logits, maps)."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, image):
        return self.net.features(image)
