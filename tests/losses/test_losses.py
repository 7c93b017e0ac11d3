"""The GAN losses: values and gradients against closed forms, independent formulas and BasicSR's ``GANLoss``."""

import itertools
import math

import pytest
import torch
from _products import combinations, product
from _zoo import GAN_LOSSES
from basicsr.losses.gan_loss import GANLoss, MultiScaleGANLoss
from torch.nn import functional as F

from basicsr_ganzoo.errors import StockModelError
from basicsr_ganzoo.losses import GANZooLoss, HingeGANLoss, WGANLoss
from basicsr_ganzoo.losses.adversarial import GAN_TYPES
from basicsr_ganzoo.losses.pairing import PAIRINGS

BASICSR_TYPES = ('vanilla', 'lsgan', 'wgan', 'wgan_softplus', 'hinge')
KAIR_TYPES = ('gan', 'ragan', 'lsgan', 'wgan', 'softplusgan')
LOSSES = GAN_LOSSES
MAKERS = {**LOSSES, **{f'GANZooLoss-{t}': lambda t=t, **kwargs: GANZooLoss(t, **kwargs) for t in GAN_TYPES}}
RELATIVISTIC = [pairing for pairing in PAIRINGS if pairing != 'plain']
WITH_MEAN = ('average', 'batch_average')
LABELLED = (
    'VanillaGANLoss',
    'LSGANLoss',
    'RaGANLoss',
    *(f'GANZooLoss-{t}' for t in ('vanilla', 'gan', 'lsgan', 'ragan')),
)

#: registered loss or ``gan_type`` -> its kind of loss, independent of the pairing
KIND_OF = {
    'VanillaGANLoss': 'vanilla',
    'RaGANLoss': 'vanilla',
    'LSGANLoss': 'lsgan',
    'WGANLoss': 'wgan',
    'SoftplusGANLoss': 'softplus',
    'RpGANLoss': 'softplus',
    'HingeGANLoss': 'hinge',
    'GANZooLoss-vanilla': 'vanilla',
    'GANZooLoss-gan': 'vanilla',
    'GANZooLoss-ragan': 'vanilla',
    'GANZooLoss-lsgan': 'lsgan',
    'GANZooLoss-wgan': 'wgan',
    'GANZooLoss-wgan_softplus': 'softplus',
    'GANZooLoss-softplusgan': 'softplus',
    'GANZooLoss-softplus': 'softplus',
    'GANZooLoss-rpgan': 'softplus',
    'GANZooLoss-hinge': 'hinge',
}
CLASS_OF_KIND = {
    'vanilla': 'VanillaGANLoss',
    'lsgan': 'LSGANLoss',
    'wgan': 'WGANLoss',
    'softplus': 'SoftplusGANLoss',
    'hinge': 'HingeGANLoss',
}

ALIASES = [name for name in MAKERS if name not in LOSSES]
every_loss_and_pairing = pytest.mark.parametrize(
    ('name', 'pairing'), [*itertools.product(LOSSES, PAIRINGS), *combinations(ALIASES, PAIRINGS)]
)
every_kind_and_relativistic_pairing = pytest.mark.parametrize(
    ('kind', 'pairing'), [(kind, pairing) for kind in CLASS_OF_KIND for pairing in RELATIVISTIC]
)
every_kind_and_mean = pytest.mark.parametrize(
    ('kind', 'pairing'), [(kind, pairing) for kind in CLASS_OF_KIND for pairing in WITH_MEAN]
)


def logits(*shape, seed=0, scale=1.0, shift=0.0, dtype=torch.float64):
    """Random logits with ``requires_grad``."""
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * scale + shift
    return values.to(dtype).requires_grad_()


def pair(*shape, scale=1.0, real_shift=0.0, fake_shift=0.0, dtype=torch.float64):
    return logits(*shape, seed=1, scale=scale, shift=real_shift, dtype=dtype), logits(
        *shape, seed=2, scale=scale, shift=fake_shift, dtype=dtype
    )


def hard_fakes():
    """Logits inside (-1, 1) of a D that prefers the fakes, where every loss has a non-zero slope."""
    return pair(4, 1, 3, 3, scale=0.05, real_shift=-0.1, fake_shift=0.3)


def grads(loss, *inputs):
    return torch.autograd.grad(loss, inputs, retain_graph=True)


def label_of_fake(kind, pairing):
    """The fake label of least squares: 0, and -1 with a relativistic pairing."""
    return -1.0 if kind == 'lsgan' and pairing != 'plain' else 0.0


