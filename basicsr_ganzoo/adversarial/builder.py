"""Building an adversary from its options."""

import copy

from basicsr.utils.registry import ARCH_REGISTRY
from torch import nn

from basicsr_ganzoo.adversarial.adapters import WithFeatures
from basicsr_ganzoo.adversarial.adversary import Adversary
from basicsr_ganzoo.adversarial.options import check_keys, check_name_of_regularizer
from basicsr_ganzoo.adversarial.roles import ROLES
from basicsr_ganzoo.adversarial.settings import AdversarySettings
from basicsr_ganzoo.adversarial.skip import SkipWhenStrong
from basicsr_ganzoo.config.build import build, check_number, check_whole_number
from basicsr_ganzoo.engine import MovingAverage, build_optimizer
from basicsr_ganzoo.engine.build_loss import build_loss
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.weights import load_checkpoint


class AdversaryBuilder:
    """Builds an :class:`Adversary`.

    Args:
        options: its :class:`~.options.AdversaryOptions`.
        placement: where D runs, an :class:`~basicsr_ganzoo.engine.placement.Placement`.
        precision: in which D runs.
        resumed: whether a resumed training state will give D its weights.
    """

    def __init__(self, options, placement, precision, resumed=False):
        check_keys(options)
        self.options, self.placement, self.precision, self.resumed = options, placement, precision, resumed

    def build(self):
        """The adversary.

        Raises:
            OptionError: a value is wrong.
        """
        net = self._network()
        loss = self._loss('gan_opt')
        matching = self._loss('feature_matching_opt')
        if matching and not _has_features(net):
            raise OptionError(
                f'{self.options.where("feature_matching_opt")}: {type(net).__name__} has no features() to match; '
                'use a discriminator of basicsr_ganzoo, or remove the block'
            )
        self._freeze(net)
        wrapped = self.placement.wrap(WithFeatures(net) if matching else net, sync_buffers=False).train()
        return Adversary(
            wrapped,
            loss,
            build_optimizer(self.options.get('optim_d'), self.options.where('optim_d'), net),
            views=self._views(),
            regularizers=self._regularizers(),
            feature_matching=matching,
            settings=self._settings(net),
            precision=self.precision,
        )

    def _settings(self, net):
        return AdversarySettings(
            name=self.options.name,
            weight=self._loss('gan_weight_opt'),
            skip=self._skip(),
            grad_clip=self._number('grad_clip_d'),
            weight_clip=self._number('net_d_weight_clip'),
            average=self._average(net),
        )

    def _network(self):
        where = self.options.where('network_d')
        net = build(ARCH_REGISTRY, self.options.get('network_d'), where).to(self.placement.device)
        path, key = self.options.get('pretrain_network_d'), self.options.get('param_key_d', 'params')
        if path and not (self.options.name and self.resumed):
            try:
                load_checkpoint(net, path, key, self.options.get('strict_load_d', True), where)
            except OptionError as error:
                raise OptionError(f'{self.options.where("pretrain_network_d")}: {error}') from error
        return net

    def _freeze(self, net):
        count, where = self.options.get('net_d_freeze', 0), self.options.where('net_d_freeze')
        check_whole_number(where, 'the number of layers', count, minimum=0)
        try:
            freeze_first_layers(net, count)
        except ValueError as error:
            raise OptionError(f'{where}: {error}') from error

    def _loss(self, key):
        block, where = self.options.get(key), self.options.where(key)
        return self._built(key, build_loss, block, where) if block else None

    def _built(self, key, build, block, where):
        entry = build(block, where, self.placement.device)
        try:
            return ROLES[key].check(entry)
        except OptionError as error:
            raise OptionError(f'{where}: {error}') from error

    def _views(self):
        blocks, where = self.options.get('views', []), self.options.where('views')
        if not isinstance(blocks, list):
            raise OptionError(f'{where} needs to be a list of blocks with a type, got {blocks!r}')
        return [self._built('views', _build_view, block, f'{where}[{index}]') for index, block in enumerate(blocks)]

    def _regularizers(self):
        blocks, where = self.options.get('d_reg_opt', {}), self.options.where('d_reg_opt')
        if not isinstance(blocks, dict) or 'type' in blocks:
            raise OptionError(f'{where} needs to be a mapping of names to blocks with a type, got {blocks!r}')
        return {name: self._regularizer(name, block, f'{where}.{name}') for name, block in blocks.items()}

    def _regularizer(self, name, block, where):
        check_name_of_regularizer(name, where)
        return self._built('d_reg_opt', build_loss, block, where) if block else None

    def _skip(self):
        accuracy = self._number('net_d_skip_accuracy', maximum=1)
        try:
            return SkipWhenStrong(accuracy) if accuracy else None
        except ValueError as error:
            raise OptionError(f'{self.options.where("net_d_skip_accuracy")}: {error}') from error

    def _average(self, net):
        decay = self._number('net_d_ema_decay', maximum=0.999999)
        return MovingAverage(copy.deepcopy(net).eval().requires_grad_(False), net, decay) if decay else None

    def _number(self, key, maximum=float('inf')):
        value = self.options.get(key, 0)
        try:
            check_number(self.options.where(key), 'the value', value, minimum=0, maximum=maximum)
        except ValueError as error:
            raise OptionError(error) from error
        return value


def check_weights(adversaries, content):
    """Raise ``OptionError`` if a GAN weight compares with the content losses, and there are none."""
    for adversary in adversaries:
        weight = adversary.settings.weight
        if getattr(weight, 'needs_content', False) and not content:
            raise OptionError(
                f'{adversary.block}gan_weight_opt: {type(weight).__name__} compares with the content losses, '
                'and there are none; add train.pixel_opt or perceptual_opt, or use GANWeightRamp'
            )


def freeze_first_layers(net, count):
    """Freeze the first ``count`` layers of a discriminator, as it defines them (FreezeD, arXiv:2002.10964).

    A layer is a module with weights of its own. Frozen batch norm still normalises by the batch.
    """
    layers = [module for module in net.modules() if next(module.parameters(recurse=False), None) is not None]
    if count >= len(layers):
        raise ValueError(f'{type(net).__name__} has {len(layers)} layers, so at most {len(layers) - 1} can be frozen')
    for layer in layers[:count]:
        layer.requires_grad_(False)


def _build_view(block, where, device):
    return build(ARCH_REGISTRY, block, where).to(device)


def _has_features(net):
    features = getattr(net, 'features', None)  # a module of this name, as in VGG, is a part of the network
    return callable(features) and not isinstance(features, nn.Module)
