"""Random numbers of views and regularizers: each adversary has its own, which is saved, and disturbs no other draw."""

import logging

import pytest
import torch
from _ranks import RANKS, results_of_ranks
from _state import differences, state_of
from _training import batches, model_opt

GAN = {'gan_opt': {'type': 'VanillaGANLoss', 'loss_weight': 0.1}}
PATCH = {'type': 'PatchGANDiscriminator', 'num_feat': 4, 'num_layers': 1}
UNET = {'type': 'UNetSNDiscriminator', 'num_feat': 4}
AUGMENT = {'views': [{'type': 'DiffAugmentView', 'colour': 0.5}]}
OPTIM = {'optim_d': {'type': 'SGD', 'lr': 0.01}}
PENALTIES = ('GradientPenalty', 'DRAGANPenalty', 'ApproximateR1Regularizer')
#: adversaries that differ in their network, or in how they draw
ADVERSARIES = {
    'none': {},
    'a plain one': {'network_d': PATCH, **GAN},
    'another network': {'network_d': UNET, **GAN},
    'DiffAugment': {'network_d': PATCH, **GAN, **AUGMENT},
    'penalties': {'network_d': PATCH, **GAN, 'd_reg_opt': {kind: {'type': kind} for kind in PENALTIES}},
    'CutMix': {'network_d': UNET, **GAN, 'd_reg_opt': {'cutmix': {'type': 'CutMixConsistency'}}},
}


def build(block, rank=0, seed=3, **top):
    from basicsr.models import build_model

    torch.manual_seed(0)
    return build_model(model_opt(**block) | {'rank': rank, 'manual_seed': seed} | top)


def train(model, iterations):
    data = list(batches(6, gt_size=32))
    for iteration in iterations:
        model.feed_data(data[iteration - 1])
        model.optimize_parameters(iteration)
    return model


def drawn_by(model, label='net_d'):
    return torch.rand(4, generator=model.adversaries[label].generator)


@pytest.mark.parametrize('name', ADVERSARIES)
def test_no_adversary_changes_what_data_and_degradation_draw(name):
    """Neither when it is built nor in a step: torch's global generator, from which they draw, is where it would be."""
    expected = build({})
    expected = torch.get_rng_state()
    model = build(ADVERSARIES[name])
    assert torch.equal(torch.get_rng_state(), expected)
    train(model, (1, 2))
    assert torch.equal(torch.get_rng_state(), expected)


def test_each_random_part_draws_from_the_generator():
    for name in ('DiffAugment', 'penalties', 'CutMix'):
        model = build(ADVERSARIES[name])
        before = model.adversaries['net_d'].generator.get_state()
        train(model, (1,))
        assert not torch.equal(before, model.adversaries['net_d'].generator.get_state())


def test_seed_rank_and_name_determine_what_is_drawn():
    block = {'network_d': PATCH, **GAN, **OPTIM}
    several = {'adversaries': {'a': block, 'b': block}}
    first = drawn_by(build(ADVERSARIES['DiffAugment']))
    assert torch.equal(first, drawn_by(build(ADVERSARIES['a plain one'])))
    others = [
        drawn_by(build(ADVERSARIES['DiffAugment'], rank=1)),
        drawn_by(build(ADVERSARIES['DiffAugment'], seed=4)),
        *(drawn_by(build({}, **several), f'net_d_{name}') for name in 'ab'),
    ]
    assert len({tuple(drawn.tolist()) for drawn in (first, *others)}) == 5


@pytest.mark.parametrize('keys', [{}, {'accumulate': 2}, {'amp': 'bf16'}], ids=str)
def test_a_resumed_training_draws_what_it_would_have_drawn(keys, tmp_path):
    block = ADVERSARIES['DiffAugment'] | {'d_reg_opt': {'gp': {'type': 'GradientPenalty', 'interval': 2}}} | keys
    paths = {'models': str(tmp_path), 'training_states': str(tmp_path)}
    model = train(build(block, path=dict(paths)), (1, 2, 3))
    model.save(0, 3)
    train(model, (4, 5, 6))
    paths |= {f'pretrain_network_{n}': str(tmp_path / f'net_{n}_3.pth') for n in 'gd'}
    resumed = build(block, path=paths)
    state = torch.load(tmp_path / '3.state', weights_only=True)
    resumed.resume_training(state)
    resumed.resume_rank(state['rank'])
    train(resumed, (4, 5, 6))
    assert differences(state_of(model), state_of(resumed)) == []
    assert torch.equal(drawn_by(model), drawn_by(resumed))


def test_a_state_without_the_generator_resumes_with_a_new_one_and_one_line_in_the_log(tmp_path, caplog):
    paths = {'models': str(tmp_path), 'training_states': str(tmp_path)}
    train(build(ADVERSARIES['DiffAugment'], path=paths), (1,)).save(0, 1)
    part = torch.load(tmp_path / '1.state', weights_only=True)['rank']
    del part['own']['generators']
    resumed, fresh = build(ADVERSARIES['DiffAugment']), build(ADVERSARIES['DiffAugment'])
    logging.getLogger('basicsr').addHandler(caplog.handler)
    with caplog.at_level(logging.INFO, 'basicsr'):
        resumed.resume_rank(part)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ['the training state has no random generator of net_d; it is seeded again']
    assert torch.equal(drawn_by(resumed), drawn_by(fresh))


def test_a_step_that_is_not_finite_changes_nothing_of_a_random_adversary():
    model = build(ADVERSARIES['DiffAugment'])
    before = state_of(model)
    batch = next(batches(1, gt_size=32))
    model.feed_data({**batch, 'gt': batch['gt'] * float('nan')})
    model.optimize_parameters(1)
    assert differences(before['networks_d'], state_of(model)['networks_d']) == []


def draw_on_one_rank(rank):
    model = build(ADVERSARIES['DiffAugment'], rank=rank, dist=True, world_size=RANKS)
    for iteration, batch in enumerate(batches(3, gt_size=32), start=1):
        model.feed_data({key: images.chunk(RANKS)[rank] for key, images in batch.items()})
        model.optimize_parameters(iteration)
    return {'state': state_of(model), 'drawn': drawn_by(model)}


@pytest.mark.slow
def test_ranks_draw_differently_and_have_the_same_weights(tmp_path):
    first, second = results_of_ranks(draw_on_one_rank, tmp_path)
    assert not torch.equal(first['drawn'], second['drawn'])
    assert differences(first['state'], second['state']) == []