def stock(kind, pairing='plain', **kwargs):
    """BasicSR's loss of this kind."""
    gan_type = {'softplus': 'wgan_softplus'}.get(kind, kind)
    return GANLoss(gan_type, fake_label_val=label_of_fake(kind, pairing), **kwargs)


def bce(x, target):
    """Binary cross-entropy with logits, from its definition."""
    p = 1 / (1 + torch.exp(-x))
    return -(target * torch.log(p) + (1 - target) * torch.log(1 - p)).mean()


#: kind -> D's loss on (real, fake) logits, in the relativistic form, from the papers
FORMULAS = {
    'vanilla': (lambda x: bce(x, 1), lambda x: bce(x, 0)),
    'lsgan': (lambda x: ((x - 1) ** 2).mean(), lambda x: ((x + 1) ** 2).mean()),
    'wgan': (lambda x: -x.mean(), lambda x: x.mean()),
    'softplus': (lambda x: torch.log1p(torch.exp(-x)).mean(), lambda x: torch.log1p(torch.exp(x)).mean()),
    'hinge': (lambda x: torch.clamp(1 - x, min=0).mean(), lambda x: torch.clamp(1 + x, min=0).mean()),
}


def relative(pairing, real, fake, detach=False):
    """The relativistic logits, from the definition of each pairing."""
    real_mean, fake_mean = (real.detach(), fake.detach()) if detach else (real, fake)
    if pairing == 'average':
        return real - fake_mean.sum() / fake_mean.numel(), fake - real_mean.sum() / real_mean.numel()
    if pairing == 'batch_average':
        return real - fake_mean.sum(0, keepdim=True) / len(fake), fake - real_mean.sum(0, keepdim=True) / len(real)
    return real - fake, fake - real


def formula_d(kind, pairing, real, fake, detach=False):
    on_real, on_fake = FORMULAS[kind]
    real, fake = relative(pairing, real, fake, detach)
    return on_real(real) / 2, on_fake(fake) / 2


def formula_g(kind, pairing, real, fake):
    on_real, on_fake = FORMULAS[kind]
    real, fake = relative(pairing, real, fake)
    return (on_fake(real) + on_real(fake)) / 2


# ------------------------------------------------------------------ names


def test_every_registered_loss_and_gan_type_has_its_kind_in_this_file():
    assert set(KIND_OF) == set(MAKERS)


@pytest.mark.parametrize('gan_type', sorted({*BASICSR_TYPES, *KAIR_TYPES, 'softplus', 'rpgan'}))
def test_every_gan_type_of_basicsr_and_kair_builds_its_loss(gan_type):
    x = logits(3, 1)
    real = GANZooLoss(gan_type, pairing='plain').d_loss(x, x)[0]
    torch.testing.assert_close(real, stock(KIND_OF[f'GANZooLoss-{gan_type}'])(x, True, is_disc=True))


@pytest.mark.parametrize(
    ('name', 'pairing', 'detach_mean'),
    [
        ('RaGANLoss', 'average', False),
        ('RpGANLoss', 'paired', False),
        ('GANZooLoss-ragan', 'batch_average', True),
        ('GANZooLoss-rpgan', 'paired', False),
        *((name, 'plain', False) for name in MAKERS if name.split('-')[-1].lower()[:2] not in ('ra', 'rp')),
    ],
)
def test_each_loss_has_its_documented_pairing_by_default(name, pairing, detach_mean):
    loss = MAKERS[name]()
    assert (loss.pairing, loss.detach_mean) == (pairing, detach_mean)


def test_detach_mean_of_kairs_ragan_can_be_changed_without_its_pairing():
    loss = GANZooLoss('ragan', detach_mean=False)
    assert (loss.pairing, loss.detach_mean) == ('batch_average', False)


@pytest.mark.parametrize('pairing', PAIRINGS)
def test_kairs_ragan_detaches_the_mean_with_every_pairing_that_has_one(pairing):
    loss = GANZooLoss('ragan', pairing=pairing)
    assert (loss.pairing, loss.detach_mean) == (pairing, pairing in WITH_MEAN)


# ------------------------------------------------------------------ hand values

LN2 = math.log(2)
#: kind -> (D real, D fake, G; the same three when relativistic) where all logits are 0
AT_ZERO = {
    'vanilla': (LN2, LN2, LN2, LN2 / 2, LN2 / 2, LN2),
    'softplus': (LN2, LN2, LN2, LN2 / 2, LN2 / 2, LN2),
    'lsgan': (1, 0, 1, 0.5, 0.5, 1),
    'wgan': (0, 0, 0, 0, 0, 0),
    'hinge': (1, 1, 0, 0.5, 0.5, 1),
}
#: kind -> slope of G's loss with respect to a constant added to all fake logits, at 0; the same for each pairing
G_SLOPE_AT_ZERO = {'vanilla': -0.5, 'softplus': -0.5, 'lsgan': -2, 'wgan': -1, 'hinge': -1}


