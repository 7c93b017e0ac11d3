"""The rules of the health report in one table: condition, diagnosis, the option to change, and the source."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """A diagnosis and its condition.

    ``holds`` returns whether metrics by name meet the condition; a missing metric does not. ``verdict`` says what is
    wrong and ``way_out`` what to change; ``{name}`` in them is a metric, ``{block}`` and ``{network_d}`` are where the
    option file has the adversary's keys. ``with_target`` is the way out if GANWeightTargetRho is set. ``unless`` names
    rules that explain this one. A rule ``of`` the generator is reported once for all adversaries.
    """

    name: str
    holds: Callable
    verdict: str
    way_out: str
    source: str
    unless: tuple = ()
    with_target: str = ''
    of: str = 'discriminator'


HEURISTIC = 'heuristic'
NO_GRADIENT = ('discriminator frozen', 'discriminator at chance')

RULES = (
    Rule(
        'generator frozen',
        lambda n: n['g_moved'] <= 1e-9,
        'the generator does not learn: its weights have not moved',
        'raise train.optim_g.lr, or check train.scheduler',
        HEURISTIC,
        of='generator',
    ),
    Rule(
        'discriminator frozen',
        lambda n: n['d_moved'] <= 1e-9,
        'the discriminator does not learn: its weights have not moved',
        'raise {block}optim_d.lr, or check train.scheduler and {block}net_d_weight_clip',
        HEURISTIC,
    ),
    Rule(
        'discriminator skipped',
        lambda n: n['dlearns'] < 0.01,
        'the discriminator skips its updates, because the generator does not catch up: it judges {acc_d_real:.0%} of '
        'real and {acc_d_fake:.0%} of fake correctly',
        'raise {block}gan_opt.loss_weight, lower {block}optim_d.lr, or raise {block}net_d_skip_accuracy',
        HEURISTIC,
        unless=('generator frozen', 'GAN without effect'),
    ),
    Rule(
        'discriminator wins',
        lambda n: min(n['acc_d_real'], n['acc_d_fake']) > 0.98 and n.get('rho', 1) >= 1e-3,
        'the discriminator wins: it judges {acc_d_real:.0%} of real and {acc_d_fake:.0%} of fake correctly, so the '
        'generator learns little from it',
        'lower {block}optim_d.lr, add R1Regularizer to {block}d_reg_opt, or set {block}net_d_skip_accuracy: 0.9',
        'heuristic; D loss below 1e-2 in J.-Y. Zhu, pix2pix issue 1334',
        unless=('generator frozen', 'discriminator frozen', 'discriminator skipped', 'spectral norm off'),
    ),
    Rule(
        'discriminator at chance',
        lambda n: 0.45 <= n['acc_pair'] <= 0.55 and abs(n['gap']) <= 0.02 * n['max_logit'],
        'the discriminator is at chance: it puts the real one above the fake one in {acc_pair:.0%} of the pairs',
        'lower {block}optim_d.lr if it was better before; else raise it or num_feat of {network_d}, or weaken '
        '{block}d_reg_opt or {block}net_d_weight_clip',
        'heuristic; a loss that stays at ln 2 in Real-ESRGAN issue 672',
        unless=('discriminator frozen', 'spectral norm off'),
    ),
    Rule(
        'GAN without effect',
        lambda n: n['rho'] < 1e-3 and n.get('w_gan', 1) >= 0.05,
        "the GAN has no effect: its gradient at the image is {rho:.1e} of the content losses'",
        'raise {block}gan_opt.loss_weight, or set {block}gan_weight_opt: {{type: GANWeightTargetRho}}',
        HEURISTIC,
        unless=(*NO_GRADIENT, 'GAN weight at its bound'),
        with_target='raise {block}gan_weight_opt.target',
    ),
    Rule(
        'GAN decides alone',
        lambda n: n['rho'] > 30,
        "the GAN decides alone: its gradient at the image is {rho:.0f} times the content losses'",
        'lower {block}gan_opt.loss_weight, or set {block}gan_weight_opt: {{type: GANWeightTargetRho}}',
        HEURISTIC,
        unless=('spectral norm off',),
        with_target='lower {block}gan_weight_opt.target or its min, or {block}gan_opt.loss_weight',
    ),
    Rule(
        'GAN weight at its bound',
        lambda n: n['w_gan_of_most'] > 0.99,
        'the GAN weight is at its upper bound: the discriminator gives the generator next to no gradient',
        'acc_d_real and acc_d_fake show why; raising {block}gan_weight_opt.max would hide it',
        HEURISTIC,
        unless=NO_GRADIENT,
    ),
    Rule(
        'colours drift',
        lambda n: max(map(abs, drifts(n).values()), default=0) > 2,
        'the colours drift: {drift} of 255',
        'add lr_consistency_opt: {{type: LRConsistencyLoss}} to train, or lower train.optim_g.lr',
        'heuristic; what users report in Real-ESRGAN issues 205 and 745',
        unless=('generator frozen',),
        of='generator',
    ),
    Rule(
        'spectral norm off',
        lambda n: n['sn_sigma'] > 1.5,
        'spectral norm does not hold: {sn_layer} of the discriminator has the norm {sn_sigma:.2f} instead of 1',
        'keep the discriminator in train() and its spectral norm on; restart from a checkpoint where it held',
        'the norm is 1 by definition (arXiv:1802.05957); 1.5 is a heuristic',
    ),
    Rule(
        'logits explode',
        lambda n: n['max_logit'] > 1e3,
        'the logits explode: the largest is {max_logit:.0f}',
        'use a discriminator with spectral norm, add R1Regularizer to {block}d_reg_opt, or lower {block}optim_d.lr',
        HEURISTIC,
        unless=('spectral norm off',),
    ),
    Rule(
        'discriminator sharpens',
        lambda n: n['r1'] > max(1, 100 * n['first_r1']),
        'the discriminator gets ever steeper: R1 is {r1:.2g}, and was {first_r1:.2g}',
        'add R1Regularizer to {block}d_reg_opt, or lower {block}optim_d.lr',
        'heuristic; a discriminator whose slope is at most 1 has an R1 of at most 1/2',
        unless=('generator frozen', 'spectral norm off'),
    ),
    Rule(
        'regularizer without effect',
        lambda n: 0 < n['reg_share'] < 1e-4,
        'the regularizers of the discriminator have no effect: they are {reg_share:.0e} of its loss',
        'raise loss_weight in {block}d_reg_opt until reg_share in the log is about 0.1, or remove them',
        HEURISTIC,
        unless=NO_GRADIENT,
    ),
    Rule(
        'discriminator overfits',
        lambda n: n['auc_train'] - n['auc_held_out'] > max(0.15, 2 * n['auc_error']),
        'the discriminator has memorised your images: it puts {auc_train:.0%} of those it sees in training above '
        'generated ones, and {auc_held_out:.0%} of those it has not seen',
        'add DiffAugmentView to {block}views or LeCamRegularizer to {block}d_reg_opt, or use more images',
        'heuristic; two standard errors, so that few validation images raise no alarm',
    ),
)


def holding(metrics):
    """The rules that hold for metrics by name."""
    return [rule for rule in RULES if _holds(rule, metrics)]


def unexplained(rules):
    """Those of ``rules`` that no other one of them explains."""
    names = {rule.name for rule in rules}
    return [rule for rule in rules if not names.intersection(rule.unless)]


def _holds(rule, metrics):
    try:
        return bool(rule.holds(metrics))
    except KeyError:
        return False


def drifts(metrics):
    """The colour drift by channel, in 1/255."""
    return {name.removeprefix('drift_'): value for name, value in metrics.items() if name.startswith('drift_')}


def sentence(rule, metrics, iterations, block='train.'):
    """The warning of a rule that has held for so many iterations; ``block`` is the adversary's, with a dot."""
    places = {'block': block, 'network_d': f'{block.removeprefix("train.")}network_d'}
    drift = ', '.join(f'{name} {value:+.1f}' for name, value in drifts(metrics).items())
    follows_target = 'w_gan_of_most' in metrics and rule.with_target
    texts = (rule.verdict, rule.with_target if follows_target else rule.way_out)
    verdict, way_out = (text.format(**metrics, **places, drift=drift) for text in texts)
    return f'{verdict} ({iterations:,} iterations); {way_out}'
