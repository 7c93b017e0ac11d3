"""The adversaries that an option file describes: one, with BasicSR's keys, or several by name."""

import copy
import re
from dataclasses import dataclass

from basicsr.utils.registry import ARCH_REGISTRY
from torch import nn

from basicsr_ganzoo.adversarial.adversary import Adversary, WithFeatures
from basicsr_ganzoo.adversarial.skip import SkipWhenStrong
from basicsr_ganzoo.config.build import build, check_number, check_whole_number, did_you_mean
from basicsr_ganzoo.config.schema import ADVERSARY_HOMES
from basicsr_ganzoo.engine.optimizers import build_optimizer
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.losses.adversarial import is_gan_loss

#: the keys of an adversary, and the block in which each stands in a file with one adversary
HOMES = ADVERSARY_HOMES
NEEDED = ('network_d', 'gan_opt')
NAME = re.compile(r'[A-Za-z]\w*')


@dataclass(frozen=True)
class AdversaryOptions:
    """What an option file says of one adversary: its keys without their blocks, and its name, '' for the only one."""

    name: str
    options: dict

    @property
    def label(self):
        """The stem of its files: ``net_d``, or ``net_d_NAME``."""
        return f'net_d_{self.name}' if self.name else 'net_d'

    @property
    def suffix(self):
        """What its numbers carry in the log, such as ``l_g_gan_NAME``."""
        return f'_{self.name}' if self.name else ''

    @property
    def block(self):
        """The block in which the keys of its losses and optimizer are, with a dot."""
        return f'adversaries.{self.name}.' if self.name else 'train.'

    def where(self, key):
        """The dotted key of one of its keys, for messages."""
        return f'adversaries.{self.name}.{key}' if self.name else f'{HOMES[key]}{key}'

    def get(self, key, default=None):
        value = self.options.get(key)
        return default if value is None else value


def adversaries_of(opt):
    """The adversaries of an option file, a list of :class:`AdversaryOptions`.

    Raises:
        OptionError: the file has both forms, a block that is no mapping, or a name that makes no file name.
    """
    several = opt.get('adversaries')
    single = {key: (opt.get(home[:-1]) or {} if home else opt).get(key) for key, home in HOMES.items()}
    single = {key: value for key, value in single.items() if value is not None}
    if not several:
        return [AdversaryOptions('', single)] if 'network_d' in single or 'gan_opt' in single else []
    extra = [key for key in single if key not in ('param_key_d', 'strict_load_d')]
    if extra:
        where = f'{HOMES[extra[0]]}{extra[0]}'
        raise OptionError(f'{where} is there beside adversaries; move it into the block of the adversary it belongs to')
    if not isinstance(several, dict):
        raise OptionError(f'adversaries needs to be a mapping of names to blocks, got {several!r}')
    for name, block in several.items():
        _check_form(name, block)
    _check_case(several)
    return [AdversaryOptions(name, block) for name, block in several.items()]


def _check_form(name, block):
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise OptionError(f'adversaries.{name}: a name has to be of letters, digits and _, for its files')
    if not isinstance(block, dict):
        raise OptionError(
            f'adversaries.{name} needs to be a mapping with {", ".join((*NEEDED, "optim_d"))}, got {block!r}'
        )


def _check_case(names):
    first = {}
    for name in names:
        other = first.setdefault(name.lower(), name)
        if other != name:
            raise OptionError(
                f'adversaries: {other} and {name} differ in case alone, so that they share their files on some disks; '
                'call one of them otherwise'
            )


def check_keys(options):
    """Raise ``OptionError`` if an adversary lacks its network or its loss, or has a key that nobody reads."""
    for key in options.options:
        if key not in HOMES:
            raise OptionError(f'{options.block}{key}: nobody reads this key{did_you_mean(key, HOMES)}')
    for key in NEEDED:
        if not options.get(key):
            present = next((options.where(k) for k in NEEDED if options.get(k)), options.block[:-1])
            raise OptionError(f'{present} is there but {options.where(key)} is not; give both for a GAN, or neither')


