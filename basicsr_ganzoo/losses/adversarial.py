"""GAN losses, each defined by two or three functions of the logits; the base class does everything else."""

import inspect
import math
from typing import Literal

import torch
from basicsr.utils.registry import LOSS_REGISTRY
from torch import nn
from torch.nn import functional as F

from basicsr_ganzoo.config.build import check_choice, check_number, construct
from basicsr_ganzoo.config.signature import checked
from basicsr_ganzoo.config.types import NonNegative, Number
from basicsr_ganzoo.errors import StockModelError
from basicsr_ganzoo.losses.logits import at_least_float32, share_above
from basicsr_ganzoo.losses.pairing import PAIRINGS
from basicsr_ganzoo.registry import register

Pairing = Literal[tuple(PAIRINGS)]
Reduction = Literal['mean', 'sum']


class AdversarialLoss(nn.Module):
    """Base class of the GAN losses. A subclass defines ``real``, ``fake`` and, where G's loss differs, ``gen``.

    D minimizes ``real(D(gt)) + fake(D(sr))`` and G minimizes ``gen(D(sr))``, each averaged over batch and map. With a
    relativistic pairing, each of D's two terms is multiplied by 1/2, and G's loss is D's with the labels swapped.

    Args:
        loss_weight: factor of G's loss, at least 0. D's loss always has the factor 1 (BasicSR's convention).
        pairing: ``plain``, ``average`` (ESRGAN), ``batch_average`` (KAIR) or ``paired`` (R3GAN).
        detach_mean: in D's loss, detach the mean of the other side, as BasicSR (since 2020) and KAIR do; the paper and
            the released ESRGAN do not.
        scale_reduction: ``mean`` or ``sum`` over the scales of a multi-scale discriminator.

    Logits are raw (no sigmoid), of any shape with the batch first, or a list of such tensors, one per scale. Logits in
    half precision are converted to float32. Losses are 0-dim tensors.

    Raises:
        OptionError: an argument is out of its range, or ``detach_mean`` is set with a pairing that has no mean.
    """

    @checked
    def __init__(
        self,
        loss_weight: NonNegative = 1.0,
        pairing: Pairing = 'plain',
        detach_mean: bool = False,
        scale_reduction: Reduction = 'mean',
    ):
        super().__init__()
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
        """D's loss on real logits, element-wise."""
        raise NotImplementedError

    def fake(self, x):
        """D's loss on fake logits, element-wise."""
        raise NotImplementedError

    def real_unsmoothed(self, x):
        """``real`` without label smoothing, which applies to D's loss only."""
        return self.real(x)

    def gen(self, x):
        """G's loss on fake logits, element-wise; by default that of fake logits taken as real."""
        return self.real_unsmoothed(x)

    @property
    def relativistic(self):
        return self.pairing != 'plain'

    @property
    def separable(self):
        """Whether each of D's losses needs one side only, so its graph can be freed before the other's is built."""
        return not self.relativistic and type(self).d_loss is AdversarialLoss.d_loss

    def d_loss(self, real, fake):
        """D's losses ``(l_d_real, l_d_fake)``, given its logits on real and on fake images."""

        def one_scale(real, fake):
            real, fake = PAIRINGS[self.pairing](real, fake, self.detach_mean)
            half = 0.5 if self.relativistic else 1
            return torch.stack([self.real(real).mean(), self.fake(fake).mean()]) * half

        return tuple(self._over_scales(one_scale, real, fake))

    def g_loss(self, real, fake):
        """G's loss, times ``loss_weight``, given D's logits on real and on fake images."""

        def one_scale(real, fake):
            if not self.relativistic:
                return self.gen(fake).mean()
            real, fake = PAIRINGS[self.pairing](real, fake)
            return (self.fake(real).mean() + self.real_unsmoothed(fake).mean()) / 2

        return self.loss_weight * self._over_scales(one_scale, real, fake)

    def forward(self, pred, target_is_real, is_disc=False):
        """The call of BasicSR's and Real-ESRGAN's models; equals BasicSR's ``GANLoss`` where that has this loss.

        Args:
            pred: logits of D.
            target_is_real: whether the target of ``pred`` is real.
            is_disc: True for D's loss, which has no weight; False for G's, which has ``loss_weight``.

        Raises:
            StockModelError: the pairing needs real and fake logits at once, which those models do not provide.
        """
        if self.relativistic:
            raise StockModelError(
                f'{type(self).__name__} with pairing: {self.pairing} needs real and fake logits at once, which this '
                'model does not provide; use model_type: GANZooModel, or pairing: plain'
            )
        on_real = self.real if is_disc else self.gen
        function = on_real if target_is_real else self.fake
        loss = self._over_scales(lambda x: function(x).mean(), pred)
        return loss if is_disc else loss * self.loss_weight

    def accuracy(self, real, fake):
        """D's accuracy on real and on fake logits, each in 0..1; with a relativistic pairing, on the paired logits."""
        real, fake = PAIRINGS[self.pairing](real, fake)
        boundary = self.boundary(real, fake)
        return share_above(real, boundary), 1 - share_above(fake, boundary)

    def boundary(self, real, fake):
        """The logit above which D classifies an image as real."""
        return 0.0

    def _over_scales(self, loss, *preds):
        scales = zip(*preds, strict=True) if isinstance(preds[0], (list, tuple)) else [preds]
        losses = torch.stack([loss(*map(at_least_float32, scale)) for scale in scales])
        return losses.mean(dim=0) if self.scale_reduction == 'mean' else losses.sum(dim=0)


