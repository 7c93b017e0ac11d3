"""The regularizers of D: closed forms on simple critics, then contract tests for every registered one."""

import copy
import inspect
import re

import pytest
import torch
from _products import product
from basicsr.losses.gan_loss import gradient_penalty_loss
from basicsr.utils.registry import LOSS_REGISTRY
from torch import nn
from torch.nn import functional as F

from basicsr_ganzoo.config.build import build
from basicsr_ganzoo.engine.cost import FlopCounter
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.losses.logits import as_list
from basicsr_ganzoo.registry import entries
from basicsr_ganzoo.regularizers.base import DiscStep, Regularizer
from basicsr_ganzoo.regularizers.cutmix import random_boxes

REGULARIZERS = entries('regularizers')
ARCHS = entries('archs')
CLASSIFIERS = ('ResNetDiscriminator', 'SRGANDiscriminator', 'VGGDiscriminator')
SHAPE = (6, 3, 4, 5)
PIXELS = 3 * 4 * 5

every_regularizer = pytest.mark.parametrize('name', REGULARIZERS)


def values(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


class Linear(nn.Module):
    """The critic w x, repeated over a map, or over one for each scale."""

    def __init__(self, weight, *maps):
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.maps = maps

    def logit(self, image):
        return image.flatten(1) @ self.weight

    def forward(self, image):
        logit = self.logit(image)
        preds = [logit.view(-1, 1, *[1] * len(size)).expand(-1, 1, *size) for size in self.maps]
        return preds if len(preds) > 1 else preds[0] if preds else logit.unsqueeze(1)


class Quadratic(Linear):
    """The critic 1/2 x A x, with a symmetric A."""

    def logit(self, image):
        return (image.flatten(1) @ self.weight * image.flatten(1)).sum(dim=1) / 2


def linear(*maps, norm=3.0):
    return Linear(norm * F.normalize(values(PIXELS, seed=5), dim=0), *maps)


def quadratic(*maps):
    weight = values(PIXELS, PIXELS, seed=6) / PIXELS**0.5
    return Quadratic((weight + weight.T) / 2, *maps)


def step_of(critic, iteration=1, shape=SHAPE, dtype=torch.float64):
    """A step of this critic on random images, which carry the gradient that a regularizer may need."""
    real, fake = (values(*shape, seed=seed, dtype=dtype).requires_grad_() for seed in (1, 2))
    return DiscStep(critic, real, fake, critic(real), critic(fake), iteration)


def seeded(function, *args):
    torch.manual_seed(11)
    return function(*args)


def half_square(x):
    return x.square().sum(dim=1).mean() / 2


def distance_to(target, x):
    return (x.norm(dim=1) - target).square().mean()


def assert_equal_to_closed_form(value, expected):
    error = ((value - expected).abs() / expected.abs()).item()
    print(f'relative error {error:.1e}')
    assert error < 1e-12


# ------------------------------------------------------------------ closed forms


def slope(critic, image):
    """The gradient of the critic at images, from its formula."""
    if isinstance(critic, Quadratic):
        return image.flatten(1) @ (critic.weight + critic.weight.T) / 2
    return critic.weight.expand(len(image), -1)


def interpolates(step):
    t = torch.rand(len(step.real), 1, 1, 1, dtype=torch.float64)
    return t * step.real + (1 - t) * step.fake


def differences(critic, image, sigma):
    """(D(x) - D(x + n))^2 of the second-order Taylor expansion, which is exact here."""
    n = (sigma * torch.randn_like(image)).flatten(1)
    bend = (n @ critic.weight * n).sum(dim=1) / 2 if isinstance(critic, Quadratic) else 0
    return ((slope(critic, image) * n).sum(dim=1) + bend).square().mean() / (2 * sigma**2)


def noisy(image, sigma):
    return image + sigma * torch.randn_like(image)


#: name -> regularizer, its closed form on a linear or quadratic critic
CLOSED_FORMS = {
    'R1': ('R1Regularizer', {}, lambda d, s: half_square(slope(d, s.real))),
    'R2': ('R2Regularizer', {}, lambda d, s: half_square(slope(d, s.fake))),
    'approximate R1': ('ApproximateR1Regularizer', {'sigma': 0.1}, lambda d, s: differences(d, s.real, 0.1)),
    'approximate R2': (
        'ApproximateR1Regularizer',
        {'sigma': 0.1, 'side': 'fake'},
        lambda d, s: differences(d, s.fake, 0.1),
    ),
    'WGAN-GP': ('GradientPenalty', {}, lambda d, s: distance_to(1, slope(d, interpolates(s)))),
    'WGAN-GP, target 0': ('GradientPenalty', {'target': 0}, lambda d, s: distance_to(0, slope(d, interpolates(s)))),
    'DRAGAN': ('DRAGANPenalty', {'sigma': 0.3}, lambda d, s: distance_to(1, slope(d, noisy(s.real, 0.3)))),
}


@pytest.mark.parametrize('make', [linear, quadratic])
@pytest.mark.parametrize('case', CLOSED_FORMS)
def test_penalties_on_the_gradient_equal_their_closed_forms(case, make):
    name, options, formula = CLOSED_FORMS[case]
    critic = make()
    step = step_of(critic)
    penalty = seeded(REGULARIZERS[name](**options).penalty, step)
    expected = seeded(formula, critic, step)
    assert_equal_to_closed_form(penalty, expected)
    torch.testing.assert_close(
        torch.autograd.grad(penalty, critic.weight), torch.autograd.grad(expected, critic.weight), rtol=1e-9, atol=1e-12
    )


def test_r1_of_a_linear_critic_is_half_its_squared_norm_and_pulls_the_weights_to_zero():
    critic = linear(norm=3)
    penalty = REGULARIZERS['R1Regularizer']().penalty(step_of(critic))
    assert_equal_to_closed_form(penalty, torch.tensor(4.5, dtype=torch.float64))
    torch.testing.assert_close(torch.autograd.grad(penalty, critic.weight)[0], critic.weight.detach())


@pytest.mark.parametrize('name', ['GradientPenalty', 'DRAGANPenalty'])
@pytest.mark.parametrize(('norm', 'target', 'expected'), [(1, 1, 0), (3, 1, 4), (0.5, 1, 0.25), (3, 3, 0), (3, 0, 9)])
def test_penalty_on_the_norm_of_a_linear_critic_is_its_squared_distance_to_the_target(name, norm, target, expected):
    for maps in ((), ((7, 9),), ((4, 4), (2, 2))):
        penalty = REGULARIZERS[name](target=target).penalty(step_of(linear(*maps, norm=norm)))
        assert penalty.item() == pytest.approx(expected, abs=1e-12)


def test_basicsr_penalizes_a_critic_of_unit_gradient_norm_and_ours_does_not():
    critic = linear(norm=1).float()
    step = step_of(critic, dtype=torch.float32)
    assert gradient_penalty_loss(critic, step.real.detach(), step.fake.detach()) > 0.5


def test_gradient_penalty_is_of_each_sample_and_not_of_the_batch():
    """Slopes of norms 0 and 2 have a mean norm of 1, which a penalty on the batch would not penalize."""
    real = torch.zeros(2, 1, 2, 2, dtype=torch.float64)
    real[1] = 1  # of norm 2
    critic = Quadratic(torch.eye(4, dtype=torch.float64))
    step = DiscStep(critic, real, real.clone(), critic(real), critic(real), 1)
    assert REGULARIZERS['GradientPenalty']().penalty(step).item() == pytest.approx(1)


def test_gradient_penalty_is_taken_between_real_i_and_fake_i():
    seen = []

    def critic(image):
        seen.append(image)
        return image.flatten(1).sum(dim=1, keepdim=True)

    step = step_of(critic)
    REGULARIZERS['GradientPenalty']().penalty(step)
    t = (seen[-1] - step.fake) / (step.real - step.fake)
    shares = t.detach().flatten(1)
    torch.testing.assert_close(shares, shares[:, :1].expand_as(shares))
    assert shares[:, 0].unique().numel() == len(shares)
    assert shares.min() >= 0
    assert shares.max() <= 1


def test_gradient_penalty_of_a_flat_critic_has_a_finite_gradient():
    critic = linear(norm=0)
    (gradient,) = torch.autograd.grad(REGULARIZERS['GradientPenalty']().penalty(step_of(critic)), critic.weight)
    assert gradient.isfinite().all()


# ------------------------------------------------------------------ approximate R1


def test_approximate_r1_tends_to_r1_as_the_noise_vanishes():
    """With g the slope, the same noise n gives 1/2 (g n / sigma)^2 in the limit, and the error falls with sigma."""
    critic = quadratic()
    step = step_of(critic)
    limit = (slope(critic, step.real) * seeded(torch.randn_like, step.real).flatten(1)).sum(dim=1).square().mean() / 2
    errors = []
    for sigma in (1e-1, 1e-2, 1e-3):
        penalty = seeded(REGULARIZERS['ApproximateR1Regularizer'](sigma=sigma).penalty, step)
        errors.append(((penalty - limit) / limit).abs().item())
    print('relative errors', *(f'{error:.1e}' for error in errors))
    assert errors[-1] < 1e-3
    assert errors[1] / errors[0] == pytest.approx(0.1, rel=0.5)
    assert errors[2] / errors[1] == pytest.approx(0.1, rel=0.2)


@pytest.mark.parametrize('sigma', [1e-3, 1.0])
def test_expectation_of_approximate_r1_is_r1_and_a_term_of_the_curvature(sigma):
    """Of 1/2 x A x: 1/2 |A x|^2 + sigma^2 / 8 (2 tr(A^2) + tr(A)^2), by the moments of Gaussian noise."""
    a = torch.tensor([[1.0, 0.5], [0.5, -0.3]], dtype=torch.float64)
    critic = Quadratic(a)
    x = torch.tensor([1.0, -0.5], dtype=torch.float64).view(1, 1, 1, 2).expand(200_000, -1, -1, -1)
    step = DiscStep(critic, x, x, None, None, 1)
    with torch.no_grad():
        penalty = seeded(REGULARIZERS['ApproximateR1Regularizer'](sigma=sigma).penalty, step)
    r1 = (a @ x[0].flatten()).square().sum() / 2
    expected = r1 + sigma**2 / 8 * (2 * (a @ a).trace() + a.trace() ** 2)
    assert penalty.item() == pytest.approx(expected.item(), rel=0.02)


def test_both_branches_of_approximate_r1_are_differentiated():
    """For w x it is (w n) n / sigma^2; without a gradient of the noisy branch, it would point along x."""
    critic = linear()
    step = step_of(critic)
    (gradient,) = torch.autograd.grad(
        seeded(REGULARIZERS['ApproximateR1Regularizer'](sigma=0.1).penalty, step), critic.weight
    )
    n = seeded(torch.randn_like, step.real).flatten(1)
    torch.testing.assert_close(gradient, ((n @ critic.weight).unsqueeze(1) * n).mean(dim=0).detach())


def test_approximate_r1_is_not_affected_by_the_power_iteration_of_spectral_norm():
    """In two passes, the change of spectral norm between them would look like an effect of the noise."""
    torch.manual_seed(0)
    net, image = ARCHS['UNetSNDiscriminator'](num_feat=8), torch.rand(4, 3, 32, 32)
    nets = [copy.deepcopy(net) for _ in range(48)]  # each takes the same first power iteration
    approximate, exact = REGULARIZERS['ApproximateR1Regularizer'](), REGULARIZERS['R1Regularizer']()
    with torch.no_grad():
        estimates = [approximate.penalty(DiscStep(each, image, image, None, None, 1)).item() for each in nets]
    image.requires_grad_()
    r1 = exact.penalty(DiscStep(net, image, image, net(image), None, 1)).item()
    assert sum(estimates) / len(estimates) == pytest.approx(r1, rel=0.3)


# ------------------------------------------------------------------ LeCam


def lecam_step(real, fake, iteration):
    return DiscStep(None, None, None, torch.tensor(real).unsqueeze(1), torch.tensor(fake).unsqueeze(1), iteration)


def test_lecam_has_its_hand_values():
    lecam = REGULARIZERS['LeCamRegularizer'](decay=0.75, start=2)
    assert lecam.penalty(lecam_step([2.0, 4.0], [-1.0, 0.0], 1)) == 0  # before start only the averages are updated
    assert lecam.anchors.tolist() == [3, -0.5]
    # the averages are plain means of two batches, (3 + 1) / 2 and (-0.5 + 0.5) / 2
    second = lecam.penalty(lecam_step([2.0, 0.0], [0.0, 1.0], 2))
    assert lecam.anchors.tolist() == [2, 0]
    assert second.item() == pytest.approx((2**2 + 0) / 2 + (2**2 + 1) / 2)
    # the fifth update is the first whose 1/5 is below 1 - decay
    for iteration in (3, 4):
        lecam.penalty(lecam_step([2.0], [0.0], iteration))
    fifth = lecam.penalty(lecam_step([-2.0, -2.0], [4.0, 0.0], 5))
    assert lecam.anchors.tolist() == [1, 0.5]
    assert fifth.item() == pytest.approx(0 + (0 + 1) / 2)


def test_gradient_of_lecam_lowers_confident_logits_and_does_not_flow_through_its_averages():
    lecam = REGULARIZERS['LeCamRegularizer'](start=0)
    real, fake = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in ([[3.0], [1.0]], [[-3.0], [-1.0]]))
    penalty = lecam.penalty(DiscStep(None, None, None, real, fake, 0))
    on_real, on_fake = torch.autograd.grad(penalty, (real, fake))
    assert on_real.flatten().tolist() == [3 - -2, 1 - -2]
    assert on_fake.flatten().tolist() == [-(2 - -3), -(2 - -1)]


