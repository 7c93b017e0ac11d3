"""Two processes with half of the batch each train like one process with the whole batch."""

import pytest
import torch
from _ranks import RANKS, results_of_ranks
from _training import batches, model_opt

pytestmark = pytest.mark.slow

STEPS = 3
#: without batch norm, whose statistics are those of one rank's half
DISCRIMINATORS = {
    'one map': {'type': 'UNetSNDiscriminator', 'num_feat': 4},
    'several maps': {'type': 'MultiScalePatchGANDiscriminator', 'num_feat': 4, 'num_layers': 1, 'num_scales': 2},
    #: the ranks also part their halves, with train.accumulate; no norm, because spectral norm moves with every pass
    'in parts': {'type': 'PatchGANDiscriminator', 'num_feat': 4, 'num_layers': 1, 'norm': 'none'},
    'compiled': {'type': 'PatchGANDiscriminator', 'num_feat': 4, 'num_layers': 1, 'norm': 'none'},
}
GAN_OPTS = {
    'attached means': {'type': 'RaGANLoss', 'loss_weight': 0.1},
    'detached means': {'type': 'RaGANLoss', 'loss_weight': 0.1, 'detach_mean': True},
    'means over the batch': {'type': 'LSGANLoss', 'loss_weight': 0.1, 'pairing': 'batch_average'},
    'paired': {'type': 'RpGANLoss', 'loss_weight': 0.1},
    'plain': {'type': 'HingeGANLoss', 'loss_weight': 0.1},
}
CASES = [('one map', gan_opt) for gan_opt in GAN_OPTS]
CASES += [('several maps', 'attached means'), ('in parts', 'plain'), ('in parts', 'paired'), ('compiled', 'plain')]


def weights_after_training(case, rank, world_size):
    from basicsr.models import build_model

    discriminator, gan_opt = case
    opt = model_opt(gan_opt=GAN_OPTS[gan_opt], network_d=DISCRIMINATORS[discriminator])
    opt.update(dist=world_size > 1, rank=rank, world_size=world_size)
    if discriminator == 'in parts' and world_size > 1:
        opt['train']['accumulate'] = 2
    if discriminator == 'compiled' and world_size > 1:
        opt['train']['compile'] = {'backend': 'aot_eager'}
    # SGD, because Adam would hide a gradient that is wrong by a factor
    opt['train'].update({key: {'type': 'SGD', 'lr': 0.05} for key in ('optim_g', 'optim_d')})
    torch.manual_seed(rank)  # as BasicSR does; the networks of rank 0 count, with their buffers
    model = build_model(opt)
    for current_iter, batch in enumerate(batches(STEPS, gt_size=32, batch_size=2 * RANKS), start=1):
        model.feed_data({key: tensor.chunk(world_size)[rank] for key, tensor in batch.items()})
        model.optimize_parameters(current_iter)
    nets = model.net_g, model.adversaries['net_d'].net_d
    return [p.detach().clone() for net in nets for p in net.parameters()]


def train_on_one_rank(rank):
    return [weights_after_training(case, rank, RANKS) for case in CASES]


@pytest.fixture(scope='module')
def weights_of_ranks(tmp_path_factory):
    return results_of_ranks(train_on_one_rank, tmp_path_factory.mktemp('ranks'))


@pytest.mark.parametrize('index', range(len(CASES)), ids=[', '.join(case) for case in CASES])
def test_two_ranks_train_like_one_process_with_the_whole_batch(index, weights_of_ranks):
    expected = weights_after_training(CASES[index], 0, 1)
    first, second = (weights[index] for weights in weights_of_ranks)
    for whole, one, other in zip(expected, first, second, strict=True):
        assert torch.equal(one, other)
        torch.testing.assert_close(one, whole, rtol=1e-4, atol=1e-6)
