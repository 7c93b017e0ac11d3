"""The rules of the health report, in one table: when, what to say, which option to turn, and where it is from."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """A verdict and its condition.

    ``holds`` says of the smoothed numbers whether the condition is met; where a number is missing, it is not.
    ``verdict`` says what is wrong and ``way_out`` what to turn; ``{name}`` in them stands for a number, and ``{block}``
    for the block of the option file that the adversary's keys are in. ``unless`` names rules that explain this one.
    """

    name: str
    holds: Callable
    verdict: str
    way_out: str
    source: str
    unless: tuple = ()


HEURISTIC = 'heuristic'

RULES = (
    Rule(
        'generator frozen',
        lambda n: n['g_moved'] <= 1e-9,
        'the generator does not learn: its weights have not moved',
        'raise train.optim_g.lr, or look at train.scheduler',
        HEURISTIC,
    ),
    Rule(
        'discriminator frozen',
        lambda n: n['d_moved'] <= 1e-9,
        'the discriminator does not learn: its weights have not moved',
        'raise {block}optim_d.lr, or look at {block}net_d_skip_accuracy',
        HEURISTIC,
    ),
    Rule(
        'discriminator wins',
        lambda n: min(n['acc_d_real'], n['acc_d_fake']) > 0.98,
        'the discriminator wins: it judges {acc_d_real:.0%} of real and {acc_d_fake:.0%} of fake rightly, so the '
        'generator learns little from it',
        'lower {block}optim_d.lr, add R1Regularizer to {block}d_reg_opt, or set {block}net_d_skip_accuracy: 0.9',
        'heuristic; D loss below 1e-2 in J.-Y. Zhu, pix2pix issue 1334',
        unless=('generator frozen',),
    ),
    Rule(
        'discriminator at chance',
        lambda n: 0.48 <= n['acc_pair'] <= 0.52 and abs(n['gap']) <= 0.02 * max(n['max_logit'], 1e-12),
        'the discriminator is at chance: of {acc_pair:.0%} of the pairs it takes the real one for real',
        'raise {block}optim_d.lr or num_feat of {block}network_d, or weaken its regularizers',
        'heuristic; a loss that stays at ln 2 in Real-ESRGAN issue 672',
        unless=('discriminator frozen',),
    ),
    Rule(
        'GAN without effect',
        lambda n: n['rho'] < 1e-3 and n.get('w_gan', 1) >= 0.05,
        "the GAN has no effect: its gradient at the image is {rho:.1e} of the content losses'",
        'raise {block}gan_opt.loss_weight, or set {block}gan_weight_opt: {{type: GANWeightTargetRho}}',
        HEURISTIC,
        unless=('discriminator frozen', 'discriminator at chance'),
    ),
    Rule(
        'GAN decides alone',
        lambda n: n['rho'] > 30,
        "the GAN decides alone: its gradient at the image is {rho:.0f} times the content losses'",
        'lower {block}gan_opt.loss_weight, or set {block}gan_weight_opt: {{type: GANWeightTargetRho}}',
        HEURISTIC,
    ),
    Rule(
        'GAN weight at its bound',
        lambda n: n['w_gan_of_most'] > 0.99,
        'the GAN weight is at its upper bound: the discriminator gives the generator next to no gradient',
        'see why in acc_d_real and acc_d_fake; raising {block}gan_weight_opt.most would hide it',
        HEURISTIC,
        unless=('discriminator frozen', 'discriminator at chance'),
    ),
    Rule(
        'colours drift',
        lambda n: max(abs(n[f'drift_{c}']) for c in 'rgb') > 2,
        'the colours drift: red {drift_r:+.1f}, green {drift_g:+.1f}, blue {drift_b:+.1f} of 255',
        'add lr_consistency_opt: {{type: LRConsistencyLoss}} to train, or lower train.optim_g.lr',
        'heuristic; what users report in Real-ESRGAN issues 205 and 745',
    ),
    Rule(
        'spectral norm off',
        lambda n: n['sn_sigma'] > 1.5,
        'spectral norm does not hold: a layer of the discriminator has the norm {sn_sigma:.2f} instead of 1',
        'keep the discriminator in train() and its spectral norm on; start again from a checkpoint where it held',
        'the norm is 1 by definition (arXiv:1802.05957); 1.5 is a heuristic',
    ),
    Rule(
        'logits explode',
        lambda n: n['max_logit'] > 1e3,
        'the logits explode: the largest is {max_logit:.0f}',
        'take a discriminator with spectral norm, add R1Regularizer to {block}d_reg_opt, or lower {block}optim_d.lr',
        HEURISTIC,
        unless=('spectral norm off',),
    ),
    Rule(
        'discriminator sharpens',
        lambda n: n['r1'] > 100 * n['first_r1'] > 0,
        'the discriminator gets ever steeper: R1 is {r1:.2g}, and was {first_r1:.2g}',
        'add R1Regularizer to {block}d_reg_opt, or lower {block}optim_d.lr',
        HEURISTIC,
        unless=('spectral norm off',),
    ),
    Rule(
        'discriminator overfits',
        lambda n: n['acc_pair'] - n['held_out_acc'] > 0.15,
        'the discriminator knows your pictures by heart: it judges {acc_pair:.0%} of the training pairs rightly, and '
        '{held_out_acc:.0%} of those it has not seen',
        'add DiffAugmentView to {block}views or LeCamRegularizer to {block}d_reg_opt, or take more pictures',
        HEURISTIC,
    ),
)


def failing(numbers):
    """The names of the rules that hold for smoothed ``numbers``, without those that another one explains."""
    found = [rule for rule in RULES if _holds(rule, numbers)]
    names = {rule.name for rule in found}
    return [rule for rule in found if not names.intersection(rule.unless)]


def _holds(rule, numbers):
    try:
        return bool(rule.holds(numbers))
    except KeyError:
        return False
