"""GAN weights that change during training: a ramp, and a target for the ratio of gradients."""

import pytest
import torch
from _state import differences, state_of
from _training import batches, model_opt, train_steps
from basicsr.models import build_model

from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.gan_weights.ramp import GANWeightRamp
from basicsr_ganzoo.gan_weights.target_rho import GANWeightTargetRho

SMALL_D = {'type': 'PatchGANDiscriminator', 'num_feat': 4, 'num_layers': 2}


def opt_with(loss_weight=0.1, **train):
    gan_opt = {'type': 'VanillaGANLoss', 'loss_weight': loss_weight}
    return model_opt(gan_opt=gan_opt, network_d=SMALL_D, **train)


def ramp(**options):
    return {'gan_weight_opt': {'type': 'GANWeightRamp', **options}}


def weights(model):
    return [p.detach().clone() for net in (model.net_g, model.adversaries['net_d'].net_d) for p in net.parameters()]


# ---------------------------------------------------------------- ramp

VALUES = [
    ({}, {0: 0.0, 2500: 0.5, 5000: 1.0, 10**6: 1.0}),
    ({'start': 1.0, 'end': 0.0, 'iters': 4}, {0: 1.0, 1: 0.75, 4: 0.0, 5: 0.0}),
    ({'start': 0.2, 'end': 0.6, 'iters': 10, 'begin': 100}, {0: 0.2, 100: 0.2, 105: 0.4, 110: 0.6, 111: 0.6}),
]


@pytest.mark.parametrize(('options', 'expected'), VALUES)
def test_a_ramp_is_linear_between_two_values(options, expected):
    line = GANWeightRamp(**options)
    assert {iteration: line.factor(iteration) for iteration in expected} == pytest.approx(expected)


def test_a_ramp_equals_a_gan_loss_whose_weight_is_set_in_each_step(float64):
    ramped, logs = train_steps(opt_with(**ramp(start=0.5, end=2.0, iters=3)), 4, gt_size=32)
    torch.manual_seed(0)
    model = build_model(opt_with())
    for iteration, batch in enumerate(batches(4, gt_size=32), start=1):
        model.adversaries['net_d'].loss.loss_weight = 0.1 * (0.5 + min(iteration / 3, 1) * 1.5)
        model.update_learning_rate(iteration)
        model.feed_data(batch)
        model.optimize_parameters(iteration)
        assert model.log_dict['rho'] == pytest.approx(logs[iteration - 1]['rho'], rel=1e-4)
    assert [log['w_gan'] for log in logs] == pytest.approx([1.0, 1.5, 2.0, 2.0])
    for ours, theirs in zip(weights(ramped), weights(model), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-11)


def test_a_ramp_of_one_is_bit_equal_to_none_and_one_of_zero_to_no_gan():
    none, one = (train_steps(opt_with(**more), 3, gt_size=32)[0] for more in ({}, ramp(start=1.0, end=1.0)))
    assert differences(weights(none), weights(one)) == []
    zero, no_gan = (train_steps(opt, 3, gt_size=32)[0] for opt in (opt_with(**ramp(end=0.0)), model_opt()))
    assert differences(zero.net_g.state_dict(), no_gan.net_g.state_dict()) == []


def test_the_weight_is_not_used_while_only_d_is_trained():
    _, logs = train_steps(opt_with(net_d_init_iters=2, **ramp(begin=2, iters=2)), 4, gt_size=32)
    assert ['w_gan' in log for log in logs] == [False, False, True, True]
    assert [log['w_gan'] for log in logs[2:]] == [0.5, 1.0]


# ---------------------------------------------------------------- target rho


def target(**options):
    return {'gan_weight_opt': {'type': 'GANWeightTargetRho', **options}}


@pytest.mark.slow
@pytest.mark.parametrize('loss_weight', [1e-3, 0.1, 10.0])
def test_target_rho_is_reached_and_kept_for_any_loss_weight(loss_weight):
    opt = opt_with(loss_weight, **target(target=0.3, smoothing=0.5, min=1e-6, max=1e6))
    _, logs = train_steps(opt, 40, gt_size=32)
    rho = [log['rho'] for log in logs[20:]]
    assert sum(rho) / len(rho) == pytest.approx(0.3, rel=0.1)
    assert max(rho) < 0.6
    assert min(rho) > 0.15


@pytest.mark.parametrize(('bounds', 'factor'), [({'min': 1e-6, 'max': 2e-6}, 2e-6), ({'min': 1e4, 'max': 1e5}, 1e4)])
def test_the_factor_stays_within_its_bounds(bounds, factor):
    _, logs = train_steps(opt_with(**target(smoothing=0.5, **bounds)), 5, gt_size=32)
    assert [log['w_gan'] for log in logs] == pytest.approx([factor] * 5)
    assert logs[-1]['w_gan_of_most'] == pytest.approx(factor / bounds['max'])


