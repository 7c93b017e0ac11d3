"""The losses that compare the SR image with a picture: pixel, LDL, perceptual, and any other by its own key."""

import torch
from basicsr.losses.loss_util import get_refined_artifact_map

from basicsr_ganzoo._options import OptionError

LDL_WINDOW = 7  # side in pixels of the window in which LDL measures the variance of residuals (arXiv:2203.09195)
#: keys of ``train`` that end with _opt and are no content loss of their own
OTHERS = (
    *('pixel_opt', 'ldl_opt', 'perceptual_opt', 'gan_opt', 'd_reg_opt', 'feature_matching_opt', 'gan_weight_opt'),
    'health_opt',
)


def further_losses(train_opt):
    """The keys of further content losses: whatever ends with ``_opt`` and has no meaning of its own."""
    return [key for key in train_opt if key.endswith('_opt') and key not in OTHERS]


class ContentLosses:
    """Yields the content losses of a model's step, each with a graph of its own.

    A loss is called with the SR image and what it compares with: ``gt_pix`` for ``pixel_opt``, ``gt_percep`` for
    ``perceptual_opt`` and ``gt`` for all others, unless the loss says ``compares_with = 'lq'``.

    Args:
        model: has lq, gt, gt_pix, gt_percep and, for LDL, net_g_ema.
    """

    def __init__(self, model):
        self.model = model
        train_opt = model.opt['train']
        self.pixel, self.ldl, self.perceptual = (
            model.build_loss(train_opt.get(key), f'train.{key}') for key in ('pixel_opt', 'ldl_opt', 'perceptual_opt')
        )
        self.detach_ldl_map = train_opt.get('ldl_detach_map', True)
        self.further = {
            key.removesuffix('_opt'): model.build_loss(train_opt[key], f'train.{key}')
            for key in further_losses(train_opt)
            if train_opt[key]
        }
        if self.ldl and not model.ema_decay > 0:
            raise OptionError('train.ldl_opt compares with the averaged generator; set train.ema_decay, such as 0.999')

    def __bool__(self):
        return bool(self.pixel or self.perceptual or self.further)

    def terms(self, sr):
        """Yield (name, losses) of ``sr`` (N, C, H, W): 0-dim tensors by their names in the log."""
        model = self.model
        if self.pixel:
            yield 'pix', {'l_g_pix': self.pixel(sr, model.gt_pix)}
        if self.ldl:
            weight = self._artifact_map(sr)
            yield 'ldl', {'l_g_ldl': self.ldl(weight * sr, weight * model.gt)}
        if self.perceptual:
            percep, style = self.perceptual(sr, model.gt_percep)
            yield 'percep', {k: v for k, v in (('l_g_percep', percep), ('l_g_style', style)) if v is not None}
        for name, loss in self.further.items():
            value = loss(sr, getattr(model, getattr(loss, 'compares_with', 'gt')))
            parts = value if isinstance(value, tuple) else (value,)
            yield name, {f'l_g_{name}': sum(part for part in parts if part is not None)}

    def _artifact_map(self, sr):
        """LDL's map of artifacts. It is a weight without a gradient, unless ``ldl_detach_map: false``."""
        with torch.no_grad():
            ema = self.model.net_g_ema(self.model.lq)
        return get_refined_artifact_map(self.model.gt, sr.detach() if self.detach_ldl_map else sr, ema, LDL_WINDOW)