@every_loss_and_pairing
def test_values_at_logits_of_zero_are_the_closed_forms(name, pairing):
    zero = torch.zeros(2, 1, 3, 3)
    loss = MAKERS[name](pairing=pairing)
    expected = AT_ZERO[KIND_OF[name]][:3] if pairing == 'plain' else AT_ZERO[KIND_OF[name]][3:]
    values = torch.stack([*loss.d_loss(zero, zero), loss.g_loss(zero, zero)])
    torch.testing.assert_close(values, torch.tensor(expected, dtype=torch.float32))


@every_loss_and_pairing
def test_slope_of_the_generator_loss_at_zero_is_the_closed_form(name, pairing):
    real, fake = torch.zeros(2, 1, 3, 3), torch.zeros(2, 1, 3, 3, requires_grad=True)
    (gradient,) = grads(MAKERS[name](pairing=pairing).g_loss(real, fake), fake)
    assert gradient.sum().item() == pytest.approx(G_SLOPE_AT_ZERO[KIND_OF[name]])


def test_hand_values_of_two_logits():
    real, fake = torch.tensor([[2.0], [0.0]]), torch.tensor([[-1.0], [0.5]])
    cases = [
        (LOSSES['LSGANLoss'](), (1 + 1) / 2, (1 + 0.25) / 2, (4 + 0.25) / 2),
        (LOSSES['WGANLoss'](), -1, -0.25, 0.25),
        (LOSSES['HingeGANLoss'](), (0 + 1) / 2, (0 + 1.5) / 2, 0.25),
        (LOSSES['HingeGANLoss'](pairing='paired'), (0 + 1.5) / 4, (0 + 1.5) / 4, ((1 + 3) + (1 - 0.5)) / 2),
        (LOSSES['HingeGANLoss'](pairing='average'), (0 + 0.75) / 4, (0 + 0.5) / 4, ((3.25 + 1.25) + (3 + 1.5)) / 4),
        (LOSSES['LSGANLoss'](pairing='paired'), (4 + 2.25) / 4, (4 + 2.25) / 4, (16 + 0.25) / 2),
    ]
    for loss, d_real, d_fake, g in cases:
        values = [x.item() for x in (*loss.d_loss(real, fake), loss.g_loss(real, fake))]
        assert values == pytest.approx([d_real, d_fake, g]), f'{type(loss).__name__} {loss.pairing}'


# ------------------------------------------------------------------ BasicSR's GANLoss

CALLS = [(True, True), (False, True), (True, False), (False, False)]


@pytest.mark.parametrize('shape', [(4, 1), (2, 1, 5, 3)], ids=str)
@pytest.mark.parametrize(
    ('gan_type', 'target_is_real', 'is_disc'),
    [(t, *call) for t in BASICSR_TYPES for call in CALLS if (t, call) != ('hinge', (False, False))],
)
def test_called_as_cri_gan_it_equals_the_ganloss_of_basicsr(gan_type, target_is_real, is_disc, shape):
    pred = logits(*shape, scale=2)
    ours = GANZooLoss(gan_type, loss_weight=0.1)(pred, target_is_real, is_disc=is_disc)
    theirs = GANLoss(gan_type, loss_weight=0.1)(pred, target_is_real, is_disc=is_disc)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(grads(ours, pred), grads(theirs, pred))


@pytest.mark.parametrize(
    ('gan_type', 'target_is_real', 'is_disc'),
    [(t, *call) for t in BASICSR_TYPES for call in CALLS if (t, call) != ('hinge', (False, False))],
)
def test_on_a_list_it_equals_the_multiscaleganloss_of_basicsr(gan_type, target_is_real, is_disc):
    preds = [logits(2, 1, side, side + 1, seed=side, scale=2) for side in (5, 3, 2)]
    ours = GANZooLoss(gan_type, loss_weight=0.1)(preds, target_is_real, is_disc=is_disc)
    theirs = MultiScaleGANLoss(gan_type, loss_weight=0.1)(preds, target_is_real, is_disc=is_disc)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(grads(ours, *preds), grads(theirs, *preds))


