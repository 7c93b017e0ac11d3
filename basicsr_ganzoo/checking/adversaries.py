"""Adversaries: their form, their views and regularizers, and what does not go together in their games."""

from basicsr.utils.registry import ARCH_REGISTRY, LOSS_REGISTRY

from basicsr_ganzoo.adversarial.options import HOMES, adversaries_of, check_name_of_regularizer
from basicsr_ganzoo.checking.findings import adversaries, error, get, warning
from basicsr_ganzoo.checking.shapes import network_without_numbers
from basicsr_ganzoo.checking.values import is_whole
from basicsr_ganzoo.config.build import build
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.health.report import options_of
from basicsr_ganzoo.losses.adversarial import WGANLoss
from basicsr_ganzoo.models.content_losses import further_losses

#: what keeps a critic from growing without bound
BOUNDS = ('GradientPenalty', 'DRAGANPenalty', 'R1Regularizer', 'R2Regularizer', 'ApproximateR1Regularizer')


def check(opt):
    """Findings about adversaries and the health report."""
    try:
        if not adversaries_of(opt):
            yield from _idle(opt)
    except OptionError as mistake:
        yield error('adversaries', mistake)
    try:
        options_of(get(opt, 'train', {}))
    except OptionError as mistake:
        yield error('train.health_opt', mistake)
    for adversary in adversaries(opt):
        for part in (_needed, _views, _regularizers, _critic, _lecam, _weight, _ramp):
            yield from part(opt, adversary)


def _idle(opt):
    """Keys of a discriminator where there is none."""
    for key, home in HOMES.items():
        if home == 'train.' and key != 'optim_d' and get(opt, f'train.{key}'):
            told = 'there is no discriminator, so that this has no effect; give network_d and gan_opt, or remove it'
            yield warning(f'train.{key}', told)


def _needed(opt, adversary):
    for key in ('network_d', 'gan_opt', 'optim_d') if adversary.name else ():
        if not adversary.get(key):
            yield error(adversary.where(key), 'this key is missing')


def _views(opt, adversary):
    blocks = adversary.get('views', [])
    for index, block in enumerate(blocks if isinstance(blocks, list) else []):
        yield from _built(ARCH_REGISTRY, block, f'{adversary.where("views")}[{index}]', 'transform', 'view', 'views')


def _regularizers(opt, adversary):
    blocks = adversary.get('d_reg_opt', {})
    for name, block in blocks.items() if isinstance(blocks, dict) and 'type' not in blocks else ():
        where = f'{adversary.where("d_reg_opt")}.{name}'
        try:
            check_name_of_regularizer(name, where)
        except OptionError as mistake:
            yield error(where, mistake)
        yield from _built(LOSS_REGISTRY, block, where, 'penalty', 'regularizer', 'regularizers')


def _built(registry, block, where, method, what, kind):
    """The mistake that building a block tells, or that what it names has not the method that makes it such a thing."""
    try:
        if not hasattr(build(registry, block, where), method):
            yield error(where, f'{block["type"]} is no {what}; `ganzoo list {kind}` names them')
    except OptionError as mistake:
        yield error(where, mistake)


def _types(adversary, key):
    blocks = adversary.get(key, {})
    return (
        [block.get('type') for block in blocks.values() if isinstance(block, dict)] if isinstance(blocks, dict) else []
    )


def _loss(adversary):
    """The GAN loss, or None where it cannot be built, which :mod:`.blocks` reports."""
    try:
        return build(LOSS_REGISTRY, adversary.get('gan_opt'), adversary.where('gan_opt'))
    except OptionError:
        return None


def _critic(opt, adversary):
    """WGAN wants a critic with a bound, which spectral norm, a penalty or clipping gives."""
    loss, network = _loss(adversary), adversary.get('network_d')
    if not isinstance(loss, WGANLoss) and getattr(loss, 'gan_type', None) != 'wgan':
        return
    net = network_without_numbers(network, adversary.where('network_d'))[0] if isinstance(network, dict) else None
    spectral = net is not None and any(name.endswith('weight_u') for name, _ in net.named_buffers())
    if not (spectral or adversary.get('net_d_weight_clip') or set(BOUNDS) & set(_types(adversary, 'd_reg_opt'))):
        told = 'nothing bounds this critic, so its logits grow for ever; add GradientPenalty to d_reg_opt, or take a'
        yield warning(adversary.where('gan_opt'), f'{told} discriminator with spectral norm')


def _lecam(opt, adversary):
    if getattr(_loss(adversary), 'relativistic', False) and 'LeCamRegularizer' in _types(adversary, 'd_reg_opt'):
        told = 'LeCamRegularizer anchors the level of the logits, which a relativistic loss leaves free'
        yield warning(adversary.where('d_reg_opt'), f'{told}; take it with pairing: plain')


def _weight(opt, adversary):
    block, where = adversary.get('gan_weight_opt', {}), adversary.where('gan_weight_opt')
    if not isinstance(block, dict):
        return
    train = get(opt, 'train', {})
    content = any(train.get(key) for key in ('pixel_opt', 'perceptual_opt', *further_losses(train)))
    if block.get('type') == 'GANWeightTargetRho' and not content:
        yield error(where, 'rho compares with the content losses, and there are none; give pixel_opt, or remove this')


def _ramp(opt, adversary):
    block, where = adversary.get('gan_weight_opt', {}), adversary.where('gan_weight_opt')
    if not isinstance(block, dict) or block.get('type') != 'GANWeightRamp':
        return
    alone, total = get(opt, 'train.net_d_init_iters', 0), get(opt, 'train.total_iter', 0)
    begin, iters = block.get('begin', 0), block.get('iters', 5000)
    if not all(map(is_whole, (alone, total, begin, iters))):
        return
    if begin < alone:
        told = f'the ramp begins while D learns alone (net_d_init_iters: {alone})'
        yield warning(where, f'{told}; set begin: {alone} to ramp after that')
    if begin + iters > total:
        told = f'the ramp ends at iteration {begin + iters}, after total_iter {total}; give a smaller begin or iters'
        yield warning(where, told)
