"""What a step costs, told from shapes: equal to what a step counts, and without a trace in the model."""

import random

import numpy as np
import pytest
import torch
from _state import differences, state_of
from _training import batches, model_opt
from basicsr.models import build_model
from test_cost import RAGAN
from torch import nn

from basicsr_ganzoo.cost import FlopCounter
from basicsr_ganzoo.step_cost import step_cost

D = {'type': 'UNetSNDiscriminator', 'num_feat': 4}
HINGE = {'type': 'HingeGANLoss', 'loss_weight': 0.1}
ADAM = {'type': 'Adam', 'lr': 1e-4}
PERCEPTUAL = {'type': 'PerceptualLoss', 'layer_weights': {'conv1_2': 1}}
MATCHING = {'type': 'FeatureMatchingLoss'}
AUGMENT = [{'type': 'DiffAugmentView'}, {'type': 'WaveletView'}]
LAZY = {'r1': {'type': 'R1Regularizer', 'interval': 2}, 'mix': {'type': 'CutMixConsistency', 'interval': 4}}


def several(opt):
    """Another adversary beside the first."""
    one = {'network_d': opt.pop('network_d'), **{key: opt['train'].pop(key) for key in ('gan_opt', 'optim_d')}}
    patch = {'network_d': {'type': 'PatchGANDiscriminator', 'num_feat': 4, 'num_layers': 2}, 'gan_opt': RAGAN}
    opt['adversaries'] = {'one': one, 'two': {**patch, 'optim_d': ADAM, 'd_reg_opt': LAZY}}


MODELS = {
    'L1 alone': ({}, {'G'}, None),
    'a GAN': ({'gan_opt': HINGE}, {'G', 'D'}, None),
    'relativistic, with a perceptual loss': (
        {'gan_opt': RAGAN, 'perceptual_opt': PERCEPTUAL},
        {'G', 'D', 'perceptual'},
        None,
    ),
    'two perceptual losses': ({'perceptual_opt': PERCEPTUAL, 'further_opt': PERCEPTUAL}, {'G', 'perceptual'}, None),
    'feature matching and views': (
        {'gan_opt': HINGE, 'feature_matching_opt': MATCHING, 'views': AUGMENT, 'network_d': {**D, 'num_in_ch': 3}},
        {'G', 'D'},
        None,
    ),
    'lazy regularizers': ({'gan_opt': HINGE, 'd_reg_opt': LAZY}, {'G', 'D'}, None),
    'LDL': ({'gan_opt': HINGE, 'ldl_opt': {'type': 'L1Loss'}}, {'G', 'D'}, None),
    'several adversaries': ({'gan_opt': HINGE}, {'G', 'D'}, several),
    'a generator that is computed anew': ({'gan_opt': HINGE, 'grad_checkpoint': True}, {'G', 'D'}, None),
    'parts in bfloat16': ({'gan_opt': HINGE, 'accumulate': 2, 'amp': 'bf16', 'channels_last': True}, {'G', 'D'}, None),
}


def built(name):
    train, parts, change = MODELS[name]
    opt = model_opt(**{'network_d': D, **train}, health_opt=False) if 'gan_opt' in train else model_opt(**train)
    if change:
        change(opt)
    return build_model(opt), parts


@pytest.mark.parametrize('name', MODELS)
@pytest.mark.usefixtures('vgg19_without_weights')
def test_the_cost_is_what_steps_count(name):
    model, parts = built(name)
    told = step_cost(model, 64)
    assert set(told) == parts
    with FlopCounter() as counter:
        for iteration, batch in enumerate(batches(4, gt_size=64), start=1):
            model.feed_data(batch)
            model.optimize_parameters(iteration)
    assert sum(told.values()) == pytest.approx(counter.total / 8, rel=1e-6)


@pytest.mark.parametrize('name', ['feature matching and views', 'lazy regularizers', 'LDL', 'several adversaries'])
def test_telling_it_changes_neither_the_model_nor_a_random_number(name):
    model, _ = built(name)
    before = state_of(model), torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    step_cost(model, 64)
    assert differences(before[0], state_of(model)) == []
    assert torch.equal(before[1], torch.get_rng_state())
    assert before[2] == random.getstate()
    assert (before[3] == np.random.get_state()[1]).all()
    assert all(p.grad is None for p in model.net_g.parameters())


class NoShapes(nn.Module):
    """A network that looks at its numbers."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 48, 1)

    def forward(self, x):
        return nn.functional.pixel_shuffle(self.conv(x) * float(x.mean() > 0), 4)


def test_what_cannot_run_without_numbers_is_unknown_and_the_rest_is_told():
    model, _ = built('a GAN')
    whole = step_cost(model, 64)
    model.net_g = NoShapes()
    assert step_cost(model, 64) == {**whole, 'G': None}


def test_of_a_model_of_basicsr_the_generator_is_told_and_the_games_are_unknown():
    gan = {'type': 'GANLoss', 'gan_type': 'vanilla', 'real_label_val': 1.0, 'fake_label_val': 0.0, 'loss_weight': 0.1}
    told = step_cost(build_model(model_opt('SRGANModel', gan, D)), 64)
    assert told == {'G': step_cost(built('a GAN')[0], 64)['G'], 'D': None}
