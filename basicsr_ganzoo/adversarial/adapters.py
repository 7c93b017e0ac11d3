"""What an adversary is made of beside its discriminator: adapters of losses and networks, and what logits tell."""

import torch
from torch import nn

from basicsr_ganzoo.losses.logits import as_list, at_least_float32, mean_pair_accuracy, share_above


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
    """A discriminator whose forward pass gives its feature maps too: image -> (logits, maps)."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, image):
        return self.net.features(image)


@torch.no_grad()
def statistics(loss, real_pred, fake_pred):
    """What the logits tell of D: their means, the shares that it judges rightly, and the largest of them."""
    real, fake = ([at_least_float32(p) for p in as_list(pred)] for pred in (real_pred, fake_pred))
    rightly = torch.stack([torch.stack(loss.accuracy(r, f)) for r, f in zip(real, fake, strict=True)]).mean(dim=0)
    return {
        'out_d_real': torch.stack([r.mean() for r in real]).mean(),
        'out_d_fake': torch.stack([f.mean() for f in fake]).mean(),
        'acc_d_real': rightly[0],
        'acc_d_fake': rightly[1],
        'acc_pair': mean_pair_accuracy(real, fake),
        'gap': torch.stack([r.mean() - f.mean() for r, f in zip(real, fake, strict=True)]).mean(),
        'max_logit': torch.stack([x.abs().max() for x in (*real, *fake)]).max(),
    }