@pytest.mark.parametrize('gan_type', BASICSR_TYPES)
def test_plain_d_loss_and_g_loss_equal_the_three_calls_of_srganmodel(gan_type):
    real, fake = pair(3, 1, 4, 4, scale=2)
    ours = GANZooLoss(gan_type, loss_weight=0.1)
    theirs = GANLoss(gan_type, loss_weight=0.1)
    torch.testing.assert_close(ours.d_loss(real, fake), (theirs(real, True, True), theirs(fake, False, True)))
    torch.testing.assert_close(ours.g_loss(real, fake), theirs(fake, True, False))


@pytest.mark.parametrize('gan_type', ['vanilla', 'lsgan'])
def test_with_smoothed_labels_the_discriminator_loss_equals_that_of_basicsr(gan_type):
    real, fake = pair(3, 1, 4, 4)
    labels = {'real_label_val': 0.9, 'fake_label_val': 0.2}
    ours, theirs = GANZooLoss(gan_type, **labels), GANLoss(gan_type, **labels)
    expected = theirs(real, True, is_disc=True), theirs(fake, False, is_disc=True)
    torch.testing.assert_close(ours.d_loss(real, fake), expected)
    torch.testing.assert_close((ours(real, True, is_disc=True), ours(fake, False, is_disc=True)), expected)


@every_kind_and_mean
def test_detached_d_loss_equals_the_two_backwards_of_a_relativistic_model(kind, pairing):
    real, fake = pair(4, 1, 3, 3)
    dims = None if pairing == 'average' else 0
    theirs = stock(kind, pairing)
    l_real = theirs(real - torch.mean(fake.detach(), dims, keepdim=True), True, is_disc=True) * 0.5
    l_fake = theirs(fake - torch.mean(real.detach(), dims, keepdim=True), False, is_disc=True) * 0.5
    ours = LOSSES[CLASS_OF_KIND[kind]](pairing=pairing, detach_mean=True).d_loss(real, fake)
    torch.testing.assert_close(ours, (l_real, l_fake))
    torch.testing.assert_close(grads(sum(ours), real, fake), (*grads(l_real, real), *grads(l_fake, fake)))


@pytest.mark.parametrize('detach_mean', [False, True])
@pytest.mark.parametrize('kind', ['vanilla', 'lsgan', 'wgan', 'softplus'])
def test_average_g_loss_equals_that_of_esrganmodel(kind, detach_mean):
    real, fake = pair(4, 1, 3, 3)
    real = real.detach()
    theirs = stock(kind, 'average', loss_weight=5e-3)
    l_real = theirs(real - torch.mean(fake), False, is_disc=False)
    l_fake = theirs(fake - torch.mean(real), True, is_disc=False)
    expected = (l_real + l_fake) / 2
    loss = LOSSES[CLASS_OF_KIND[kind]](pairing='average', loss_weight=5e-3, detach_mean=detach_mean)
    ours = loss.g_loss(real, fake)
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(grads(ours, fake), grads(expected, fake))


def test_ragan_equals_the_two_lines_of_kair():
    real, fake = pair(4, 1, 5, 5)
    real_d = real.detach()

    def d_lossfn(pred, is_real):  # KAIR's GANLoss('ragan')
        return F.binary_cross_entropy_with_logits(pred, torch.full_like(pred, 1.0 if is_real else 0.0))

    g = d_lossfn(real_d - torch.mean(fake, 0, True), False) + d_lossfn(fake - torch.mean(real_d, 0, True), True)
    d_real = 0.5 * d_lossfn(real - torch.mean(fake.detach(), 0, True), True)
    d_fake = 0.5 * d_lossfn(fake - torch.mean(real.detach(), 0, True), False)

    ours = GANZooLoss('ragan')
    torch.testing.assert_close(ours.g_loss(real_d, fake), g / 2)
    torch.testing.assert_close(grads(ours.g_loss(real_d, fake), fake), grads(g / 2, fake))
    torch.testing.assert_close(ours.d_loss(real, fake), (d_real, d_fake))
    expected = *grads(d_real, real), *grads(d_fake, fake)
    torch.testing.assert_close(grads(sum(ours.d_loss(real, fake)), real, fake), expected)


def test_average_and_batch_average_differ_on_maps_and_agree_on_single_logits():
    global_mean, batch_mean = LOSSES['RaGANLoss'](), LOSSES['RaGANLoss'](pairing='batch_average')
    single = pair(4, 1)
    torch.testing.assert_close(global_mean.d_loss(*single), batch_mean.d_loss(*single))
    maps = pair(4, 1, 5, 5)
    assert abs(global_mean.d_loss(*maps)[0] - batch_mean.d_loss(*maps)[0]) > 1e-3


# ------------------------------------------------------------------ relativistic formulas


