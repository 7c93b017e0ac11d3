"""GAN losses, to be read side by side: three curves over logits each. The base class owns everything else."""

import inspect
import math

import torch
from basicsr.utils.registry import LOSS_REGISTRY
from torch import nn
from torch.nn import functional as F

from basicsr_ganzoo.config.build import check_choice, check_number, construct
from basicsr_ganzoo.errors import StockModelError
from basicsr_ganzoo.losses.logits import at_least_float32, share_above
from basicsr_ganzoo.losses.pairing import PAIRINGS
from basicsr_ganzoo.registry import register


class AdversarialLoss(nn.Module):
    """Base of the GAN losses. A subclass draws the curves ``real``, ``fake`` and, if it differs, ``gen``.

    D minimises ``real(D(gt)) + fake(D(sr))`` and G minimises ``gen(D(sr))``, each a mean over batch and map. With a
    relativistic pairing D's two halves carry 1/2, and G plays D's game with the labels swapped.

    Args:
        loss_weight: factor of G's loss, at least 0; D's is always 1 (BasicSR's convention).
        pairing: ``plain``, ``average`` (ESRGAN), ``batch_average`` (KAIR) or ``paired`` (R3GAN).
        detach_mean: in D's game, keep the gradient out of the mean of the other side, as BasicSR (since 2020) and
            KAIR do; the paper and the released ESRGAN do not.
        scale_reduction: ``mean`` or ``sum`` over the maps of a multi-scale discriminator.

    Logits are raw, of any shape with the batch first, or a list of such tensors. Half-precision logits are judged in
    float32. Returns 0-dim tensors.
    """

    def __init__(self, loss_weight=1.0, pairing='plain', detach_mean=False, scale_reduction='mean'):
        super().__init__()
        check_choice(type(self).__name__, 'pairing', pairing, PAIRINGS)
        check_choice(type(self).__name__, 'scale_reduction', scale_reduction, ('mean', 'sum'))
        check_choice(type(self).__name__, 'detach_mean', detach_mean, (False, True))
        check_number(type(self).__name__, 'loss_weight', loss_weight, least=0)
        if detach_mean and pairing not in ('average', 'batch_average'):
            raise ValueError(
                f'{type(self).__name__} has no mean to detach with pairing: {pairing}; '
                'remove detach_mean, or use pairing: average or batch_average'
            )
        self.loss_weight = loss_weight
        self.pairing = pairing
        self.detach_mean = detach_mean
        self.scale_reduction = scale_reduction

    def real(self, x):
        """D's loss of real logits, element by element."""
        raise NotImplementedError

    def fake(self, x):
        """D's loss of fake logits, element by element."""
        raise NotImplementedError

    def real_unsmoothed(self, x):
        """``real`` without label smoothing, which belongs to D alone."""
        return self.real(x)

    def gen(self, x):
        """G's loss of fake logits, element by element."""
        return self.real_unsmoothed(x)

    @property
    def relativistic(self):
        return self.pairing != 'plain'

    @property
    def separable(self):
        """Whether each of D's losses depends on one side alone, so that their graphs need not be alive together."""
        return not self.relativistic and type(self).d_loss is AdversarialLoss.d_loss

    def d_loss(self, real, fake):
        """D's losses ``(l_d_real, l_d_fake)`` of its logits on real and on fake images."""

        def one_scale(real, fake):
            real, fake = PAIRINGS[self.pairing](real, fake, self.detach_mean)
            half = 0.5 if self.relativistic else 1
            return torch.stack([self.real(real).mean(), self.fake(fake).mean()]) * half

        return tuple(self._over_scales(one_scale, real, fake))

    def g_loss(self, real, fake):
        """G's loss of D's logits on real and on fake images, times ``loss_weight``."""

        def one_scale(real, fake):
            if not self.relativistic:
                return self.gen(fake).mean()
            real, fake = PAIRINGS[self.pairing](real, fake)
            return (self.fake(real).mean() + self.real_unsmoothed(fake).mean()) / 2

        return self.loss_weight * self._over_scales(one_scale, real, fake)

    def forward(self, pred, target_is_real, is_disc=False):
        """What the models of BasicSR and Real-ESRGAN call; equals BasicSR's ``GANLoss`` where that has the loss.

        Raises:
            StockModelError: the pairing needs real and fake logits at once, which those models do not give.
        """
        if self.relativistic:
            raise StockModelError(
                f'{type(self).__name__} with pairing: {self.pairing} needs real and fake logits at once, which this '
                'model does not give; use model_type: GANZooModel, or pairing: plain'
            )
        on_real = self.real if is_disc else self.gen
        curve = on_real if target_is_real else self.fake
        loss = self._over_scales(lambda x: curve(x).mean(), pred)
        return loss if is_disc else loss * self.loss_weight

    def accuracy(self, real, fake):
        """The shares of real and of fake logits that D judges rightly; with a relativistic pairing, of the pairs."""
        real, fake = PAIRINGS[self.pairing](real, fake)
        boundary = self.boundary(real, fake)
        return share_above(real, boundary), 1 - share_above(fake, boundary)

    def boundary(self, real, fake):
        """The logit between what D takes for real and for fake."""
        return 0.0

    def _over_scales(self, loss, *preds):
        scales = zip(*preds, strict=True) if isinstance(preds[0], (list, tuple)) else [preds]
        losses = torch.stack([loss(*map(at_least_float32, scale)) for scale in scales])
        return losses.mean(dim=0) if self.scale_reduction == 'mean' else losses.sum(dim=0)