def test_the_factor_is_the_target_divided_by_the_smoothed_rho():
    weight = GANWeightTargetRho(target=0.3, smoothing=0.5)
    assert weight.factor(1) == 1
    weight.observe({'rho': 0.6, 'w_gan': 1.0})
    assert weight.factor(2) == pytest.approx(0.5)
    weight.observe({'rho': 0.6, 'w_gan': 0.5})  # without the factor it was 1.2
    assert weight.factor(3) == pytest.approx(0.3 / ((0.6 * 0.25 + 1.2 * 0.5) / 0.75))


@pytest.mark.parametrize('metrics', [{}, {'rho': 0.5}, {'w_gan': 1.0}, {'rho': float('inf'), 'w_gan': 1.0}])
def test_a_step_without_rho_leaves_the_factor_unchanged(metrics):
    weight = GANWeightTargetRho(target=0.3, smoothing=0.5)
    weight.observe({'rho': 0.6, 'w_gan': 1.0})
    before = weight.state_dict()
    weight.observe(metrics)
    assert weight.state_dict() == before


def test_content_losses_without_gradient_leave_the_factor_unchanged():
    content = {'pixel_opt': {'type': 'L1Loss', 'loss_weight': 0}}
    _, logs = train_steps(opt_with(**target(smoothing=0.5), **content), 2, gt_size=32)
    assert [log['rho'] for log in logs] == [float('inf')] * 2
    assert [log['w_gan'] for log in logs] == [1.0] * 2


def test_the_former_names_of_the_bounds_still_work():
    old, new = GANWeightTargetRho(least=0.5, most=2), GANWeightTargetRho(min=0.5, max=2)
    assert (old.min, old.max) == (new.min, new.max) == (0.5, 2)


def test_a_gan_without_gradient_leads_to_the_upper_bound():
    weight = GANWeightTargetRho()
    weight.observe({'rho': 0.0, 'w_gan': 1.0})
    assert weight.factor(2) == weight.max


def test_a_resumed_target_rho_is_bit_equal(tmp_path):
    opt = opt_with(**target(smoothing=0.9))
    opt['path'] = {'models': str(tmp_path), 'training_states': str(tmp_path)}
    steps = list(batches(4, gt_size=32))

    def go_on(model, iterations):
        for iteration in iterations:
            model.feed_data(steps[iteration - 1])
            model.optimize_parameters(iteration)

    torch.manual_seed(0)
    model = build_model(opt_with(**target(smoothing=0.9)) | {'path': dict(opt['path'])})
    go_on(model, (1, 2))
    model.save(0, 2)
    go_on(model, (3, 4))
    opt['path'] |= {f'pretrain_network_{n}': str(tmp_path / f'net_{n}_2.pth') for n in 'gd'}
    resumed = build_model(opt)
    resumed.resume_training(torch.load(tmp_path / '2.state', weights_only=True))
    go_on(resumed, (3, 4))
    assert differences(state_of(model), state_of(resumed)) == []
    assert resumed.adversaries['net_d'].settings.weight.state_dict()['norm'] > 0


# ---------------------------------------------------------------- mistakes

MISTAKES = [
    ({'type': 'GANWeightRamp', 'start': -1}, 'GANWeightRamp needs start'),
    ({'type': 'GANWeightRamp', 'iters': 0}, 'GANWeightRamp needs iters to be a whole number from 1'),
    ({'type': 'GANWeightRamp', 'length': 5}, 'GANWeightRamp has no option length'),
    ({'type': 'GANWeightRam'}, 'did you mean GANWeightRamp'),
    ({'type': 'GANWeightTargetRho', 'target': 0}, 'GANWeightTargetRho needs target'),
    ({'type': 'GANWeightTargetRho', 'min': 2, 'max': 1}, 'GANWeightTargetRho needs max to be at least min, 2, got 1'),
    ({'type': 'GANWeightTargetRho', 'smoothing': 1}, 'GANWeightTargetRho needs smoothing'),
    ({'type': 'L1Loss'}, 'L1Loss is no GAN weight'),
    (0.1, 'needs to be a mapping with a type'),
]


@pytest.mark.parametrize(('block', 'expected'), MISTAKES)
def test_a_mistake_is_reported_with_its_key(block, expected):
    with pytest.raises(OptionError, match=expected) as caught:
        build_model(opt_with(gan_weight_opt=block))
    assert str(caught.value).startswith('train.gan_weight_opt')


def test_target_rho_without_content_losses_is_an_error():
    with pytest.raises(
        OptionError, match=r'train\.gan_weight_opt: GANWeightTargetRho compares with the content losses'
    ):
        build_model(opt_with(pixel_opt=None, **target()))