@every_kind_and_relativistic_pairing
def test_relativistic_losses_equal_their_formulas_without_detached_means(kind, pairing):
    real, fake = pair(4, 1, 3, 3)
    loss = LOSSES[CLASS_OF_KIND[kind]](pairing=pairing)
    d, expected_d = loss.d_loss(real, fake), formula_d(kind, pairing, real, fake)
    g, expected_g = loss.g_loss(real, fake), formula_g(kind, pairing, real, fake)
    torch.testing.assert_close((*d, g), (*expected_d, expected_g))
    torch.testing.assert_close(grads(sum(d), real, fake), grads(sum(expected_d), real, fake))
    torch.testing.assert_close(grads(g, real, fake), grads(expected_g, real, fake))


@every_kind_and_mean
def test_relativistic_losses_equal_their_formulas_with_detached_means(kind, pairing):
    real, fake = pair(4, 1, 3, 3)
    loss = LOSSES[CLASS_OF_KIND[kind]](pairing=pairing, detach_mean=True)
    d, expected_d = loss.d_loss(real, fake), formula_d(kind, pairing, real, fake, detach=True)
    torch.testing.assert_close(d, expected_d)
    torch.testing.assert_close(grads(sum(d), real, fake), grads(sum(expected_d), real, fake))
    g, expected_g = loss.g_loss(real, fake), formula_g(kind, pairing, real, fake)
    torch.testing.assert_close(grads(g, fake), grads(expected_g, fake))


def test_gradient_of_ragan_equals_its_derivative_by_hand():
    real, fake = pair(4, 1, 3, 3)
    n = real.numel()
    on_real = torch.sigmoid(fake.mean() - real).detach()  # how wrong D is about each logit
    on_fake = torch.sigmoid(fake - real.mean()).detach()
    attached = -(on_real + on_fake.mean()) / (2 * n), (on_fake + on_real.mean()) / (2 * n)
    detached = -on_real / (2 * n), on_fake / (2 * n)
    for detach_mean, expected in ((False, attached), (True, detached)):
        d_loss = sum(LOSSES['RaGANLoss'](detach_mean=detach_mean).d_loss(real, fake))
        torch.testing.assert_close(grads(d_loss, real, fake), expected)


def test_gradient_of_rpgan_equals_its_derivative_by_hand():
    real, fake = pair(4, 1, 3, 3)
    wrong = torch.sigmoid(fake - real).detach() / real.numel()
    torch.testing.assert_close(grads(sum(LOSSES['RpGANLoss']().d_loss(real, fake)), real, fake), (-wrong, wrong))
    right = torch.sigmoid(real - fake).detach() / real.numel()
    torch.testing.assert_close(grads(LOSSES['RpGANLoss']().g_loss(real, fake), fake), (-right,))


@every_kind_and_relativistic_pairing
def test_a_constant_added_to_all_logits_changes_no_relativistic_loss(kind, pairing):
    real, fake = pair(4, 1, 3, 3)
    loss = LOSSES[CLASS_OF_KIND[kind]](pairing=pairing)
    torch.testing.assert_close(loss.d_loss(real + 7, fake + 7), loss.d_loss(real, fake))
    torch.testing.assert_close(loss.g_loss(real + 7, fake + 7), loss.g_loss(real, fake))


@pytest.mark.parametrize('pairing', RELATIVISTIC)
def test_relativistic_wgan_has_the_gradients_of_wgan(pairing):
    real, fake = pair(4, 1, 3, 3)
    n = real.numel()
    loss = WGANLoss(pairing=pairing)
    expected = torch.full_like(real, -1 / n), torch.full_like(fake, 1 / n)
    torch.testing.assert_close(grads(sum(loss.d_loss(real, fake)), real, fake), expected)
    torch.testing.assert_close(grads(loss.g_loss(real, fake), fake), (torch.full_like(fake, -1 / n),))


@pytest.mark.parametrize('pairing', RELATIVISTIC)
def test_game_of_the_generator_is_that_of_the_discriminator_with_swapped_labels(pairing):
    real, fake = pair(4, 1, 3, 3)
    for kind, name in CLASS_OF_KIND.items():
        loss = LOSSES[name](pairing=pairing)
        torch.testing.assert_close(loss.g_loss(real, fake), sum(loss.d_loss(fake, real)), msg=kind)


# ------------------------------------------------------------------ directions


@every_loss_and_pairing
def test_generator_gradient_raises_every_fake_logit(name, pairing):
    real, fake = hard_fakes()
    (gradient,) = grads(MAKERS[name](pairing=pairing).g_loss(real.detach(), fake), fake)
    assert (gradient < 0).all()