class _LabelledLoss(AdversarialLoss):
    """A loss that measures the distance of logits to labels.

    Args:
        real_label_val: D's label of real images; below 1 it is smoothed, which leaves G's target at 1.
        fake_label_val: the label of fake images in D's game and, with a relativistic pairing, of the real ones in G's.
    """

    label_range = -math.inf, math.inf

    def __init__(
        self,
        loss_weight=1.0,
        pairing='plain',
        detach_mean=False,
        scale_reduction='mean',
        real_label_val=1.0,
        fake_label_val=0.0,
    ):
        super().__init__(loss_weight, pairing, detach_mean, scale_reduction)
        check_number(type(self).__name__, 'real_label_val', real_label_val, *self.label_range)
        check_number(type(self).__name__, 'fake_label_val', fake_label_val, *self.label_range)
        self.real_label_val = real_label_val
        self.fake_label_val = fake_label_val

    def distance(self, x, label):
        """Loss of logits whose label is the number ``label``, element by element."""
        raise NotImplementedError

    def real(self, x):
        return self.distance(x, self.real_label_val)

    def fake(self, x):
        return self.distance(x, self.fake_label_val)

    def real_unsmoothed(self, x):
        return self.distance(x, 1.0)


def is_gan_loss(entry):
    """Whether a registered loss class or function, or an instance, is a GAN loss: ours, or one with BasicSR's call."""
    cls = entry if inspect.isclass(entry) else type(entry)
    if inspect.isfunction(entry) or hasattr(cls, 'd_loss'):
        return True
    return 'target_is_real' in inspect.signature(cls.forward).parameters


@register(LOSS_REGISTRY)
class VanillaGANLoss(_LabelledLoss):
    """Non-saturating GAN by binary cross-entropy (Goodfellow et al. 2014, arXiv:1406.2661, Sec. 3).

    ``real_label_val: 0.9`` is one-sided label smoothing (Salimans et al. 2016, arXiv:1606.03498, Sec. 3.4): it moves
    D's real label alone, where BasicSR's ``GANLoss`` moves G's target with it. Labels are probabilities, from 0 to 1.
    Other arguments as in the base class.
    """

    label_range = 0, 1

    def distance(self, x, label):
        return F.binary_cross_entropy_with_logits(x, torch.full_like(x, label), reduction='none')


@register(LOSS_REGISTRY)
class LSGANLoss(_LabelledLoss):
    """Least squares to labels, without the paper's 1/2 (Mao et al. 2017, arXiv:1611.04076, Eq. 9), as in BasicSR.

    ``fake_label_val`` defaults to 0, and to -1 with a relativistic pairing, whose targets are +1 and -1
    (arXiv:1807.00734); BasicSR's ESRGANModel leaves it at 0. Other arguments as in the base class.
    """

    def __init__(
        self,
        loss_weight=1.0,
        pairing='plain',
        detach_mean=False,
        scale_reduction='mean',
        real_label_val=1.0,
        fake_label_val=None,
    ):
        if fake_label_val is None:
            fake_label_val = 0.0 if pairing == 'plain' else -1.0
        super().__init__(loss_weight, pairing, detach_mean, scale_reduction, real_label_val, fake_label_val)

    def distance(self, x, label):
        return (x - label).square()

    def boundary(self, real, fake):
        return (self.real_label_val + self.fake_label_val) / 2


@register(LOSS_REGISTRY)
class WGANLoss(AdversarialLoss):
    """Wasserstein critic (Arjovsky et al. 2017, arXiv:1701.07875, Eq. 2 and 3), which needs a Lipschitz-bound D.

    Arguments as in the base class. A relativistic pairing leaves its gradients as they are.
    """

    def real(self, x):
        return -x

    def fake(self, x):
        return x

    def boundary(self, real, fake):
        # A critic is free up to a constant, so only the distance from the other side tells.
        return (real.mean() + fake.mean()) / 2


