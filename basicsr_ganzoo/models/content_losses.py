"""The losses that compare the SR image with another image: pixel, LDL, perceptual, and any other by its own key."""

import torch
from basicsr.losses.loss_util import get_refined_artifact_map

from basicsr_ganzoo.config.build import call_parameters
from basicsr_ganzoo.config.schema.train import Train
from basicsr_ganzoo.engine import StepResult
from basicsr_ganzoo.engine.build_loss import build_loss
from basicsr_ganzoo.engine.speed_options import PerceptualNetwork
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.losses.adversarial import is_gan_loss
from basicsr_ganzoo.regularizers.base import Regularizer

LDL_WINDOW = 7  # side in pixels of the window in which LDL measures the variance of residuals (arXiv:2203.09195)
#: keys of ``train`` that end with _opt and are no content loss of their own
OTHERS = tuple(key for key in Train.model_fields if key.endswith('_opt'))
#: names that a further content loss cannot have, because the log uses them already
TAKEN = ('pix', 'ldl', 'percep', 'style', 'net_g')


def further_losses(train_opt):
    """The keys of further content losses: whatever ends with ``_opt`` and has no meaning of its own."""
    return [key for key in train_opt if key.endswith('_opt') and key not in OTHERS]


class ContentLosses:
    """The content losses of a training, each computed with a graph of its own.

    A loss is called with the SR image and what it compares with: ``gt_pix`` for ``pixel_opt``, ``gt_percep`` for
    ``perceptual_opt`` and ``gt`` for all others, unless the loss has ``compares_with = 'lq'``. A loss that takes only
    the SR image, and perhaps a weight, such as BasicSR's WeightedTVLoss, is called with that alone.

    Args:
        train_opt: the block ``train`` of the options.
        placement: where the losses run, an :class:`~basicsr_ganzoo.engine.placement.Placement`.
        precision: in which the perceptual network and the gradients are computed.
        average: the averaged generator, which LDL compares with, or None.
        suffixes: of the adversaries' metrics, which further losses must not use.
    """

    def __init__(self, train_opt, placement, precision, average=None, suffixes=()):
        self.precision, self.average, self.device = precision, average, placement.device
        self.pixel, self.ldl, self.perceptual = (
            build_loss(train_opt.get(key), f'train.{key}', self.device)
            for key in ('pixel_opt', 'ldl_opt', 'perceptual_opt')
        )
        if self.perceptual:
            self.perceptual = placement.to_device(self.perceptual)
            if isinstance(getattr(self.perceptual, 'vgg', None), torch.nn.Module):
                self.perceptual.vgg = PerceptualNetwork(self.perceptual.vgg, precision)
        self.detach_ldl_map = train_opt.get('ldl_detach_map', True)
        taken = {*TAKEN, *(f'{kind}{suffix}' for kind in ('gan', 'fm', 'net_d') for suffix in suffixes)}
        keys = [key for key in further_losses(train_opt) if train_opt[key]]
        self.further = {key.removesuffix('_opt'): self._build_further(train_opt, key, taken) for key in keys}
        if self.ldl and average is None:
            raise OptionError('train.ldl_opt compares with the averaged generator; set train.ema_decay, such as 0.999')

    def __bool__(self):
        return bool(self.pixel or self.perceptual or self.further)

    def _build_further(self, train_opt, key, taken):
        """(the loss, the name of the image it compares with, or None)."""
        name, where = key.removesuffix('_opt'), f'train.{key}'
        if name in taken:
            raise OptionError(f'{where}: the log has another l_g_{name} or grad_{name}; use another name for this loss')
        loss = build_loss(train_opt[key], where, self.device)
        return loss, target_of(loss, where)

    def step(self, sr, batch):
        """Compute all losses of the images ``sr`` (N, C, H, W), whose graph is left alone.

        Returns:
            A :class:`StepResult`: the gradient of their sum at ``sr``, and each loss with the norm of its gradient.

        Raises:
            OptionError: a loss is not a single number.
        """
        image = sr.detach().requires_grad_()
        total, metrics = None, {}
        for name, losses in self._losses(image, batch):
            losses = {key: value for key, value in losses.items() if value is not None}
            if not losses:
                continue
            _check_scalars(losses)
            gradient = self.precision.gradient(sum(losses.values()), image)
            metrics.update((key, loss.detach()) for key, loss in losses.items())
            metrics[f'grad_{name}'] = gradient.norm()
            total = gradient if total is None else total + gradient
        return StepResult(total, metrics)

    def _losses(self, sr, batch):
        """Yield (name, losses by their names in the log); the graph of one can be freed before the next is built."""
        if self.pixel:
            yield 'pix', {'l_g_pix': self.pixel(sr, batch.gt_pix)}
        if self.ldl:
            weight = self._artifact_map(sr, batch)
            yield 'ldl', {'l_g_ldl': self.ldl(weight * sr, weight * batch.gt)}
        if self.perceptual:
            percep, style = self.perceptual(sr, batch.gt_percep)
            yield 'percep', {'l_g_percep': percep, 'l_g_style': style}
        for name, (loss, target) in self.further.items():
            value = loss(sr, getattr(batch, target)) if target else loss(sr)
            parts = [part for part in (value if isinstance(value, tuple) else [value]) if part is not None]
            yield name, {f'l_g_{name}': sum(parts) if parts else None}

    def _artifact_map(self, sr, batch):
        """LDL's map of artifacts: a weight without a gradient, unless ``ldl_detach_map: false``."""
        with torch.no_grad():
            average = self.precision.run(self.average, batch.lq)
        return get_refined_artifact_map(batch.gt, sr.detach() if self.detach_ldl_map else sr, average, LDL_WINDOW)


def _check_scalars(losses):
    for key, value in losses.items():
        if value.ndim:
            shape = 'x'.join(map(str, value.shape))
            raise OptionError(f'{key} is {shape} numbers, not one; set its reduction to mean or sum')


def target_of(loss, where):
    """The name of the image of a :class:`Batch` that a loss compares SR with; None if it takes SR alone.

    Raises:
        OptionError: it is no loss of an image.
    """
    names, target = call_parameters(loss), getattr(loss, 'compares_with', 'gt')
    unfit = is_gan_loss(loss) or isinstance(loss, Regularizer)
    if unfit or not names or target not in ('gt', 'lq'):
        raise OptionError(
            f'{where}: {type(loss).__name__} does not compare the SR image with another image; '
            'a GAN loss goes into gan_opt, a regularizer into d_reg_opt, FeatureMatchingLoss into feature_matching_opt'
        )
    return None if names[1:2] in ([], ['weight']) else target