@every_loss_and_pairing
def test_discriminator_gradient_raises_every_real_and_lowers_every_fake_logit(name, pairing):
    real, fake = hard_fakes()
    for detach_mean in (False, True) if pairing in WITH_MEAN else (False,):
        d_loss = sum(MAKERS[name](pairing=pairing, detach_mean=detach_mean).d_loss(real, fake))
        on_real, on_fake = grads(d_loss, real, fake)
        assert (on_real < 0).all()
        assert (on_fake > 0).all()


@pytest.mark.parametrize('pairing', RELATIVISTIC)
def test_hinge_generator_gradient_is_never_zero_in_relativistic_pairing(pairing):
    for shift in (-5.0, 0.0, 0.9):  # below, at and just under D's margin; stock ESRGANModel gives 0 at all of them
        real, fake = pair(4, 1, 3, 3, scale=0.01, fake_shift=shift)
        (gradient,) = grads(HingeGANLoss(pairing=pairing).g_loss(real.detach(), fake), fake)
        assert gradient.sum() < -0.4


@every_loss_and_pairing
def test_generator_loss_gives_a_gradient_to_the_real_side_only_in_relativistic_pairing(name, pairing):
    real, fake = hard_fakes()
    loss = MAKERS[name](pairing=pairing).g_loss(real, fake)
    (on_real,) = torch.autograd.grad(loss, real, allow_unused=True)
    assert (on_real is None) == (pairing == 'plain')


# ------------------------------------------------------------------ numerics


@every_loss_and_pairing
@pytest.mark.parametrize('far', [False, True], ids=['inside the margins', 'outside the margins'])
def test_gradcheck_in_float64(name, pairing, far):
    shift = 3.0 if far else 0.0
    real, fake = pair(2, 1, 2, 2, scale=0.1, real_shift=shift, fake_shift=-shift)
    loss = MAKERS[name](**{'detach_mean': False} if pairing in WITH_MEAN else {}, pairing=pairing)
    assert torch.autograd.gradcheck(loss.d_loss, (real, fake))
    assert torch.autograd.gradcheck(loss.g_loss, (real, fake))


@every_loss_and_pairing
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_logits_of_100_are_judged_finitely_in_float32(name, pairing, dtype):
    real = torch.tensor([[100.0], [-100], [100], [-100]], dtype=dtype, requires_grad=True)
    fake = torch.tensor([[100.0], [100], [-100], [-100]], dtype=dtype, requires_grad=True)
    loss = MAKERS[name](pairing=pairing)
    values = torch.stack([*loss.d_loss(real, fake), loss.g_loss(real, fake)])
    wide = torch.stack([*loss.d_loss(real.float(), fake.float()), loss.g_loss(real.float(), fake.float())])
    assert values.dtype == torch.float32
    assert torch.equal(values, wide)
    assert values.isfinite().all()
    for value in values:
        for gradient in torch.autograd.grad(value, (real, fake), retain_graph=True, allow_unused=True):
            assert gradient is None or (gradient.dtype == dtype and gradient.isfinite().all())


@pytest.mark.parametrize('name', MAKERS)
def test_called_as_cri_gan_it_judges_bfloat16_in_float32(name):
    pred = logits(8, 1, 7, 7, dtype=torch.bfloat16)
    loss = MAKERS[name](pairing='plain')
    ours = loss(pred, True, is_disc=True)
    assert ours.dtype == torch.float32
    assert torch.equal(ours, loss(pred.float(), True, is_disc=True))


@every_loss_and_pairing
def test_losses_are_scalars_and_float64_stays_float64(name, pairing):
    loss = MAKERS[name](pairing=pairing)
    for shape in ((3, 1), (3, 1, 4, 5)):
        values = *loss.d_loss(*pair(*shape)), loss.g_loss(*pair(*shape))
        assert [(value.shape, value.dtype) for value in values] == [((), torch.float64)] * 3


# ------------------------------------------------------------------ labels, scales, weight


@product(('name', 'pairing'), LABELLED, PAIRINGS)
def test_label_smoothing_moves_the_real_half_of_the_discriminator_loss_only(name, pairing):
    real, fake = pair(4, 1, 3, 3)
    hard, smooth = MAKERS[name](pairing=pairing), MAKERS[name](pairing=pairing, real_label_val=0.9)
    assert abs(smooth.d_loss(real, fake)[0] - hard.d_loss(real, fake)[0]) > 1e-3
    torch.testing.assert_close(smooth.d_loss(real, fake)[1], hard.d_loss(real, fake)[1], rtol=0, atol=0)
    torch.testing.assert_close(smooth.g_loss(real, fake), hard.g_loss(real, fake), rtol=0, atol=0)
    if pairing == 'plain':
        torch.testing.assert_close(smooth(fake, True), hard(fake, True), rtol=0, atol=0)


