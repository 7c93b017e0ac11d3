"""Two processes with half of the batch each: several discriminators, and decisions that all ranks have to share."""

import pytest
import torch
from _ranks import RANKS, results_of_ranks
from _state import differences, state_of
from _training import batches, model_opt

pytestmark = pytest.mark.slow

STEPS = 4
BAD = 3  # the iteration in which a case may have a NaN on one rank
SGD = {'type': 'SGD', 'lr': 0.05}  # Adam would hide a gradient that is wrong by a factor
GAN = {'type': 'VanillaGANLoss', 'loss_weight': 0.1}
#: without batch norm, whose statistics are those of one rank's half
UNET = {'type': 'UNetSNDiscriminator', 'num_feat': 4}
PATCH = {'type': 'PatchGANDiscriminator', 'num_feat': 4, 'num_layers': 2, 'norm': 'none'}
R1 = {'r1': {'type': 'R1Regularizer', 'loss_weight': 1.0, 'interval': 2}}
MATCHING = {'type': 'FeatureMatchingLoss', 'loss_weight': 0.1}
TWO = {
    'whole': {'network_d': UNET, 'gan_opt': GAN, 'optim_d': SGD, 'd_reg_opt': R1},
    'parts': {
        'network_d': PATCH,
        'gan_opt': {'type': 'RaGANLoss', 'loss_weight': 0.1},
        'optim_d': SGD,
        'feature_matching_opt': MATCHING,
        'd_reg_opt': R1,
    },
}
CASES = {
    'two adversaries with R1 and feature matching': {'adversaries': TWO},
    'frozen, clipped and averaged': {
        'net_d_freeze': 2,
        'net_d_weight_clip': 0.05,
        'net_d_ema_decay': 0.5,
        'grad_clip_d': 0.1,
        'grad_clip_g': 0.01,
    },
    'NaN on one rank': {'d_reg_opt': {'lecam': {'type': 'LeCamRegularizer', 'start': 0}}},
    'target rho': {'gan_weight_opt': {'type': 'GANWeightTargetRho', 'smoothing': 0.5}},
    # so fast and relativistic that D overshoots: at times it wins, and then it is wrong again
    'skipping': {
        'gan_opt': {'type': 'RpGANLoss'},
        'optim_d': {'type': 'Adam', 'lr': 0.03},
        'net_d_skip_accuracy': 0.5,
        'd_reg_opt': R1,
    },
}


def options(case):
    train = {key: value for key, value in CASES[case].items() if key != 'adversaries'}
    if 'adversaries' in CASES[case]:
        return model_opt(optim_g=SGD) | {'adversaries': CASES[case]['adversaries']}
    return model_opt(**{'network_d': PATCH, 'gan_opt': GAN, 'optim_d': SGD, 'optim_g': SGD, **train})


def run(case, rank, world_size, bad_step=True):
    """Train; returns the state and the log of each step."""
    from basicsr.models import build_model

    opt = options(case) | {'dist': world_size > 1, 'rank': rank, 'world_size': world_size}
    steps = 2 * STEPS if case == 'skipping' else STEPS
    torch.manual_seed(rank)  # as BasicSR does; the networks of rank 0 count
    model, logs = build_model(opt), []
    for iteration, batch in enumerate(batches(steps, gt_size=32, batch_size=2 * RANKS), start=1):
        batch = {key: tensor.chunk(world_size)[rank].clone() for key, tensor in batch.items()}
        if case == 'NaN on one rank' and iteration == BAD:
            if not bad_step:
                continue
            batch['gt'][0, 0, 0, 0] = float('nan') if rank == 1 else 0.5
        model.feed_data(batch)
        model.optimize_parameters(iteration)
        logs.append(dict(model.log_dict))
    return {'state': state_of(model), 'logs': logs}


def run_on_one_rank(rank):
    results = {case: run(case, rank, RANKS) for case in CASES}
    results['without the bad step'] = run('NaN on one rank', rank, RANKS, bad_step=False)
    return results


@pytest.fixture(scope='module')
def ranks(tmp_path_factory):
    return results_of_ranks(run_on_one_rank, tmp_path_factory.mktemp('ranks'))


def tensors(value):
    if isinstance(value, torch.Tensor):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [tensor for part in parts for tensor in tensors(part)]


@pytest.mark.parametrize('case', CASES)
def test_both_ranks_are_the_same_after_training(case, ranks):
    first, second = (rank[case] for rank in ranks)
    assert differences(first['state'], second['state']) == []
    for one, other in zip(first['logs'], second['logs'], strict=True):
        assert one.keys() == other.keys()


@pytest.mark.parametrize('case', ['two adversaries with R1 and feature matching', 'frozen, clipped and averaged'])
def test_two_ranks_train_like_one_process_with_the_whole_batch(case, ranks):
    expected = run(case, 0, 1)
    for one, whole in zip(tensors(ranks[0][case]['state']), tensors(expected['state']), strict=True):
        torch.testing.assert_close(one, whole, rtol=1e-4, atol=1e-6)
    assert len(tensors(expected['state'])) > 30
    for log, expected_log in zip(ranks[0][case]['logs'], expected['logs'], strict=True):
        for key in ('l_g_pix', *(key for key in log if key.startswith(('l_d_r1', 'l_g_fm', 'out_d_')))):
            assert log[key] == pytest.approx(expected_log[key], rel=1e-3, abs=1e-5)


def test_frozen_layers_stay_as_they_were_on_both_ranks(ranks):
    from basicsr.models import build_model

    torch.manual_seed(0)
    begun = build_model(options('frozen, clipped and averaged')).adversaries['net_d'].bare.state_dict()
    ended = ranks[1]['frozen, clipped and averaged']['state']['networks_d']['net_d']
    still = [torch.equal(begun[name], ended[name]) for name in begun]
    assert still == [True] * 4 + [False] * 4


def test_a_nan_on_one_rank_makes_both_skip_the_step(ranks):
    for rank in ranks:
        assert differences(rank['NaN on one rank']['state'], rank['without the bad step']['state']) == []
        log = rank['NaN on one rank']['logs'][BAD - 1]
        assert log['l_d_real'] != log['l_d_real']


def test_ranks_agree_on_when_d_skips_an_update(ranks):
    learned = [[log['dlearns'] for log in rank['skipping']['logs']] for rank in ranks]
    assert learned[0] == learned[1]
    assert set(learned[0]) == {0.0, 1.0}
    assert all(('l_d_r1' in log) <= (log['dlearns'] == 1) for log in ranks[0]['skipping']['logs'])


def test_ranks_agree_on_the_weight_that_holds_rho(ranks):
    factors = [[log['w_gan'] for log in rank['target rho']['logs']] for rank in ranks]
    assert factors[0] == factors[1]
    assert len(set(factors[0])) == STEPS
