"""Regularizers in two processes: state and gradients equal those of one process with the whole batch."""

import pytest
import torch
from _ranks import RANKS, results_of_ranks
from torch import nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from basicsr_ganzoo.registry import entries
from basicsr_ganzoo.regularizers.base import DiscStep

pytestmark = pytest.mark.slow

STEPS = 3
REGULARIZERS = entries('regularizers')
#: those without randomness, so that one process can be compared with two
EXACT = {
    'R1Regularizer': {},
    'R2Regularizer': {},
    'LeCamRegularizer': {'start': 0, 'loss_weight': 5.0},
}


def make(name):
    return REGULARIZERS[name](**{'loss_weight': 3.0, 'interval': 1, **EXACT.get(name, {})})


def small_critic():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Softplus(), nn.Conv2d(4, 1, 3, padding=1)).double()


def whole_batch(step):
    """Real and fake images of all ranks, which differ strongly between the ranks."""
    real, fake = torch.rand((2, 4, 3, 8, 9), generator=torch.Generator().manual_seed(step), dtype=torch.float64)
    return real + torch.arange(4.0).view(-1, 1, 1, 1), fake


def train(critic, regularizer, batches):
    """D's gradients in each of a few steps, with fixed weights, and the state of the regularizer."""
    gradients = []
    for iteration, (real, fake) in enumerate(batches):
        real, fake = real.clone().requires_grad_(), fake.clone().requires_grad_()
        real_pred, fake_pred = critic(real), critic(fake)
        penalty = regularizer(DiscStep(critic, real, fake, real_pred, fake_pred, iteration))
        loss = F.softplus(-real_pred).mean() + F.softplus(fake_pred).mean() + penalty
        critic.zero_grad(set_to_none=True)
        torch.autograd.backward(loss, inputs=list(critic.parameters()))
        gradients.append(torch.cat([p.grad.flatten() for p in critic.parameters()]))
    return torch.stack(gradients), regularizer.state_dict()


def worker(rank):
    results = {}
    for name in REGULARIZERS:
        critic = DistributedDataParallel(small_critic())
        torch.manual_seed(100 + rank)
        batches = [[images.chunk(RANKS)[rank] for images in whole_batch(step)] for step in range(STEPS)]
        results[name] = train(critic, make(name), batches)
    return results


@pytest.fixture(scope='module')
def results(tmp_path_factory):
    """For each rank, its gradients and states of every regularizer."""
    return results_of_ranks(worker, tmp_path_factory.mktemp('ranks'))


@pytest.mark.parametrize('name', REGULARIZERS)
def test_two_ranks_have_equal_gradients_and_equal_states(results, name):
    (gradients, state), (other_gradients, other_state) = (rank[name] for rank in results)
    assert gradients.isfinite().all()
    assert torch.equal(gradients, other_gradients)
    assert state.keys() == other_state.keys()
    assert all(torch.equal(state[key], other_state[key]) for key in state)


@pytest.mark.parametrize('name', EXACT)
def test_two_ranks_have_the_gradients_and_the_state_of_one_process_with_the_whole_batch(results, name):
    gradients, state = train(small_critic(), make(name), [whole_batch(step) for step in range(STEPS)])
    torch.testing.assert_close(results[0][name][0], gradients)
    torch.testing.assert_close(dict(results[0][name][1]), dict(state))


@pytest.mark.parametrize('name', EXACT)
def test_gradients_without_the_regularizer_differ(results, name):
    """The regularizer matters in the cases above."""
    silent = make(name)
    silent.loss_weight = 0
    gradients, _ = train(small_critic(), silent, [whole_batch(step) for step in range(STEPS)])
    assert ((results[0][name][0] - gradients).abs().amax(dim=1) > 1e-4).all()


def test_averages_of_a_single_rank_differ(results):
    """A LeCam regularizer with the means of its own rank fails the test above."""
    alone = [[images.chunk(RANKS)[0] for images in whole_batch(step)] for step in range(STEPS)]
    _, state = train(small_critic(), make('LeCamRegularizer'), alone)
    assert (state['anchors'] - results[0]['LeCamRegularizer'][1]['anchors']).abs().max() > 1e-3