# ------------------------------------------------------------------ CutMix


class MeanCritic(nn.Module):
    """A map whose logits are all the mean of the image."""

    def forward(self, image):
        return image.mean(dim=(1, 2, 3), keepdim=True).expand(-1, 1, *image.shape[2:])


class ConvCritic(nn.Module):
    def __init__(self, kernel):
        super().__init__()
        self.conv = nn.Conv2d(3, 1, kernel, padding=kernel // 2, bias=False).double()

    def forward(self, image):
        return self.conv(image)


def test_cutmix_of_a_critic_of_the_mean_is_the_variance_of_the_mask():
    """Real is a and fake is b everywhere: with a share r of real, D(mix) - mixed D is (a - b) (r - M)."""
    a, b = 0.75, 0.25
    real = torch.full((64, 3, 16, 12), a, dtype=torch.float64)
    fake = torch.full_like(real, b)
    critic = MeanCritic()
    step = DiscStep(critic, real, fake, critic(real), critic(fake), 1)
    penalty = seeded(REGULARIZERS['CutMixConsistency']().penalty, step)
    share = seeded(random_boxes, real).mean(dim=(1, 2, 3))
    assert_equal_to_closed_form(penalty, ((a - b) ** 2 * share * (1 - share)).mean())


@pytest.mark.parametrize('function', [lambda x: x, torch.sin, torch.square])
def test_cutmix_is_zero_for_a_critic_whose_logits_depend_on_one_pixel(function):
    step = step_of(lambda image: function(image).mean(dim=1, keepdim=True))
    assert REGULARIZERS['CutMixConsistency']().penalty(step) < 1e-30


def test_cutmix_of_a_convolution_is_its_commutator_with_the_mask_at_the_edges_of_the_box():
    critic = ConvCritic(3)
    step = step_of(critic, shape=(8, 3, 12, 14))
    penalty = seeded(REGULARIZERS['CutMixConsistency']().penalty, step)
    mask, difference = seeded(random_boxes, step.real), step.real - step.fake
    residual = critic(mask * difference) - mask * critic(difference)
    assert_equal_to_closed_form(penalty, residual.square().mean())
    near_an_edge = F.max_pool2d(mask, 3, 1, 1) != -F.max_pool2d(-mask, 3, 1, 1)
    assert residual[~near_an_edge].abs().max() < 1e-12
    assert residual[near_an_edge].abs().max() > 1e-3


def test_cutmix_shows_real_i_inside_and_fake_i_outside_the_box_of_sample_i():
    seen = []

    def critic(image):
        seen.append(image.detach())
        return image

    step = step_of(critic)
    seeded(REGULARIZERS['CutMixConsistency']().penalty, step)
    mask = seeded(random_boxes, step.real)
    assert torch.equal(seen[-1], torch.where(mask > 0, step.real, step.fake))


def test_cutmix_averages_the_mask_down_to_each_map():
    """A linear critic of 2x2 blocks commutes with the mixture wherever the mask is averaged over the same blocks."""
    real, fake = torch.ones(16, 3, 8, 8, dtype=torch.float64), torch.zeros(16, 3, 8, 8, dtype=torch.float64)

    def critic(image):
        return [F.avg_pool2d(image, size).mean(dim=1, keepdim=True) for size in (1, 2, 4, 8)]

    step = DiscStep(critic, real, fake, critic(real), critic(fake), 1)
    assert REGULARIZERS['CutMixConsistency']().penalty(step) < 1e-30


def test_boxes_are_rectangles_of_every_area_and_position():
    masks = seeded(random_boxes, torch.zeros(4000, 3, 32, 24, dtype=torch.float64))
    assert masks.shape == (4000, 1, 32, 24)
    assert masks.unique().tolist() == [0, 1]

    def is_product_of_rows_and_columns(m):
        return (m == m.amax(dim=3, keepdim=True) * m.amax(dim=2, keepdim=True)).all(dim=(1, 2, 3))

    assert (is_product_of_rows_and_columns(masks) | is_product_of_rows_and_columns(1 - masks)).all()
    assert (masks.diff(dim=2).abs().sum(dim=2) <= 2).all()
    assert (masks.diff(dim=3).abs().sum(dim=3) <= 2).all()
    share = masks.mean(dim=(1, 2, 3))
    quarters = torch.histc(share, 4, 0, 1) / len(share)
    assert (quarters - 0.25).abs().max() < 0.05
    assert (masks.mean(dim=0) - 0.5).abs().max() < 0.05  # nowhere more often real than fake


@pytest.mark.parametrize('arch', CLASSIFIERS)
def test_cutmix_refuses_a_discriminator_without_a_map(arch):
    net = ARCHS[arch](num_feat=4)
    with pytest.raises(OptionError, match=r'map of logits.*\(2, 1\).*UNetSNDiscriminator.*remove CutMixConsistency'):
        REGULARIZERS['CutMixConsistency']().penalty(smallest_step(net))


# ------------------------------------------------------------------ maps and scales


@pytest.mark.parametrize(
    'maps', [((1, 1),), ((3, 3),), ((16, 9),), ((8, 8), (4, 4)), ((5, 5), (3, 3), (2, 2))], ids=str
)
@pytest.mark.parametrize('name', [name for name in REGULARIZERS if name != 'CutMixConsistency'])
def test_penalty_does_not_depend_on_the_number_of_logits_or_of_scales(name, maps):
    penalties = []
    for sizes in ((), maps):
        regularizer = REGULARIZERS[name](**({'start': 0} if name == 'LeCamRegularizer' else {}))
        penalties.append(seeded(regularizer.penalty, step_of(quadratic(*sizes))))
    assert penalties[0] > 1e-3
    torch.testing.assert_close(*penalties)


def test_cutmix_does_not_depend_on_the_number_of_logits_or_of_scales():
    critic = MeanCritic()
    versions = [
        critic,
        lambda image: critic(image).repeat_interleave(3, dim=2).repeat_interleave(2, dim=3),
        lambda image: [critic(image)] * 3,
    ]
    penalties = [seeded(REGULARIZERS['CutMixConsistency']().penalty, step_of(version)) for version in versions]
    torch.testing.assert_close(penalties[1:], penalties[:1] * 2)


def test_r1_of_two_scales_is_that_of_their_mean():
    one, two = values(PIXELS, seed=7), values(PIXELS, seed=8)
    critics = Linear(one, (4, 4)), Linear(two, (2, 2))
    step = step_of(lambda image: [critic(image) for critic in critics])
    penalty = REGULARIZERS['R1Regularizer']().penalty(step)
    assert_equal_to_closed_form(penalty, ((one + two) / 2).square().sum() / 2)


@pytest.mark.parametrize('arch', ['UNetSNDiscriminator', 'PatchGANDiscriminator'])
def test_r1_of_a_map_of_local_logits_falls_with_the_number_of_logits(arch):
    """As documented for crop sizes: the penalty times the number of logits is constant within 30 %."""
    torch.manual_seed(0)
    net = ARCHS[arch](num_feat=8)
    with torch.no_grad():
        for _ in range(30):
            net(torch.rand(2, 3, 64, 64))
    net.eval()
    products = []
    for size in (64, 128, 192):
        image = torch.rand(2, 3, size, size).requires_grad_()
        logits = net(image)
        penalty = REGULARIZERS['R1Regularizer']().penalty(DiscStep(net, image, image, logits, logits, 1))
        products.append(penalty.item() * logits[0].numel())
    print(arch, products)
    assert max(products) < 1.3 * min(products)


# ------------------------------------------------------------------ contracts of every regularizer


class SmoothCritic(nn.Module):
    """A small map critic without kinks, in float64."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Softplus(), nn.Conv2d(4, 1, 3, stride=2)).double()

    def forward(self, image):
        return self.net(image)


def made(name, **options):
    """A regularizer that is active from the first step; LeCam with fixed averages that penalize every sample."""
    if name == 'LeCamRegularizer':
        regularizer = REGULARIZERS[name](start=0, decay=1, **options)
        regularizer.anchors.copy_(torch.tensor([9.0, -9.0]))
        regularizer.updates.fill_(10**9)
        return regularizer
    return REGULARIZERS[name](**options)


def smallest_step(net, iteration=1):
    sides = net.min_size + 1, net.min_size + 7
    return step_of(net, iteration, (2, getattr(net, 'num_in_ch', 3), *sides), torch.float32)


def test_the_documented_regularizers_are_registered():
    assert set(REGULARIZERS) >= {
        *('R1Regularizer', 'R2Regularizer', 'ApproximateR1Regularizer', 'GradientPenalty', 'DRAGANPenalty'),
        *('LeCamRegularizer', 'CutMixConsistency'),
    }


@every_regularizer
def test_every_regularizer_is_a_regularizer_with_weight_and_interval_first(name):
    entry = REGULARIZERS[name]
    assert issubclass(entry, Regularizer)
    assert list(inspect.signature(entry).parameters)[:2] == ['loss_weight', 'interval']
    assert entry().loss_weight > 0
    assert re.search(r'arXiv:\d{4}\.\d{5}', entry.__doc__.split('\n')[0])
    block = {'type': name, 'loss_weight': 2, 'interval': 3}
    assert type(build(LOSS_REGISTRY, block, 'train.d_reg_opt.x')) is entry


@every_regularizer
@pytest.mark.parametrize('interval', [1, 3, 16])
def test_lazy_and_eager_penalties_have_the_same_mean(name, interval):
    regularizer = made(name, loss_weight=0.5, interval=interval)
    critic = SmoothCritic()
    total = 0
    for iteration in range(1, 49):
        if regularizer.is_due(iteration):
            total = total + seeded(regularizer, step_of(critic, iteration))
    eager = seeded(made(name).penalty, step_of(critic))
    torch.testing.assert_close(total / 48, 0.5 * eager)


@every_regularizer
def test_every_regularizer_is_due_once_per_interval(name):
    regularizer = REGULARIZERS[name](interval=4)
    assert [i for i in range(1, 13) if regularizer.is_due(i)] == [4, 8, 12]
    assert all(REGULARIZERS[name](interval=1).is_due(i) for i in range(1, 5))


@every_regularizer
def test_state_survives_saving_and_loading(name, tmp_path):
    critic = SmoothCritic()
    regularizer, fresh = (REGULARIZERS[name](**({'start': 0} if 'LeCam' in name else {})) for _ in range(2))
    for iteration in range(3):
        regularizer(step_of(critic, iteration))
    torch.save(regularizer.state_dict(), tmp_path / 'state.pth')
    fresh.load_state_dict(torch.load(tmp_path / 'state.pth', weights_only=True))
    with torch.no_grad():
        critic.net[-1].weight.mul_(2)
    penalties = [seeded(r, step_of(critic, 3)) for r in (regularizer, fresh)]
    assert torch.equal(*penalties)
    assert list(regularizer.parameters()) == []
    for buffer, other in zip(regularizer.buffers(), fresh.buffers(), strict=True):
        assert torch.equal(buffer, other)


def test_lecam_without_its_state_has_another_penalty():
    """The case above is one in which the state matters."""
    critic = SmoothCritic()
    lecam, fresh = (REGULARIZERS['LeCamRegularizer'](start=0) for _ in range(2))
    lecam(step_of(critic))
    with torch.no_grad():
        critic.net[-1].weight.mul_(2)
    assert abs(lecam(step_of(critic)) - fresh(step_of(critic))) > 1e-6


@every_regularizer
def test_derivative_of_the_penalty_along_the_weights_is_right_to_second_order(name):
    """Against central differences; for the penalties on gradients this is a second derivative of D."""
    critic = SmoothCritic()
    parameters = list(critic.parameters())
    directions = [values(*p.shape, seed=i) for i, p in enumerate(parameters)]

    def penalty(move):
        with torch.no_grad():
            for p, direction in zip(parameters, directions, strict=True):
                p.add_(move * direction)
        value = seeded(made(name), step_of(critic))
        with torch.no_grad():
            for p, direction in zip(parameters, directions, strict=True):
                p.sub_(move * direction)
        return value

    gradients = torch.autograd.grad(seeded(made(name), step_of(critic)), parameters, materialize_grads=True)
    derivative = sum((g * d).sum() for g, d in zip(gradients, directions, strict=True))
    torch.testing.assert_close(derivative, (penalty(1e-5) - penalty(-1e-5)) / 2e-5, rtol=1e-5, atol=1e-9)


@product(('name', 'arch'), REGULARIZERS, ARCHS)
def test_every_regularizer_has_a_gradient_in_every_discriminator_that_it_supports(name, arch):
    if name == 'CutMixConsistency' and arch in CLASSIFIERS:
        return  # an error, see above
    torch.manual_seed(0)
    net = ARCHS[arch](num_feat=4)
    penalty = made(name)(smallest_step(net))
    assert (penalty.shape, penalty.dtype) == ((), torch.float32)
    assert penalty.isfinite()
    assert penalty > 0
    gradients = torch.autograd.grad(penalty, list(net.parameters()), materialize_grads=True)
    assert all(gradient.isfinite().all() for gradient in gradients)
    moved = sum(bool((gradient != 0).any()) for gradient in gradients)
    assert moved >= len(gradients) / 2


def test_cutmix_supports_every_discriminator_except_the_classifiers():
    classifiers = {
        name for name, arch in ARCHS.items() if as_list(smallest_step(arch(num_feat=4)).real_pred)[0].ndim < 4
    }
    assert classifiers == set(CLASSIFIERS)


@every_regularizer
def test_images_require_grad_only_where_the_regularizer_declares_it(name):
    critic = SmoothCritic()
    regularizer = made(name)
    real, fake = values(*SHAPE, seed=1), values(*SHAPE, seed=2)
    real.requires_grad_(regularizer.needs_real_grad)
    fake.requires_grad_(regularizer.needs_fake_grad)
    assert regularizer(DiscStep(critic, real, fake, critic(real), critic(fake), 1)).isfinite()


@every_regularizer
def test_half_precision_is_computed_in_float32_and_float64_in_float64(name):
    critic = SmoothCritic()
    assert made(name)(step_of(critic)).dtype == torch.float64

    def half(image):
        return critic(image).bfloat16()

    penalty = made(name)(step_of(half))
    assert penalty.dtype in (torch.float32, torch.float64)
    assert penalty.isfinite()
    critic.bfloat16()
    assert made(name)(step_of(critic, dtype=torch.bfloat16)).dtype == torch.float32


@every_regularizer
def test_no_value_is_read_from_the_device(name):
    """On the meta device tensors have no values, so reading one is an error."""
    regularizer, critic = REGULARIZERS[name]().to('meta'), SmoothCritic().to('meta')
    real, fake = (torch.empty(SHAPE, dtype=torch.float64, device='meta', requires_grad=True) for _ in range(2))
    penalty = regularizer(DiscStep(critic, real, fake, critic(real), critic(fake), 16))
    penalty.backward()
    assert penalty.shape == ()


def flops_of_a_step(regularizer=None):
    """FLOPs of one step of a U-Net: its forward on real and fake, and the backward to its weights."""
    net = ARCHS['UNetSNDiscriminator'](num_feat=16).to('meta')
    real, fake = (
        torch.empty(2, 3, 64, 64, device='meta', requires_grad=bool(regularizer and needed))
        for needed in (
            getattr(regularizer, 'needs_real_grad', False),
            getattr(regularizer, 'needs_fake_grad', False),
        )
    )
    with FlopCounter() as counter:
        real_pred, fake_pred = net(real), net(fake)
        loss = F.softplus(-real_pred).mean() + F.softplus(fake_pred).mean()
        if regularizer:
            loss = loss + regularizer.to('meta')(DiscStep(net, real, fake, real_pred, fake_pred, 16))
        torch.autograd.backward(loss, inputs=list(net.parameters()))
    return counter.total


@every_regularizer
def test_cost_of_a_step_is_the_documented_one(name):
    documented = re.search(r'Cost: (\d\.\d) times a step of D', REGULARIZERS[name].__doc__)[1]
    ratio = flops_of_a_step(REGULARIZERS[name]()) / flops_of_a_step()
    print(f'{name}: {ratio:.3f}')
    assert ratio == pytest.approx(float(documented), abs=0.01)


# ------------------------------------------------------------------ mistakes


@every_regularizer
@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'loss_weight': '1e1'}, "loss_weight to be a number of at least 0, got the text '1e1'; .*"),
        ({'loss_weight': -1}, 'loss_weight to be a number of at least 0, got -1'),
        ({'interval': 0}, 'interval to be a whole number from 1, got 0'),
        ({'interval': 1.5}, r'interval to be a whole number from 1, got 1\.5'),
        ({'interval': True}, 'interval to be a whole number from 1, got True'),
    ],
    ids=str,
)
def test_every_regularizer_names_itself_and_the_mistake_in_its_options(name, options, message):
    with pytest.raises(ValueError, match=f'^{name} needs {message}$'):
        REGULARIZERS[name](**options)


@pytest.mark.parametrize(
    ('name', 'options', 'message'),
    [
        ('ApproximateR1Regularizer', {'sigma': 0}, 'sigma to be a number of at least 0.0001, got 0'),
        ('ApproximateR1Regularizer', {'sigma': 'small'}, "sigma to be a number of at least 0.0001, got 'small'"),
        ('ApproximateR1Regularizer', {'side': 'reel'}, r"side.*real, fake, got 'reel' \(did you mean real\?\)"),
        ('GradientPenalty', {'target': -1}, 'target to be a number of at least 0, got -1'),
        ('DRAGANPenalty', {'target': None}, 'target to be a number of at least 0, got None'),
        ('DRAGANPenalty', {'sigma': -0.1}, 'sigma to be a number of at least 0, got -0.1'),
        ('LeCamRegularizer', {'decay': 1.5}, 'decay to be a number from 0 to 1, got 1.5'),
        ('LeCamRegularizer', {'start': -1}, 'start to be a whole number from 0, got -1'),
        ('LeCamRegularizer', {'start': 0.5}, 'start to be a whole number from 0, got 0.5'),
    ],
    ids=str,
)
def test_a_wrong_option_is_refused_with_its_rule(name, options, message):
    with pytest.raises(ValueError, match=f'^{name} needs {message}'):
        REGULARIZERS[name](**options)


def test_every_option_can_be_written_in_yaml():
    """YAML reads on, off, yes and no as booleans, even as the name of an option."""
    import yaml

    for entry in REGULARIZERS.values():
        names = list(inspect.signature(entry).parameters)
        assert list(yaml.safe_load('\n'.join(f'{name}: 1' for name in names))) == names
