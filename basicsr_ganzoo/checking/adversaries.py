"""Adversaries: their form and names, and what does not go together in their loss computations."""

from basicsr_ganzoo.adversarial import adversaries_of
from basicsr_ganzoo.adversarial.options import check_name_of_regularizer
from basicsr_ganzoo.config.findings import error, warning
from basicsr_ganzoo.config.schema import HOMES
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.losses.adversarial import WGANLoss
from basicsr_ganzoo.models.content_losses import further_losses


def check(plan):
    """Findings about adversaries."""
    try:
        if not adversaries_of(plan.opt):
            yield from _idle(plan)
    except OptionError as mistake:
        yield error('adversaries', mistake)
    for adversary in plan.adversaries:
        for part in (_names, _critic, _lecam, _weight, _ramp):
            yield from part(plan, adversary)


def _idle(plan):
    """Keys of a discriminator where there is none."""
    for key, home in HOMES.items():
        if home == 'train.' and key != 'optim_d' and plan.get(f'train.{key}') and not plan.has('network_d'):
            message = 'there is no discriminator, so that this has no effect; give network_d and gan_opt, or remove it'
            yield warning(f'train.{key}', message)


def _names(plan, adversary):
    for name in adversary.get('d_reg_opt', {}):
        where = f'{adversary.where("d_reg_opt")}.{name}'
        try:
            check_name_of_regularizer(name, where)
        except OptionError as mistake:
            yield error(where, mistake)


def _types(plan, adversary):
    return {type(regularizer).__name__ for regularizer in plan.regularizers(adversary).values()}


def _critic(plan, adversary):
    """WGAN requires a bounded critic, which spectral norm, a penalty or clipping gives."""
    loss, net = plan.loss(adversary), plan.built.get(adversary.where('network_d'))
    if not isinstance(loss, WGANLoss) and getattr(loss, 'gan_type', None) != 'wgan':
        return
    spectral = net is not None and any(name.endswith('weight_u') for name, _ in net.named_buffers())
    penalties = any(getattr(entry, 'limits_slope', False) for entry in plan.regularizers(adversary).values())
    if not (spectral or penalties or adversary.get('net_d_weight_clip')):
        message = 'nothing bounds this critic, so its logits grow for ever; add GradientPenalty to d_reg_opt, or take a'
        yield warning(adversary.where('gan_opt'), f'{message} discriminator with spectral norm')


def _lecam(plan, adversary):
    if getattr(plan.loss(adversary), 'relativistic', False) and 'LeCamRegularizer' in _types(plan, adversary):
        message = 'LeCamRegularizer anchors the level of the logits, which a relativistic loss leaves free'
        yield warning(adversary.where('d_reg_opt'), f'{message}; take it with pairing: plain')


def _weight(plan, adversary):
    where = adversary.where('gan_weight_opt')
    content = ('pixel_opt', 'perceptual_opt', *further_losses(plan.names('train')))
    if getattr(plan.built.get(where), 'needs_content', False) and not any(plan.has(f'train.{key}') for key in content):
        yield error(where, 'rho compares with the content losses, and there are none; give pixel_opt, or remove this')


def _ramp(plan, adversary):
    ramp, where = plan.built.get(adversary.where('gan_weight_opt')), adversary.where('gan_weight_opt')
    if type(ramp).__name__ != 'GANWeightRamp':
        return
    alone, total = plan.get('train.net_d_init_iters', 0), plan.get('train.total_iter', float('inf'))
    if ramp.begin < alone:
        message = f'the ramp begins while D learns alone (net_d_init_iters: {alone})'
        yield warning(where, f'{message}; set begin: {alone} to ramp after that')
    end = ramp.begin + ramp.iters
    if end > total:
        message = f'the ramp ends at iteration {end}, after total_iter {total}; give a smaller begin or iters'
        yield warning(where, message)