class _LabelledLoss(AdversarialLoss):
    """Base class of the losses that measure the distance of logits to labels.

    Args:
        real_label_val: label of real images in D's loss; below 1 it is smoothed. G's target stays at 1.
        fake_label_val: label of fake images in D's loss and, with a relativistic pairing, of real images in G's.
    """

    label_range = -math.inf, math.inf

    @checked
    def __init__(
        self,
        loss_weight: NonNegative = 1.0,
        pairing: Pairing = 'plain',
        detach_mean: bool = False,
        scale_reduction: Reduction = 'mean',
        real_label_val: Number = 1.0,
        fake_label_val: Number = 0.0,
    ):
        super().__init__(loss_weight, pairing, detach_mean, scale_reduction)
        check_number(type(self).__name__, 'real_label_val', real_label_val, *self.label_range)
        check_number(type(self).__name__, 'fake_label_val', fake_label_val, *self.label_range)
        self.real_label_val = real_label_val
        self.fake_label_val = fake_label_val

    def distance(self, x, label):
        """Loss of the logits ``x``, whose label is the number ``label``, element-wise."""
        raise NotImplementedError

    def real(self, x):
        return self.distance(x, self.real_label_val)

    def fake(self, x):
        return self.distance(x, self.fake_label_val)

    def real_unsmoothed(self, x):
        return self.distance(x, 1.0)


def is_gan_loss(entry):
    """Whether a loss (class, function or instance) is a GAN loss: one of ours, or one with the call of BasicSR's."""
    cls = entry if inspect.isclass(entry) else type(entry)
    if inspect.isfunction(entry) or hasattr(cls, 'd_loss'):
        return True
    return hasattr(cls, 'forward') and 'target_is_real' in inspect.signature(cls.forward).parameters


@register(LOSS_REGISTRY)
class VanillaGANLoss(_LabelledLoss):
    """Non-saturating GAN loss, binary cross-entropy (Goodfellow et al. 2014, arXiv:1406.2661, Sec. 3).

    ``real_label_val: 0.9`` is one-sided label smoothing (Salimans et al. 2016, arXiv:1606.03498, Sec. 3.4): it changes
    D's real label only, whereas BasicSR's ``GANLoss`` also changes G's target. Labels are probabilities, from 0 to 1.
    Other arguments: see :class:`AdversarialLoss`.
    """

    label_range = 0, 1

    def distance(self, x, label):
        return F.binary_cross_entropy_with_logits(x, torch.full_like(x, label), reduction='none')


