"""One discriminator's step: how often it runs, what it changes, and that its numbers are those of the textbook."""

import copy

import pytest
import torch
from basicsr.losses import build_loss

from basicsr_ganzoo._registry import entries
from basicsr_ganzoo.adversary import Adversary
from basicsr_ganzoo.losses.pairing import PAIRINGS

LOSSES = {name: loss for name, loss in entries('losses').items() if isinstance(loss, type)}
DISCRIMINATORS = entries('archs')


def small(name):
    return DISCRIMINATORS[name](num_feat=4)


def images(net, batch=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    size = max(getattr(net, 'min_size', 16), 32)
    return (torch.rand(batch, 3, size, size, generator=generator) for _ in range(2))


def adversary(net, loss):
    return Adversary(net, loss, torch.optim.SGD(net.parameters(), lr=0.1))


@pytest.mark.parametrize('pairing', PAIRINGS)
@pytest.mark.parametrize('loss', LOSSES)
def test_discriminator_runs_once_on_real_and_once_on_fake(loss, pairing):
    torch.manual_seed(0)
    net = small('UNetSNDiscriminator')
    real, fake = images(net)
    seen = []
    net.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach().clone()))
    adversary(net, LOSSES[loss](pairing=pairing)).step(real, fake)
    assert len(seen) == 2
    assert torch.equal(seen[0], real)
    assert torch.equal(seen[1], fake)


@pytest.mark.parametrize('pairing', PAIRINGS)
@pytest.mark.parametrize('loss', LOSSES)
def test_step_equals_two_separate_games(loss, pairing):
    torch.manual_seed(0)
    net = DISCRIMINATORS['PatchGANDiscriminator'](num_feat=4, num_layers=2, norm='batch')
    real, fake = images(net)
    criterion = LOSSES[loss](loss_weight=0.3, pairing=pairing)

    reference = copy.deepcopy(net)
    image = fake.clone().requires_grad_()
    l_g = criterion.g_loss(reference(real), reference(image))
    (expected_gradient,) = torch.autograd.grad(l_g, image)
    optimizer = torch.optim.SGD(reference.parameters(), lr=0.1)
    sum(criterion.d_loss(reference(real), reference(fake))).backward()
    optimizer.step()

    gradient, log = adversary(net, criterion).step(real, fake)
    torch.testing.assert_close(gradient, expected_gradient)
    torch.testing.assert_close(log['l_g_gan'], l_g.detach())
    for ours, theirs in zip(net.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize('name', DISCRIMINATORS)
def test_step_leaves_no_trace_on_the_images(name):
    torch.manual_seed(0)
    net = small(name)
    real, fake = images(net)
    before = real.clone(), fake.clone()
    gradient, _ = adversary(net, LOSSES['RaGANLoss']()).step(real, fake)
    assert torch.equal(real, before[0])
    assert torch.equal(fake, before[1])
    assert not fake.requires_grad
    assert fake.grad is None
    assert gradient.shape == fake.shape
    assert gradient.abs().sum() > 0
    assert all(p.requires_grad for p in net.parameters())


def test_without_train_g_there_is_no_gradient_and_no_generator_loss_but_d_learns():
    torch.manual_seed(0)
    net = small('UNetSNDiscriminator')
    before = copy.deepcopy(list(net.parameters()))
    gradient, log = adversary(net, LOSSES['HingeGANLoss']()).step(*images(net), train_g=False)
    assert gradient is None
    assert 'l_g_gan' not in log
    assert any(not torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))


def test_log_is_detached_and_names_the_usual_keys():
    torch.manual_seed(0)
    net = small('MultiScalePatchGANDiscriminator')
    _, log = adversary(net, LOSSES['LSGANLoss']()).step(*images(net))
    assert set(log) == {
        *('l_g_gan', 'l_d_real', 'l_d_fake', 'out_d_real', 'out_d_fake'),
        *('acc_d_real', 'acc_d_fake', 'acc_pair', 'gap', 'max_logit'),
    }
    assert all(value.ndim == 0 and not value.requires_grad and value.isfinite() for value in log.values())


@pytest.mark.parametrize('name', ['UNetSNDiscriminator', 'MultiScalePatchGANDiscriminator'])
@pytest.mark.parametrize('gan_type', ['vanilla', 'lsgan', 'wgan', 'wgan_softplus', 'hinge'])
def test_a_loss_of_basicsr_plays_the_same_game_as_ours(gan_type, name):
    logs = []
    for loss_type in ('GANLoss', 'GANZooLoss'):
        torch.manual_seed(0)
        net = small(name)
        loss = build_loss({'type': loss_type, 'gan_type': gan_type, 'loss_weight': 0.1})
        gradient, log = adversary(net, loss).step(*images(net))
        logs.append({**log, 'gradient': gradient})
    for key, value in logs[0].items():
        torch.testing.assert_close(value, logs[1][key], msg=key)