def test_smoothed_real_losses_equal_their_closed_forms():
    x = logits(4, 1)
    vanilla = 0.9 * torch.log1p(torch.exp(-x)) + 0.1 * torch.log1p(torch.exp(x))
    torch.testing.assert_close(LOSSES['VanillaGANLoss'](real_label_val=0.9).d_loss(x, x)[0], vanilla.mean())
    least_squares = ((x - 0.9) ** 2).mean()
    torch.testing.assert_close(LOSSES['LSGANLoss'](real_label_val=0.9).d_loss(x, x)[0], least_squares)


def test_fake_label_of_least_squares_is_0_in_plain_and_minus_1_in_relativistic_pairing():
    assert {p: LOSSES['LSGANLoss'](pairing=p).fake_label_val for p in PAIRINGS} == {
        'plain': 0.0,
        'average': -1.0,
        'batch_average': -1.0,
        'paired': -1.0,
    }
    assert LOSSES['LSGANLoss'](pairing='average', fake_label_val=0.0).fake_label_val == 0.0


@every_loss_and_pairing
@pytest.mark.parametrize('container', [list, tuple])
def test_scales_of_a_list_are_averaged_or_added(name, pairing, container):
    pairs = [pair(2, 1, side, side) for side in (6, 3, 1)]
    reals, fakes = map(container, zip(*pairs, strict=True))
    single = MAKERS[name](pairing=pairing, loss_weight=0.1)
    d = [torch.stack(single.d_loss(real, fake)) for real, fake in pairs]
    g = [single.g_loss(real, fake) for real, fake in pairs]
    total_d, total_g = sum(d), sum(g)
    for reduction, number in (('mean', 3), ('sum', 1)):
        loss = MAKERS[name](pairing=pairing, loss_weight=0.1, scale_reduction=reduction)
        torch.testing.assert_close(torch.stack(loss.d_loss(reals, fakes)), total_d / number)
        torch.testing.assert_close(loss.g_loss(reals, fakes), total_g / number)


def test_lists_with_different_numbers_of_scales_are_refused():
    real, fake = pair(2, 1)
    with pytest.raises(ValueError, match='zip'):
        LOSSES['VanillaGANLoss']().d_loss([real, real], [fake])


@every_loss_and_pairing
def test_loss_weight_multiplies_the_generator_loss_only(name, pairing):
    real, fake = pair(4, 1, 3, 3)
    one, weighted = MAKERS[name](pairing=pairing), MAKERS[name](pairing=pairing, loss_weight=5e-3)
    torch.testing.assert_close(weighted.g_loss(real, fake), 5e-3 * one.g_loss(real, fake))
    torch.testing.assert_close(weighted.d_loss(real, fake), one.d_loss(real, fake), rtol=0, atol=0)
    if pairing == 'plain':
        torch.testing.assert_close(weighted(fake, True), 5e-3 * one(fake, True))
        torch.testing.assert_close(weighted(fake, True, is_disc=True), one(fake, True, is_disc=True), rtol=0, atol=0)


def test_loss_weight_of_zero_gives_a_generator_gradient_of_zero():
    real, fake = pair(4, 1)
    (gradient,) = grads(LOSSES['RaGANLoss'](loss_weight=0).g_loss(real, fake), fake)
    assert torch.equal(gradient, torch.zeros_like(fake))