@register(LOSS_REGISTRY)
class LSGANLoss(_LabelledLoss):
    """Least-squares GAN loss (Mao et al. 2017, arXiv:1611.04076, Eq. 9) without the paper's 1/2, as in BasicSR.

    ``fake_label_val`` defaults to 0, and to -1 with a relativistic pairing, whose targets are +1 and -1
    (arXiv:1807.00734); BasicSR's ESRGANModel keeps 0. Other arguments: see :class:`AdversarialLoss`.
    """

    @checked
    def __init__(
        self,
        loss_weight: NonNegative = 1.0,
        pairing: Pairing = 'plain',
        detach_mean: bool = False,
        scale_reduction: Reduction = 'mean',
        real_label_val: Number = 1.0,
        fake_label_val: Number | None = None,
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
    """Wasserstein loss (Arjovsky et al. 2017, arXiv:1701.07875, Eq. 2 and 3); requires a Lipschitz-continuous D.

    Arguments: see :class:`AdversarialLoss`. A relativistic pairing does not change its gradients.
    """

    def real(self, x):
        return -x

    def fake(self, x):
        return x

    def boundary(self, real, fake):
        # A critic is defined up to a constant, so only the difference between the two sides is meaningful.
        return (real.mean() + fake.mean()) / 2


@register(LOSS_REGISTRY)
class SoftplusGANLoss(AdversarialLoss):
    """Logistic loss of StyleGAN2 (Karras et al. 2020, arXiv:1912.04958); BasicSR's ``wgan_softplus``.

    Equals ``VanillaGANLoss`` without label smoothing. Arguments: see :class:`AdversarialLoss`.
    """

    def real(self, x):
        return F.softplus(-x)

    def fake(self, x):
        return F.softplus(x)


@register(LOSS_REGISTRY)
class HingeGANLoss(AdversarialLoss):
    """Hinge loss for D, linear loss for G (Lim and Ye 2017, arXiv:1705.02894; SN-GAN, arXiv:1802.05957, Eq. 16, 17).

    With a relativistic pairing G's loss is also a hinge, as in arXiv:1807.00734. Arguments: see
    :class:`AdversarialLoss`.
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

    The means are not detached, as in the papers and the ESRGAN of 2018; BasicSR's ESRGANModel equals
    ``detach_mean: true``. Both terms have the factor 1/2, as in BasicSR and KAIR, so ESRGAN's weight 5e-3 is the same
    here.
    """

    @checked
    def __init__(
        self,
        loss_weight: NonNegative = 1.0,
        pairing: Pairing = 'average',
        detach_mean: bool = False,
        scale_reduction: Reduction = 'mean',
        real_label_val: Number = 1.0,
        fake_label_val: Number = 0.0,
    ):
        super().__init__(loss_weight, pairing, detach_mean, scale_reduction, real_label_val, fake_label_val)


@register(LOSS_REGISTRY)
class RpGANLoss(SoftplusGANLoss):
    """Relativistic pairing GAN: ``SoftplusGANLoss`` with ``pairing: paired`` (R3GAN, arXiv:2501.05441, Eq. 2).

    Real and fake crop i show the same content, so their difference cancels it. R3GAN adds R1 and R2 penalties.
    """

    @checked
    def __init__(
        self,
        loss_weight: NonNegative = 1.0,
        pairing: Pairing = 'paired',
        detach_mean: bool = False,
        scale_reduction: Reduction = 'mean',
    ):
        super().__init__(loss_weight, pairing, detach_mean, scale_reduction)


#: ``gan_type`` of BasicSR, KAIR and this package -> (loss, arguments that it implies)
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
def GANZooLoss(gan_type: Literal[tuple(GAN_TYPES)], **kwargs):
    """Any GAN loss, selected by its ``gan_type`` in BasicSR or KAIR.

    Args:
        gan_type: BasicSR's ``vanilla lsgan wgan wgan_softplus hinge``, KAIR's ``gan ragan lsgan wgan softplusgan``, or
            ``softplus`` or ``rpgan``. ``ragan`` is KAIR's: means over the batch axis only and detached in D's loss,
            unless ``pairing`` or ``detach_mean`` is given.
        kwargs: arguments of this loss.

    Raises:
        OptionError: there is no such ``gan_type``, or the loss does not have an argument or refuses its value.
    """
    check_choice('GANZooLoss', 'gan_type', gan_type, GAN_TYPES)
    loss, implied = GAN_TYPES[gan_type]
    if kwargs.get('pairing') in ('plain', 'paired'):  # which have no mean to detach
        implied = {}
    return construct(loss, {**implied, **kwargs})