class AdversaryBuilder:
    """Builds an :class:`Adversary` of :class:`AdversaryOptions` for a model, whose device and optimizers it uses."""

    def __init__(self, model, options):
        check_keys(options)
        self.model = model
        self.options = options

    def build(self):
        """The adversary."""
        net = self._network()
        loss = self._loss_of('gan_opt', 'GAN loss', is_gan_loss)
        matching = self._loss_of('feature_matching_opt', 'loss of feature maps', compares_maps)
        if matching and not _gives_features(net):
            raise OptionError(
                f'{self.options.where("feature_matching_opt")}: {type(net).__name__} has no features() to match; '
                'take a discriminator of basicsr_ganzoo, or remove the block'
            )
        self._freeze(net)
        wrapped = self.model.model_to_device(WithFeatures(net) if matching else net, sync_buffers=False)
        wrapped.train()
        return Adversary(
            wrapped,
            loss,
            build_optimizer(self.options.get('optim_d'), self.options.where('optim_d'), net),
            views=self._views(),
            regularizers=self._regularizers(),
            feature_matching=matching,
            weight=self._loss_of('gan_weight_opt', 'GAN weight', lambda it: hasattr(it, 'factor')),
            skip=self._skip(),
            grad_clip=self._number('grad_clip_d'),
            weight_clip=self._number('net_d_weight_clip'),
            average=self._average(net),
            suffix=self.options.suffix,
            block=self.options.block,
            precision=self.model.precision,
        )

    def _network(self):
        where = self.options.where('network_d')
        net = build(ARCH_REGISTRY, self.options.get('network_d'), where).to(self.model.device)
        self.model.print_network(net)
        path, key = self.options.get('pretrain_network_d'), self.options.get('param_key_d', 'params')
        if path and not (self.options.name and self.model.opt['path'].get('resume_state')):  # else resuming loads it
            strict = self.options.get('strict_load_d', True)
            try:
                self.model.load_network(net, path, strict, key, label=where)
            except OptionError as error:
                raise OptionError(f'{self.options.where("pretrain_network_d")}: {error}') from error
        return net

    def _freeze(self, net):
        count = self.options.get('net_d_freeze', 0)
        where = self.options.where('net_d_freeze')
        check_whole_number(where, 'the number of layers', count, least=0)
        try:
            freeze_first_layers(net, count)
        except ValueError as error:
            raise OptionError(f'{where}: {error}') from error

    def _loss_of(self, key, kind, is_fit):
        block, where = self.options.get(key), self.options.where(key)
        return _checked(self.model.build_loss(block, where), where, kind, is_fit) if block else None

    def _views(self):
        blocks, where = self.options.get('views', []), self.options.where('views')
        if not isinstance(blocks, list):
            raise OptionError(f'{where} needs to be a list of blocks with a type, got {blocks!r}')
        views = {f'{where}[{index}]': block for index, block in enumerate(blocks)}
        views = {place: build(ARCH_REGISTRY, block, place).to(self.model.device) for place, block in views.items()}
        return [_checked(view, place, 'view', lambda it: hasattr(it, 'out_channels')) for place, view in views.items()]

    def _regularizers(self):
        blocks, where = self.options.get('d_reg_opt', {}), self.options.where('d_reg_opt')
        if not isinstance(blocks, dict) or 'type' in blocks:
            raise OptionError(f'{where} needs to be a mapping of names to blocks with a type, got {blocks!r}')
        return {name: self._regularizer(name, block, f'{where}.{name}') for name, block in blocks.items()}

    def _regularizer(self, name, block, where):
        check_name_of_regularizer(name, where)
        regularizer = self.model.build_loss(block, where)
        return _checked(regularizer, where, 'regularizer of D', lambda it: hasattr(it, 'is_due'))

    def _skip(self):
        accuracy = self._number('net_d_skip_accuracy', most=1)
        try:
            return SkipWhenStrong(accuracy) if accuracy else None
        except ValueError as error:
            raise OptionError(f'{self.options.where("net_d_skip_accuracy")}: {error}') from error

    def _average(self, net):
        decay = self._number('net_d_ema_decay', most=0.999999)
        return (copy.deepcopy(net).eval().requires_grad_(False), decay) if decay else None

    def _number(self, key, most=float('inf')):
        value = self.options.get(key, 0)
        try:
            check_number(self.options.where(key), 'the value', value, least=0, most=most)
        except ValueError as error:
            raise OptionError(error) from error
        return value


def check_name_of_regularizer(name, where):
    """Raise ``OptionError`` if a regularizer cannot be called ``name`` in the log and in a training state."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise OptionError(f'{where}: a name has to be of letters, digits and _, for the log')
    if name in ('real', 'fake') or hasattr(nn.ModuleDict(), name):
        raise OptionError(f'{where}: the name {name} is taken; call the regularizer otherwise, such as r1')


def check_weights(adversaries, content):
    """Raise ``OptionError`` if a GAN weight compares with the content losses, and there are none."""
    for adversary in adversaries:
        if getattr(adversary.weight, 'needs_content', False) and not content:
            raise OptionError(
                f'{adversary.block}gan_weight_opt: {type(adversary.weight).__name__} compares with the content losses, '
                'and there are none; give train.pixel_opt or perceptual_opt, or take GANWeightRamp'
            )


def _checked(entry, where, kind, is_fit):
    if not is_fit(entry):
        raise OptionError(f'{where}: {type(entry).__name__} is no {kind}; `ganzoo list` has those that are')
    return entry


def compares_maps(loss):
    """Whether a loss compares feature maps of a discriminator."""
    return getattr(loss, 'compares_with', None) == 'maps'


def _gives_features(net):
    features = getattr(net, 'features', None)  # a module of this name, as in VGG, is a part of the network
    return callable(features) and not isinstance(features, nn.Module)


def freeze_first_layers(net, count):
    """Freeze the first ``count`` layers of a discriminator, as it defines them (FreezeD, arXiv:2002.10964).

    A layer is a module that has weights of its own. Frozen batch norm still normalises by the batch.
    """
    layers = [module for module in net.modules() if next(module.parameters(recurse=False), None) is not None]
    if count >= len(layers):
        raise ValueError(f'{type(net).__name__} has {len(layers)} layers, so at most {len(layers) - 1} can be frozen')
    for layer in layers[:count]:
        layer.requires_grad_(False)