# ------------------------------------------------------------------ mistakes


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'gan_type': 'hing'}, r"gan_type.*got 'hing' \(did you mean hinge\?\)"),
        ({'gan_type': 'wgan_softmax'}, r"gan_type.*got 'wgan_softmax' \(did you mean wgan_softplus\?\)"),
        ({'gan_type': 'zzz'}, r"gan_type.*vanilla.*rpgan, got 'zzz'$"),
        ({'gan_type': None}, 'gan_type.*got None'),
        ({'gan_type': 'vanilla', 'pairing': 'averaged'}, r"pairing.*got 'averaged' \(did you mean average\?\)"),
        ({'gan_type': 'vanilla', 'pairing': 7}, 'pairing.*plain, average, batch_average, paired, got 7'),
        ({'gan_type': 'hinge', 'scale_reduction': 'means'}, r"scale_reduction.*got 'means' \(did you mean mean\?\)"),
        ({'gan_type': 'hinge', 'scale_reduction': 'none'}, "scale_reduction.*mean, sum, got 'none'"),
        ({'gan_type': 'vanilla', 'loss_weight': '1e-1'}, "loss_weight.*number.*'1e-1'"),
        ({'gan_type': 'vanilla', 'loss_weight': None}, 'loss_weight.*number.*None'),
        ({'gan_type': 'vanilla', 'loss_weight': True}, 'loss_weight.*number.*True'),
        ({'gan_type': 'vanilla', 'real_label_val': '0.9'}, "real_label_val.*number.*'0.9'"),
        ({'gan_type': 'lsgan', 'fake_label_val': '0'}, "fake_label_val.*number.*'0'"),
        ({'gan_type': ['vanilla']}, r"gan_type.*got \['vanilla'\]"),
        ({'gan_type': 'vanilla', 'pairing': ['plain']}, r"pairing.*got \['plain'\]"),
        ({'gan_type': 'ragan', 'detach_mean': 'false'}, "detach_mean to be true or false, got 'false'"),
        ({'gan_type': 'vanilla', 'loss_weight': math.nan}, 'loss_weight.*number.*got nan'),
        ({'gan_type': 'vanilla', 'loss_weight': math.inf}, 'loss_weight.*number.*got inf'),
        ({'gan_type': 'vanilla', 'loss_weight': -0.1}, 'loss_weight to be a number of at least 0, got -0.1'),
        ({'gan_type': 'lsgan', 'real_label_val': math.nan}, 'real_label_val.*number.*got nan'),
        ({'gan_type': 'vanilla', 'real_label_val': 1.2}, 'real_label_val to be a number from 0 to 1, got 1.2'),
        ({'gan_type': 'ragan', 'fake_label_val': -1.0}, 'fake_label_val to be a number from 0 to 1, got -1.0'),
        ({'gan_type': 'vanilla', 'detach_mean': True}, 'detach_mean.*average or batch_average'),
        ({'gan_type': 'rpgan', 'detach_mean': True}, 'pairing: paired.*detach_mean'),
        ({'gan_type': 'vanilla', 'lossweight': 1.0}, r'lossweight \(did you mean loss_weight\?\)'),
        *(
            ({'gan_type': gan_type, label: 0.9}, f'has no option {label}')
            for gan_type in ('wgan', 'hinge', 'softplus', 'wgan_softplus', 'softplusgan', 'rpgan')
            for label in ('real_label_val', 'fake_label_val')
        ),
    ],
    ids=str,
)
def test_ganzooloss_names_the_mistake_in_its_options(options, message):
    with pytest.raises(ValueError, match=message):
        GANZooLoss(**options)


@pytest.mark.parametrize('name', LOSSES)
@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'pairing': 'pared'}, r"needs pairing.*got 'pared' \(did you mean paired\?\)"),
        ({'scale_reduction': 'summ'}, r"needs scale_reduction.*got 'summ' \(did you mean sum\?\)"),
        ({'loss_weight': '1e-1'}, "needs loss_weight.*'1e-1'"),
        ({'pairing': 'plain', 'detach_mean': True}, 'pairing: plain'),
        ({'pairing': 'paired', 'detach_mean': True}, 'pairing: paired'),
    ],
    ids=str,
)
def test_every_loss_names_itself_and_the_mistake_in_its_options(name, options, message):
    with pytest.raises(ValueError, match=f'{name} .*{message}'):
        LOSSES[name](**options)


@pytest.mark.parametrize('label', ['real_label_val', 'fake_label_val'])
@pytest.mark.parametrize('name', ['WGANLoss', 'HingeGANLoss', 'SoftplusGANLoss', 'RpGANLoss'])
def test_losses_without_labels_refuse_labels(name, label):
    with pytest.raises(TypeError, match=label):
        LOSSES[name](**{label: 0.9})


@product(('name', 'pairing'), MAKERS, RELATIVISTIC)
def test_relativistic_pairing_refuses_the_call_of_stock_models(name, pairing):
    loss = MAKERS[name](pairing=pairing)
    for target_is_real, is_disc in ((True, True), (False, True), (True, False)):
        with pytest.raises(StockModelError, match=f'pairing: {pairing}.*GANZooModel'):
            loss(torch.zeros(2, 1), target_is_real, is_disc=is_disc)


@pytest.mark.parametrize('make', [HingeGANLoss, MAKERS['GANZooLoss-hinge']])
def test_hinge_refuses_the_call_that_gives_the_generator_no_gradient(make):
    with pytest.raises(StockModelError, match='no gradient.*GANZooModel.*average'):
        make()(torch.zeros(2, 1), False, is_disc=False)
