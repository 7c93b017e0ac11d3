"""The losses that compare the SR image with a picture: pixel, LDL, perceptual, and any other by its own key."""

import torch
from basicsr.losses.loss_util import get_refined_artifact_map

from basicsr_ganzoo.config.build import call_parameters
from basicsr_ganzoo.config.schema.train import Train
from basicsr_ganzoo.engine.speed_options import PerceptualNetwork
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.losses.adversarial import is_gan_loss
from basicsr_ganzoo.regularizers.base import Regularizer

LDL_WINDOW = 7  # side in pixels of the window in which LDL measures the variance of residuals (arXiv:2203.09195)
#: keys of ``train`` that end with _opt and are no content loss of their own
OTHERS = tuple(key for key in Train.model_fields if key.endswith('_opt'))
#: what a further content loss cannot be called, because its numbers in the log would take another's place
TAKEN = ('pix', 'ldl', 'percep', 'style', 'net_g')


def further_losses(train_opt):
    """The keys of further content losses: whatever ends with ``_opt`` and has no meaning of its own."""
    return [key for key in train_opt if key.endswith('_opt') and key not in OTHERS]


class ContentLosses:
    """Yields the content losses of a model's step, each with a graph of its own.

    A loss is called with the SR image and what it compares with: ``gt_pix`` for ``pixel_opt``, ``gt_percep`` for
    ``perceptual_opt`` and ``gt`` for all others, unless the loss says ``compares_with = 'lq'``. A loss that takes but
    the SR image, and perhaps a weight, as BasicSR's WeightedTVLoss, is called with that alone.

    Args:
        model: has lq, gt, gt_pix, gt_percep, adversaries, speed, precision and, for LDL, net_g_ema.
    """

    def __init__(self, model):
        self.model = model
        train_opt = model.opt['train']
        self.pixel, self.ldl, self.perceptual = (
            model.build_loss(train_opt.get(key), f'train.{key}') for key in ('pixel_opt', 'ldl_opt', 'perceptual_opt')
        )
        if self.perceptual and model.speed.changes_networks:
            self.perceptual = model.speed.lay_out(self.perceptual)
            if isinstance(getattr(self.perceptual, 'vgg', None), torch.nn.Module):
                self.perceptual.vgg = PerceptualNetwork(self.perceptual.vgg, model.precision)
        self.detach_ldl_map = train_opt.get('ldl_detach_map', True)
        self.further = dict(self._build_further(key) for key in further_losses(train_opt) if train_opt[key])
        if self.ldl and not model.ema_decay > 0:
            raise OptionError('train.ldl_opt compares with the averaged generator; set train.ema_decay, such as 0.999')

    def __bool__(self):
        return bool(self.pixel or self.perceptual or self.further)

    def _build_further(self, key):
        """The name of a further loss, and (the loss, what of the model it compares with, or None)."""
        name, where = key.removesuffix('_opt'), f'train.{key}'
        suffixes = [adversary.suffix for adversary in self.model.adversaries.values()]
        if name in TAKEN or name in [kind + suffix for kind in ('gan', 'fm', 'net_d') for suffix in suffixes]:
            raise OptionError(f'{where}: the log has another l_g_{name} or grad_{name}; call this loss otherwise')
        loss = self.model.build_loss(self.model.opt['train'][key], where)
        return name, (loss, target_of(loss, where))

    def terms(self, sr):
        """Yield (name, losses) of ``sr`` (N, C, H, W): 0-dim tensors by their names in the log.

        Raises:
            OptionError: a loss gives more than one number.
        """
        for name, losses in self._terms(sr):
            losses = {key: value for key, value in losses.items() if value is not None}
            for key, value in losses.items():
                if value.ndim:
                    shape = 'x'.join(map(str, value.shape))
                    raise OptionError(f'{key} is {shape} numbers, not one; set its reduction to mean or sum')
            if losses:
                yield name, losses

    def _terms(self, sr):
        model = self.model
        if self.pixel:
            yield 'pix', {'l_g_pix': self.pixel(sr, model.gt_pix)}
        if self.ldl:
            weight = self._artifact_map(sr)
            yield 'ldl', {'l_g_ldl': self.ldl(weight * sr, weight * model.gt)}
        if self.perceptual:
            percep, style = self.perceptual(sr, model.gt_percep)
            yield 'percep', {'l_g_percep': percep, 'l_g_style': style}
        for name, (loss, target) in self.further.items():
            value = loss(sr, getattr(model, target)) if target else loss(sr)
            parts = [part for part in (value if isinstance(value, tuple) else [value]) if part is not None]
            yield name, {f'l_g_{name}': sum(parts) if parts else None}

    def _artifact_map(self, sr):
        """LDL's map of artifacts. It is a weight without a gradient, unless ``ldl_detach_map: false``."""
        with torch.no_grad():
            ema = self.model.precision.run(self.model.net_g_ema, self.model.lq)
        return get_refined_artifact_map(self.model.gt, sr.detach() if self.detach_ldl_map else sr, ema, LDL_WINDOW)


def target_of(loss, where):
    """What a loss compares the SR image with, the name of a picture of the model; None if with nothing.

    Raises:
        OptionError: it is no loss of a picture.
    """
    names, target = call_parameters(loss), getattr(loss, 'compares_with', 'gt')
    unfit = is_gan_loss(loss) or isinstance(loss, Regularizer)
    if unfit or not names or target not in ('gt', 'lq'):
        raise OptionError(
            f'{where}: {type(loss).__name__} does not compare the SR image with a picture; '
            'a GAN loss goes into gan_opt, a regularizer into d_reg_opt, FeatureMatchingLoss into feature_matching_opt'
        )
    return None if names[1:2] in ([], ['weight']) else target
