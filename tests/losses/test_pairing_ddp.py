"""Relativistic pairings in two processes: losses and gradients equal those of one process with the whole batch."""

import pytest
import torch
from _ranks import RANKS, results_of_ranks

from basicsr_ganzoo.losses.adversarial import LSGANLoss, RaGANLoss, RpGANLoss, VanillaGANLoss

pytestmark = pytest.mark.slow

CASES = {
    'average': lambda: RaGANLoss(),
    'average, detached': lambda: RaGANLoss(detach_mean=True),
    'batch_average': lambda: RaGANLoss(pairing='batch_average'),
    'batch_average, detached': lambda: RaGANLoss(pairing='batch_average', detach_mean=True),
    'least squares, average': lambda: LSGANLoss(pairing='average', loss_weight=0.1),
    'least squares, batch_average': lambda: LSGANLoss(pairing='batch_average', loss_weight=0.1),
    'paired': lambda: RpGANLoss(),
    'plain': lambda: VanillaGANLoss(),
}
SCALES = (1, 0.5, 3)
SHAPES = {'single': (4, 1), 'map': (4, 1, 3, 5)}


def whole_batch(shape):
    """Real and fake logits of all ranks, which differ strongly between the ranks."""
    generator = torch.Generator().manual_seed(0)
    real, fake = torch.randn((2, *SHAPES[shape]), generator=generator, dtype=torch.float64)
    return real + torch.arange(4.0).view(-1, *[1] * (real.ndim - 1)), fake


def losses_and_gradients(loss, real, fake, scales=(1,)):
    """D's and G's losses, and the gradients of D's sum at both logits and of G's loss at the fakes."""
    real, fake = real.clone().requires_grad_(), fake.clone().requires_grad_()
    reals, fakes = [real * scale for scale in scales], [fake / scale for scale in scales]
    d_losses = loss.d_loss(reals, fakes)
    d_gradients = torch.autograd.grad(sum(d_losses), (real, fake), retain_graph=True)
    g_loss = loss.g_loss([logits.detach() for logits in reals], fakes)
    return torch.stack([*d_losses, g_loss]).detach(), [*d_gradients, *torch.autograd.grad(g_loss, fake)]


def worker(rank):
    results = {}
    for name, make in CASES.items():
        for shape in SHAPES:
            real, fake = (logits.chunk(RANKS)[rank] for logits in whole_batch(shape))
            results[name, shape] = losses_and_gradients(make(), real, fake)
            results[name, shape, 'scales'] = losses_and_gradients(make(), real, fake, SCALES)
    return results


@pytest.fixture(scope='module')
def results(tmp_path_factory):
    """For each rank, its losses and gradients of every case."""
    return results_of_ranks(worker, tmp_path_factory.mktemp('ranks'))


def assert_equal_to_one_process(ranks, losses, gradients):
    torch.testing.assert_close(sum(values for values, _ in ranks) / RANKS, losses)
    for index, expected in enumerate(gradients):
        # DDP divides the sum of the ranks' gradients by their number.
        torch.testing.assert_close(torch.cat([g[index] for _, g in ranks]) / RANKS, expected)


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('name', CASES)
def test_two_ranks_have_the_losses_and_gradients_of_one_process_with_the_whole_batch(results, name, shape):
    alone = losses_and_gradients(CASES[name](), *whole_batch(shape))
    assert_equal_to_one_process([rank[name, shape] for rank in results], *alone)


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('name', CASES)
def test_two_ranks_equal_one_process_for_logits_of_several_scales(results, name, shape):
    alone = losses_and_gradients(CASES[name](), *whole_batch(shape), SCALES)
    assert_equal_to_one_process([rank[name, shape, 'scales'] for rank in results], *alone)


@pytest.mark.parametrize('shape', SHAPES)
def test_losses_with_the_mean_of_a_single_rank_differ(results, shape):
    """The mean over all ranks matters here: a loss with local means fails the test above."""
    real, fake = whole_batch(shape)
    local = [losses_and_gradients(RaGANLoss(), r, f) for r, f in zip(real.chunk(RANKS), fake.chunk(RANKS), strict=True)]
    shared = sum(rank['average', shape][0] for rank in results) / RANKS
    assert ((sum(values for values, _ in local) / RANKS - shared).abs() > 1e-3).any()
