"""Losses that compare SR with a picture: LR consistency by its closed forms, and any registered loss by a key."""

import pytest
import torch
from _state import differences
from _training import batches, model_opt, train_steps
from basicsr.losses import build_loss
from basicsr.models import build_model
from basicsr.utils.registry import LOSS_REGISTRY
from torch.nn import functional as F

from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.losses.lr_consistency import LRConsistencyLoss
from basicsr_ganzoo.registry import register

# ---------------------------------------------------------------- LRConsistencyLoss


def pictures(size=8, scale=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    lq = torch.rand(2, 3, size, size, generator=generator, dtype=torch.float64)
    return F.interpolate(lq, scale_factor=scale, mode='nearest'), lq


@pytest.mark.parametrize('window', [1, 2, 4, 8])
@pytest.mark.parametrize('scale', [1, 2, 4])
def test_an_image_that_reduces_to_lq_has_no_loss(scale, window):
    sr, lq = pictures(scale=scale)
    assert float(LRConsistencyLoss(window=window)(sr, lq)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize('shift', [0.05, -0.2])
@pytest.mark.parametrize('window', [1, 3, 8])
def test_the_loss_of_a_shift_of_all_colours_is_its_size_and_of_one_channel_a_third(shift, window):
    sr, lq = pictures()
    loss = LRConsistencyLoss(window=window)
    assert float(loss(sr + shift, lq)) == pytest.approx(abs(shift))
    sr[:, 2] += shift
    assert float(loss(sr, lq)) == pytest.approx(abs(shift) / 3)


def test_noise_and_detail_that_cancel_out_within_a_window_count_only_in_a_smaller_one():
    sr, lq = pictures()
    checkers = (torch.arange(8)[:, None] + torch.arange(8)) % 2 * 2.0 - 1
    assert float(LRConsistencyLoss(window=2)(sr, lq + 0.1 * checkers)) == pytest.approx(0, abs=1e-12)
    assert float(LRConsistencyLoss(window=1)(sr, lq + 0.1 * checkers)) == pytest.approx(0.1)
    detail = (torch.arange(32)[:, None] + torch.arange(32)) % 2 * 2.0 - 1
    assert float(LRConsistencyLoss(window=1)(sr + 0.1 * detail, lq)) == pytest.approx(0, abs=1e-12)


def test_its_weight_is_a_factor_and_its_gradient_that_of_a_mean():
    sr, lq = pictures()
    sr = (sr + 0.1).requires_grad_()
    loss = LRConsistencyLoss(loss_weight=3.0, window=4)(sr, lq)
    (gradient,) = torch.autograd.grad(loss, sr)
    assert float(loss.detach()) == pytest.approx(0.3)
    torch.testing.assert_close(gradient, torch.full_like(sr, 3.0 / sr.numel()))
    noisy = torch.rand(1, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: LRConsistencyLoss(window=1)(x, lq[:1, :1, :2, :2]), noisy)


def test_images_that_are_no_multiple_of_the_window_are_compared_as_far_as_windows_fit():
    lq = torch.zeros(1, 3, 5, 9)
    sr = torch.zeros(1, 3, 10, 18)
    sr[..., 8:, :], sr[..., 16:] = 1, 1
    assert float(LRConsistencyLoss(window=4)(sr, lq)) == 0
    assert float(LRConsistencyLoss(window=5)(sr, lq)) > 0


@pytest.mark.parametrize(
    ('sr', 'lq', 'expected'),
    [
        ((20, 32), (8, 8), 'integer multiple of LQ, got 20x32 and 8x8'),
        ((18, 18), (8, 8), 'integer multiple of LQ, got 18x18 and 8x8'),
        ((4, 4), (8, 8), 'integer multiple of LQ, got 4x4 and 8x8'),
        ((12, 32), (3, 8), r'LQ of 4 pixels \(window\) or more, got 3x8'),
    ],
)
def test_sizes_that_do_not_fit_are_named(sr, lq, expected):
    with pytest.raises(OptionError, match=expected):
        LRConsistencyLoss()(torch.zeros(1, 3, *sr), torch.zeros(1, 3, *lq))


@pytest.mark.parametrize('options', [{'window': 0}, {'window': 2.5}, {'loss_weight': -1}, {'loss_weight': 'much'}])
def test_wrong_arguments_are_named(options):
    with pytest.raises(ValueError, match=f'LRConsistencyLoss needs {next(iter(options))}'):
        LRConsistencyLoss(**options)


def test_it_corrects_a_colour_shift_and_compares_with_lq():
    drift = {}
    for weight in (0, 1):
        opt = model_opt(lr_opt={'type': 'LRConsistencyLoss', 'loss_weight': weight})
        opt['train']['optim_g'] = {'type': 'Adam', 'lr': 1e-3}
        opt['train']['pixel_opt']['loss_weight'] = 1e-6
        torch.manual_seed(0)
        model = build_model(opt)
        with torch.no_grad():
            model.net_g.conv_last.bias.add_(0.2)
        for iteration, batch in enumerate(batches(30, gt_size=32), start=1):
            batch['gt'] = F.interpolate(batch['lq'], scale_factor=4) + 0.2  # gt has the shift too, only lq has not
            model.feed_data(batch)
            model.optimize_parameters(iteration)
        drift[weight] = float((model.output.mean() - model.lq.mean()).abs())
        assert {'l_g_lr', 'grad_lr'} <= model.log_dict.keys()
    assert drift[0] > 0.15
    assert drift[1] < 0.15


# ---------------------------------------------------------------- further losses

REDUCED = {'loss_weight': 0.5, 'reduction': 'mean'}
FURTHER = {
    'L1Loss': lambda sr, gt, lq: (sr - gt).abs().mean() / 2,
    'MSELoss': lambda sr, gt, lq: (sr - gt).square().mean() / 2,
    'CharbonnierLoss': lambda sr, gt, lq: ((sr - gt).square() + 1e-12).sqrt().mean() / 2,
    'WeightedTVLoss': lambda sr, gt, lq: build_loss({'type': 'WeightedTVLoss', **REDUCED})(sr),
}


@register(LOSS_REGISTRY)
class TwoPartLoss(torch.nn.Module):
    """Gives a tuple as the perceptual loss does, of which a part may be missing."""

    def forward(self, sr, gt):
        return (sr - gt).abs().mean(), None


@pytest.mark.parametrize('name', FURTHER)
def test_a_loss_of_basicsr_is_a_further_content_loss_under_its_own_key(name):
    opt = model_opt(own_opt={'type': name, **REDUCED})
    torch.manual_seed(0)
    model = build_model(opt)
    batch = next(batches(1, gt_size=32))
    sr = model.net_g(batch['lq'])
    expected = FURTHER[name](sr, batch['gt'], batch['lq'])
    (gradient,) = torch.autograd.grad(expected, sr)
    model.feed_data(batch)
    model.optimize_parameters(1)
    assert model.log_dict['l_g_own'] == pytest.approx(float(expected), rel=1e-5)
    assert model.log_dict['grad_own'] == pytest.approx(float(gradient.norm()), rel=1e-4)


def test_the_pixel_loss_under_another_key_trains_bit_equally():
    block = {'type': 'L1Loss', 'loss_weight': 1e-2, 'reduction': 'mean'}
    usual, _ = train_steps(model_opt(), 3, gt_size=32)
    other, logs = train_steps(model_opt(pixel_opt=None, mine_opt=block), 3, gt_size=32)
    assert 'l_g_mine' in logs[0]
    assert differences(usual.net_g.state_dict(), other.net_g.state_dict()) == []


def test_parts_that_are_none_and_empty_blocks_are_left_out():
    _, (log,) = train_steps(model_opt(two_opt={'type': 'TwoPartLoss'}, none_opt=None), 1, gt_size=32)
    assert 'l_g_two' in log
    assert not [key for key in log if 'none' in key]


def gan(**train):
    network_d = {'type': 'PatchGANDiscriminator', 'num_feat': 4, 'num_layers': 1}
    return model_opt(gan_opt={'type': 'VanillaGANLoss'}, network_d=network_d, **train)


MISTAKES = {
    'misspelt': (model_opt(own_opt={'type': 'MSELos'}), r'train\.own_opt: .*did you mean MSELoss'),
    'no mapping': (model_opt(own_opt=0.5), r'train\.own_opt needs to be a mapping with a type'),
    'unknown argument': (model_opt(own_opt={'type': 'MSELoss', 'weight': 1}), r'train\.own_opt: MSELoss has no option'),
    'GAN loss': (model_opt(own_opt={'type': 'HingeGANLoss'}), r'train\.own_opt: HingeGANLoss does not compare'),
    'GAN loss of BasicSR': (
        model_opt(own_opt={'type': 'GANLoss', 'gan_type': 'lsgan'}),
        r'train\.own_opt: GANLoss does not compare',
    ),
    'regularizer': (model_opt(own_opt={'type': 'R1Regularizer'}), r'train\.own_opt: R1Regularizer does not compare'),
    'feature matching': (model_opt(own_opt={'type': 'FeatureMatchingLoss'}), r'FeatureMatchingLoss does not compare'),
    'GAN weight': (model_opt(own_opt={'type': 'GANWeightRamp'}), r'GANWeightRamp does not compare'),
    'name in the log': (model_opt(pix_opt={'type': 'MSELoss'}), r'train\.pix_opt: the log has another l_g_pix'),
    'name of the GAN': (gan(fm_opt={'type': 'MSELoss'}), r'train\.fm_opt: the log has another l_g_fm'),
}


@pytest.mark.parametrize('mistake', MISTAKES)
def test_a_mistake_is_one_sentence_with_the_key(mistake):
    opt, expected = MISTAKES[mistake]
    with pytest.raises(OptionError, match=expected) as caught:
        build_model(opt)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('key', ['pixel_opt', 'own_opt'])
def test_a_loss_without_reduction_is_an_error(key):
    opt = model_opt(**{key: {'type': 'L1Loss', 'reduction': 'none'}})
    with pytest.raises(OptionError, match=r'l_g_(pix|own) is 2x3x32x32 numbers, not one'):
        train_steps(opt, 1, gt_size=32)