@register(LOSS_REGISTRY)
class SoftplusGANLoss(AdversarialLoss):
    """Logistic loss of StyleGAN2 (Karras et al. 2020, arXiv:1912.04958); BasicSR's ``wgan_softplus``.

    Equals ``VanillaGANLoss`` without label smoothing. Arguments as in the base class.
    """

    def real(self, x):
        return F.softplus(-x)

    def fake(self, x):
        return F.softplus(x)


@register(LOSS_REGISTRY)
class HingeGANLoss(AdversarialLoss):
    """Hinge for D, linear for G (Lim and Ye 2017, arXiv:1705.02894; SN-GAN, arXiv:1802.05957, Eq. 16 and 17).

    With a relativistic pairing G gets the hinge of D's game, as in arXiv:1807.00734. Arguments as in the base class.
    """

    def real(self, x):
        return F.relu(1 - x)

    def fake(self, x):
        return F.relu(1 + x)

    def gen(self, x):
        return -x

    def forward(self, pred, target_is_real, is_disc=False):
        if not target_is_real and not is_disc:
            raise StockModelError(
                'HingeGANLoss gives G no gradient inside a relativistic model of BasicSR such as ESRGANModel; '
                'use model_type: GANZooModel with pairing: average'
            )
        return super().forward(pred, target_is_real, is_disc)


@register(LOSS_REGISTRY)
class RaGANLoss(VanillaGANLoss):
    """Relativistic average GAN: ``VanillaGANLoss`` with ``pairing: average`` (arXiv:1807.00734; ESRGAN, 1809.00219).

    The means are attached, as in the papers and the ESRGAN of 2018; BasicSR's ESRGANModel is ``detach_mean: true``.
    Both halves carry 1/2, as in BasicSR and KAIR, so ESRGAN's weight 5e-3 means the same here.
    """

    def __init__(
        self,
        loss_weight=1.0,
        pairing='average',
        detach_mean=False,
        scale_reduction='mean',
        real_label_val=1.0,
        fake_label_val=0.0,
    ):
        super().__init__(loss_weight, pairing, detach_mean, scale_reduction, real_label_val, fake_label_val)


@register(LOSS_REGISTRY)
class RpGANLoss(SoftplusGANLoss):
    """Relativistic pairing GAN: ``SoftplusGANLoss`` with ``pairing: paired`` (R3GAN, arXiv:2501.05441, Eq. 2).

    Real and fake crop i show the same place, so their difference cancels the content. R3GAN adds R1 and R2 penalties.
    """

    def __init__(self, loss_weight=1.0, pairing='paired', detach_mean=False, scale_reduction='mean'):
        super().__init__(loss_weight, pairing, detach_mean, scale_reduction)


#: ``gan_type`` of BasicSR and KAIR, and of this package -> (loss, arguments that the spelling implies)
GAN_TYPES = {
    'vanilla': (VanillaGANLoss, {}),
    'gan': (VanillaGANLoss, {}),
    'lsgan': (LSGANLoss, {}),
    'wgan': (WGANLoss, {}),
    'wgan_softplus': (SoftplusGANLoss, {}),
    'softplusgan': (SoftplusGANLoss, {}),
    'softplus': (SoftplusGANLoss, {}),
    'hinge': (HingeGANLoss, {}),
    'ragan': (RaGANLoss, {'pairing': 'batch_average', 'detach_mean': True}),
    'rpgan': (RpGANLoss, {}),
}


@register(LOSS_REGISTRY)
def GANZooLoss(gan_type, **kwargs):
    """Any GAN loss by the name that BasicSR or KAIR give it as ``gan_type``.

    BasicSR has ``vanilla lsgan wgan wgan_softplus hinge`` and KAIR ``gan ragan lsgan wgan softplusgan``; ``softplus``
    and ``rpgan`` are added. ``ragan`` is KAIR's: means over the batch axis only and detached in D's game, unless
    ``pairing`` or ``detach_mean`` says otherwise. Further arguments go to the loss; one that this loss does not have
    is an error.
    """
    check_choice('GANZooLoss', 'gan_type', gan_type, GAN_TYPES)
    loss, implied = GAN_TYPES[gan_type]
    if kwargs.get('pairing') in ('plain', 'paired'):  # which have no mean to detach
        implied = {}
    return construct(loss, {**implied, **kwargs})
