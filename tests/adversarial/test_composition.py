"""Everything goes with everything: each discriminator x loss x regularizer takes two steps, and the rest is spread.

The product of discriminators, losses and regularizers is complete. The other axes (pairing, laziness, one or two
adversaries, feature matching, views, GAN weights, stabilisers of D) are drawn for each combination, so that every two
values of any two axes, of these and of those, meet; a test holds the draw to that.
"""

import itertools
import random

import pytest
import torch
from _products import product
from _training import model_opt
from _zoo import GAN_LOSSES
from basicsr.models import build_model

from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.losses.pairing import PAIRINGS
from basicsr_ganzoo.registry import entries

#: what makes discriminators fit for 32 pixels
SMALL = {
    'MultiScalePatchGANDiscriminator': {'num_layers': 1, 'num_scales': 2},
    'PatchGANDiscriminator': {'num_layers': 2},
    'ResNetDiscriminator': {'num_down': 3},
    'VGGDiscriminator': {'input_size': 32},
}
WITHOUT_MAP = ('ResNetDiscriminator', 'SRGANDiscriminator', 'VGGDiscriminator')
#: charges from the first step on, and small enough for a raw critic
REGULARIZERS = {name: {'loss_weight': 0.1} for name in entries('regularizers')}
REGULARIZERS['LeCamRegularizer']['start'] = 0
SECOND = {
    'network_d': {'type': 'PixelGANDiscriminator', 'num_feat': 4},
    'gan_opt': {'type': 'HingeGANLoss', 'pairing': 'average', 'loss_weight': 0.1},
    'optim_d': {'type': 'Adam', 'lr': 1e-4},
    'd_reg_opt': {'r1': {'type': 'R1Regularizer', 'interval': 2}},
}
WEIGHTS = {'GANWeightRamp': {'start': 0.1}, 'GANWeightTargetRho': {}}
STABILISERS = {
    'none': {},
    'on D': {'net_d_weight_clip': 0.5, 'grad_clip_d': 0.5, 'net_d_ema_decay': 0.9, 'net_d_skip_accuracy': 0.99},
    'frozen': {'net_d_freeze': 1},
}
FULL = {
    'discriminator': list(entries('archs')),
    'loss': list(GAN_LOSSES),
    'regularizer': list(REGULARIZERS),
}
SPREAD = {
    'pairing': list(PAIRINGS),
    'interval': [1, 2],
    'adversaries': [1, 2],
    'matching': [False, True],
    'view': [None, *entries('views')],
    'weight': [None, *entries('gan_weights')],
    'stabilisers': list(STABILISERS),
}
AXES = FULL | SPREAD


def combinations():
    draw = random.Random(0)
    for chosen in itertools.product(*FULL.values()):
        yield dict(zip(AXES, (*chosen, *(draw.choice(values) for values in SPREAD.values())), strict=True))


COMBINATIONS = list(combinations())


def options(combination):
    """The option file of a combination, and the size of its pictures."""
    name, kind = combination['discriminator'], combination['regularizer']
    adversary = {
        'network_d': {'type': name, 'num_feat': 4, **SMALL.get(name, {})},
        'gan_opt': {'type': combination['loss'], 'pairing': combination['pairing'], 'loss_weight': 0.1},
        'optim_d': {'type': 'Adam', 'lr': 1e-4},
        'd_reg_opt': {'it': {'type': kind, 'interval': combination['interval'], **REGULARIZERS[kind]}},
        'views': [{'type': combination['view']}] if combination['view'] else None,
        'feature_matching_opt': {'type': 'FeatureMatchingLoss'} if combination['matching'] else None,
        'gan_weight_opt': {'type': combination['weight'], **WEIGHTS[combination['weight']]}
        if combination['weight']
        else None,
        **STABILISERS[combination['stabilisers']],
    }
    several = {'first': adversary} | ({'second': SECOND} if combination['adversaries'] == 2 else {})
    opt = model_opt() | {'adversaries': several}
    opt['network_g'] = {'type': 'MSRResNet', 'num_feat': 4, 'num_block': 0, 'upscale': 4}
    return opt, 64 if combination['view'] == 'ScaleView' else 32


def take_two_steps(combination):
    opt, size = options(combination)
    torch.manual_seed(0)
    model = build_model(opt)
    nets = {'net_g': model.net_g} | {label: adversary.bare for label, adversary in model.adversaries.items()}
    before = {name: [p.detach().clone() for p in net.parameters()] for name, net in nets.items()}
    metrics = {}
    for iteration in (1, 2):
        model.feed_data({'lq': torch.rand(2, 3, size // 4, size // 4), 'gt': torch.rand(2, 3, size, size)})
        model.optimize_parameters(iteration)
        assert model.guard.bad_steps == 0
        metrics |= model.log_dict
    penalty = metrics['l_d_it_first']
    assert penalty > 0 or (penalty == 0 and combination['regularizer'] == 'LeCamRegularizer')  # which has a dead zone
    assert torch.tensor(list(metrics.values())).isfinite().all()
    for name, net in nets.items():
        pairs = list(zip(before[name], net.parameters(), strict=True))
        assert all(torch.equal(old, new) for old, new in pairs if not new.requires_grad), name
        changed = [not torch.equal(old, new) for old, new in pairs if new.requires_grad]
        assert sum(changed) > len(changed) / 2, name
        assert all(p.isfinite().all() for p in net.parameters()), name


@pytest.mark.slow
@product(('discriminator', 'loss'), FULL['discriminator'], FULL['loss'])
def test_every_discriminator_loss_and_regularizer_take_two_finite_steps(discriminator, loss):
    chosen = [c for c in COMBINATIONS if (c['discriminator'], c['loss']) == (discriminator, loss)]
    assert len(chosen) == len(REGULARIZERS)
    for combination in chosen:
        try:
            if combination['regularizer'] == 'CutMixConsistency' and discriminator in WITHOUT_MAP:
                with pytest.raises(OptionError, match='needs a discriminator with a map'):
                    take_two_steps(combination)
            else:
                take_two_steps(combination)
        except BaseException:
            print(combination)
            raise


def test_every_two_values_of_any_two_axes_meet():
    missing = [
        (one, a, other, b)
        for one, other in itertools.combinations(AXES, 2)
        for a, b in itertools.product(AXES[one], AXES[other])
        if not any(c[one] == a and c[other] == b for c in COMBINATIONS)
    ]
    assert missing == []
