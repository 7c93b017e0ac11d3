"""One discriminator's step: how often D runs, what changes, and that losses and gradients are those of the formulas."""

import copy

import pytest
import torch
from _training import batches, model_opt
from _zoo import GAN_LOSSES
from basicsr.losses import build_loss
from basicsr.models import build_model

from basicsr_ganzoo.adversarial.adapters import WithFeatures
from basicsr_ganzoo.adversarial.adversary import Adversary
from basicsr_ganzoo.adversarial.builder import freeze_first_layers
from basicsr_ganzoo.adversarial.settings import AdversarySettings
from basicsr_ganzoo.adversarial.skip import SkipWhenStrong
from basicsr_ganzoo.engine.ema import MovingAverage
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.losses.feature_matching import FeatureMatchingLoss
from basicsr_ganzoo.losses.pairing import PAIRINGS
from basicsr_ganzoo.registry import entries
from basicsr_ganzoo.regularizers.r1 import R1Regularizer

LOSSES = GAN_LOSSES
DISCRIMINATORS = entries('archs')


def small(name):
    return DISCRIMINATORS[name](num_feat=4)


def images(net, batch=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    size = max(getattr(net, 'min_size', 16), 32)
    return (torch.rand(batch, 3, size, size, generator=generator) for _ in range(2))


def adversary(net, loss, **parts):
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1)
    return Adversary(net, loss, optimizer, **parts)


def take_step(ours, real, fake, **options):
    """A whole step, with its update of D. Returns the gradient at ``fake`` and the metrics."""
    ours.optimizer.zero_grad(set_to_none=True)
    result = ours.step(real, fake, **options)
    ours.clip_gradients()
    ours.commit({name: float(value) for name, value in result.metrics.items()})
    return result.gradient, result.metrics


@pytest.mark.parametrize('pairing', PAIRINGS)
@pytest.mark.parametrize('loss', LOSSES)
def test_discriminator_runs_once_on_real_and_once_on_fake(loss, pairing):
    torch.manual_seed(0)
    net = small('UNetSNDiscriminator')
    real, fake = images(net)
    seen = []
    net.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach().clone()))
    take_step(adversary(net, LOSSES[loss](pairing=pairing)), real, fake)
    assert len(seen) == 2
    assert torch.equal(seen[0], real)
    assert torch.equal(seen[1], fake)


@pytest.mark.parametrize('pairing', PAIRINGS)
@pytest.mark.parametrize('loss', LOSSES)
def test_a_step_equals_separate_computations_of_both_losses(loss, pairing):
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

    gradient, log = take_step(adversary(net, criterion), real, fake)
    torch.testing.assert_close(gradient, expected_gradient)
    torch.testing.assert_close(log['l_g_gan'], l_g.detach())
    for ours, theirs in zip(net.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize('name', DISCRIMINATORS)
def test_a_step_does_not_change_the_images(name):
    torch.manual_seed(0)
    net = small(name)
    real, fake = images(net)
    before = real.clone(), fake.clone()
    gradient, _ = take_step(adversary(net, LOSSES['RaGANLoss']()), real, fake)
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
    gradient, log = take_step(adversary(net, LOSSES['HingeGANLoss']()), *images(net), train_g=False)
    assert gradient is None
    assert 'l_g_gan' not in log
    assert any(not torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))


def test_log_is_detached_and_names_the_usual_keys():
    torch.manual_seed(0)
    net = small('MultiScalePatchGANDiscriminator')
    _, log = take_step(adversary(net, LOSSES['LSGANLoss']()), *images(net))
    assert set(log) == {
        *('l_g_gan', 'l_d_real', 'l_d_fake', 'out_d_real', 'out_d_fake'),
        *('acc_d_real', 'acc_d_fake', 'acc_pair', 'gap', 'max_logit', 'grad_gan'),
    }
    assert all(value.ndim == 0 and not value.requires_grad and value.isfinite() for value in log.values())


@pytest.mark.parametrize('name', ['UNetSNDiscriminator', 'MultiScalePatchGANDiscriminator'])
@pytest.mark.parametrize('gan_type', ['vanilla', 'lsgan', 'wgan', 'wgan_softplus', 'hinge'])
def test_a_loss_of_basicsr_gives_the_same_step_as_ours(gan_type, name):
    logs = []
    for loss_type in ('GANLoss', 'GANZooLoss'):
        torch.manual_seed(0)
        net = small(name)
        loss = build_loss({'type': loss_type, 'gan_type': gan_type, 'loss_weight': 0.1})
        gradient, log = take_step(adversary(net, loss), *images(net))
        logs.append({**log, 'gradient': gradient})
    for key, value in logs[0].items():
        torch.testing.assert_close(value, logs[1][key], msg=key)


# ---------------------------------------------------------------- D's options: skipping, freezing, clipping, averaging

SMALL_D = {'type': 'PatchGANDiscriminator', 'num_feat': 4, 'num_layers': 2}
GAN = {'type': 'VanillaGANLoss', 'loss_weight': 0.1}


def gan_opt(network_d=None, **train):
    return model_opt(gan_opt=GAN, network_d=network_d or SMALL_D, **train)


def only(model):
    return model.adversaries['net_d']


def weights(net):
    return [p.detach().clone() for p in net.parameters()]


def same(one, other):
    return [torch.equal(a, b) for a, b in zip(one, other, strict=True)]


def walk(model, steps, seed=1):
    """Train a model on random pairs; yields the iteration after each step."""
    for iteration, batch in enumerate(batches(steps, gt_size=32, seed=seed), start=1):
        model.feed_data(batch)
        model.optimize_parameters(iteration)
        yield iteration


def test_only_d_learns_in_the_warm_up_and_between_updates_of_g():
    torch.manual_seed(0)
    model = build_model(gan_opt(net_d_init_iters=2, net_d_iters=3))
    g, d, turns = weights(model.net_g), weights(only(model).net_d), []
    for iteration in walk(model, 7):
        assert not all(same(d, weights(only(model).net_d)))
        turns += [] if all(same(g, weights(model.net_g))) else [iteration]
        g, d = weights(model.net_g), weights(only(model).net_d)
    assert turns == [3, 6]


def test_skipping_follows_the_smoothed_accuracy():
    skip = SkipWhenStrong(0.8, smoothing=0.5)
    assert not skip.skips
    for accuracies, skips in (((1, 1), False), ((1, 1), True), ((1, 0), False), ((1, 0.4), False), ((1, 1), True)):
        skip.observe(dict(zip(('acc_d_real', 'acc_d_fake'), accuracies, strict=True)))
        assert skip.skips == skips


class ByBrightness(torch.nn.Module):
    """A discriminator that takes bright images for real ones."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, image):
        return (image.mean(dim=(1, 2, 3)) - 0.5)[:, None] * self.weight


def test_a_d_that_is_too_strong_skips_updates_until_it_errs_and_still_gives_g_a_gradient():
    net = ByBrightness()
    ours = adversary(net, LOSSES['VanillaGANLoss'](), settings=AdversarySettings(skip=SkipWhenStrong(0.8)))
    dark, bright = torch.full((2, 3, 8, 8), 0.1), torch.full((2, 3, 8, 8), 0.9)
    learned, accuracies = [], []
    for iteration in range(60):
        before = net.weight.item()
        # First D is right; then the images are swapped, so that it is always wrong.
        real, fake = (bright, dark) if iteration < 30 else (dark, bright)
        gradient, log = take_step(ours, real, fake, iteration=iteration)
        assert gradient.abs().sum() > 0
        assert bool(log['dlearns']) == (net.weight.item() != before)
        learned.append(bool(log['dlearns']))
        accuracies.append(float(log['acc_d_real'] + log['acc_d_fake']) / 2)
    assert accuracies[:30] == [1] * 30
    assert learned[:9] == [True] * 9  # 1 - 0.5 * 0.9^n first exceeds 0.8 at n = 9
    assert learned[9:30] == [False] * 21
    assert learned[32:45] == [True] * 13


def test_an_accuracy_of_1_never_skips_and_skipping_changes_the_training():
    states = []
    for more in ({}, {'net_d_skip_accuracy': 1}, {'net_d_skip_accuracy': 0.5}):
        torch.manual_seed(0)
        model = build_model(gan_opt(**more))
        list(walk(model, 4))
        states.append(weights(only(model).net_d))
    assert all(same(states[0], states[1]))
    assert not all(same(states[0], states[2]))


@pytest.mark.parametrize('name', DISCRIMINATORS)
def test_frozen_layers_stay_and_all_others_learn(name):
    torch.manual_seed(0)
    net = small(name)
    freeze_first_layers(net, 2)
    frozen = [not p.requires_grad for p in net.parameters()]
    layers = [m for m in net.modules() if next(m.parameters(recurse=False), None) is not None]
    assert sum(frozen) == sum(1 for layer in layers[:2] for _ in layer.parameters(recurse=False))
    before = weights(net)
    gradient, _ = take_step(adversary(net, LOSSES['VanillaGANLoss']()), *images(net))
    unchanged = same(before, weights(net))
    assert all(still for still, is_frozen in zip(unchanged, frozen, strict=True) if is_frozen)
    assert sum(unchanged) - sum(frozen) <= len(unchanged) // 4  # a zero attention gate gives its neighbours no gradient
    assert gradient.abs().sum() > 0


def test_net_d_freeze_freezes_what_the_optimizer_then_does_not_have():
    torch.manual_seed(0)
    model = build_model(gan_opt(net_d_freeze=2, d_reg_opt={'r1': {'type': 'R1Regularizer', 'interval': 1}}))
    before = weights(only(model).net_d)
    list(walk(model, 2))
    assert same(before, weights(only(model).net_d)) == [True] * 4 + [False] * 4
    assert len(only(model).optimizer.param_groups[0]['params']) == 4


def test_wgans_weight_clip_bounds_every_weight_after_the_step():
    torch.manual_seed(0)
    model = build_model(gan_opt(net_d_weight_clip=0.01, optim_d={'type': 'SGD', 'lr': 1.0}))
    for _ in walk(model, 3):
        largest = max(p.abs().max().item() for p in only(model).net_d.parameters())
        assert largest == pytest.approx(0.01)


@pytest.mark.parametrize('norm', [torch.nn.utils.spectral_norm, torch.nn.utils.parametrizations.spectral_norm])
def test_an_average_copies_the_vectors_of_both_forms_of_spectral_norm(norm):
    net, average = (norm(torch.nn.Conv2d(3, 4, 3)) for _ in range(2))
    MovingAverage(average, net).move(0.5)
    vectors = [name for name in net.state_dict() if name.endswith(('_u', '_v'))]
    assert len(vectors) == 2
    assert all(torch.equal(average.state_dict()[name], net.state_dict()[name]) for name in vectors)


@pytest.mark.parametrize('matching', [None, {'type': 'FeatureMatchingLoss'}])
def test_the_average_of_d_follows_the_formula_is_saved_and_resumed(matching, tmp_path):
    opt = gan_opt(SMALL_D | {'norm': 'batchspectral'}, net_d_ema_decay=0.9, feature_matching_opt=matching)
    opt['path'] = {'models': str(tmp_path), 'training_states': str(tmp_path)}
    torch.manual_seed(0)
    model = build_model(opt)
    net, average = only(model).bare, only(model).settings.average.net
    expected = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    for _ in walk(model, 3):
        for name, tensor in net.state_dict().items():
            copied = name.endswith(('weight_u', 'weight_v', 'num_batches_tracked'))
            expected[name] = tensor.clone() if copied else 0.9 * expected[name] + 0.1 * tensor
    for name, tensor in average.state_dict().items():
        torch.testing.assert_close(tensor, expected[name])
    assert not any(p.requires_grad for p in average.parameters())

    model.save(0, 3)
    saved = torch.load(tmp_path / 'net_d_3.pth', weights_only=True)
    assert saved.keys() == {'params', 'params_ema'}
    assert all(same(saved['params_ema'].values(), average.state_dict().values()))
    opt['path'] |= {f'pretrain_network_{n}': str(tmp_path / f'net_{n}_3.pth') for n in 'gd'}
    resumed = build_model(opt)
    resumed.resume_training(torch.load(tmp_path / '3.state', weights_only=True))
    assert all(same(only(resumed).settings.average.net.state_dict().values(), average.state_dict().values()))
    assert all(same(only(resumed).bare.state_dict().values(), net.state_dict().values()))


MISTAKES = {
    'all layers frozen': (
        {'net_d_freeze': 4},
        r'train\.net_d_freeze: PatchGANDiscriminator has 4 layers, so at most 3',
    ),
    'half a layer': ({'net_d_freeze': 0.5}, r'train\.net_d_freeze needs the number of layers to be a whole number'),
    'accuracy below chance': ({'net_d_skip_accuracy': 0.4}, r'train\.net_d_skip_accuracy.* from 0\.5 to 1'),
    'accuracy in percent': ({'net_d_skip_accuracy': 90}, r'train\.net_d_skip_accuracy'),
    'negative clip': ({'net_d_weight_clip': -0.01}, r'train\.net_d_weight_clip needs the value'),
    'decay of 1': ({'net_d_ema_decay': 1}, r'train\.net_d_ema_decay needs the value'),
    'no iteration for G': ({'net_d_iters': 0}, r'train\.net_d_iters needs the number of iterations .* from 1, got 0'),
    'negative warm-up': ({'net_d_init_iters': -1}, r'train\.net_d_init_iters needs the number of iterations'),
    'regularizer called real': ({'d_reg_opt': {'real': {'type': 'R1Regularizer'}}}, r'd_reg_opt\.real: the name real'),
    'regularizer called keys': ({'d_reg_opt': {'keys': {'type': 'R1Regularizer'}}}, r'd_reg_opt\.keys: the name keys'),
    'regularizer with a dot': ({'d_reg_opt': {'r.1': {'type': 'R1Regularizer'}}}, r'r\.1: a name has to be of letters'),
    'no regularizer': ({'d_reg_opt': {'r1': {'type': 'L1Loss'}}}, r'd_reg_opt\.r1: L1Loss is no regularizer'),
    'regularizer without name': ({'d_reg_opt': {'type': 'R1Regularizer'}}, r'd_reg_opt needs to be a mapping of names'),
    'no view': ({'views': [{'type': 'MSRResNet'}]}, r'train\.views\[0\]: MSRResNet is no view'),
    'view without list': ({'views': {'type': 'HighPassView'}}, r'train\.views needs to be a list of blocks'),
    'no maps to compare': ({'feature_matching_opt': {'type': 'L1Loss'}}, r'L1Loss is no loss of feature maps'),
    'no GAN loss': ({'gan_opt': {'type': 'L1Loss'}}, r'train\.gan_opt: L1Loss is no GAN loss'),
}


@pytest.mark.parametrize('mistake', MISTAKES)
def test_a_mistake_is_one_sentence_with_its_key(mistake):
    changes, expected = MISTAKES[mistake]
    opt = gan_opt()
    opt['train'].update(changes)
    with pytest.raises(OptionError, match=expected) as caught:
        build_model(opt)
    assert '\n' not in str(caught.value)


# ---------------------------------------------------------------- feature matching

WITH_SEVERAL_MAPS = ['PatchGANDiscriminator', 'UNetSNDiscriminator', 'MultiScalePatchGANDiscriminator']


@pytest.mark.parametrize('name', DISCRIMINATORS)
def test_feature_matching_is_the_mean_distance_of_ds_maps_and_adds_its_gradient(name):
    torch.manual_seed(0)
    net = small(name)
    real, fake = images(net)
    reference = copy.deepcopy(net)
    image = fake.clone().requires_grad_()
    real_logits, real_maps = reference.features(real)
    logits, fake_maps = reference.features(image)
    distances = [(f - r.detach()).abs().mean() for r, f in zip(real_maps, fake_maps, strict=True)]
    expected = 2.0 * sum(distances) / len(distances)
    l_g = LOSSES['VanillaGANLoss'](0.1).g_loss(real_logits, logits)
    (expected_gradient,) = torch.autograd.grad(l_g + expected, image)

    matching = FeatureMatchingLoss(loss_weight=2.0)
    ours = adversary(WithFeatures(net), LOSSES['VanillaGANLoss'](0.1), feature_matching=matching)
    gradient, log = take_step(ours, real, fake)
    torch.testing.assert_close(log['l_g_fm'], expected.detach())
    torch.testing.assert_close(gradient, expected_gradient)
    assert ours.bare is net


@pytest.mark.parametrize('name', WITH_SEVERAL_MAPS)
def test_feature_matching_needs_no_pass_of_d_and_does_not_change_ds_loss(name):
    states, passes = [], []
    for matching in (None, FeatureMatchingLoss()):
        torch.manual_seed(0)
        net = small(name)
        original, count = net.features, []

        def features(image, original=original, count=count):
            count.append(image.shape)
            return original(image)

        net.features = features
        wrapped = WithFeatures(net) if matching else net
        parts = {'regularizers': {'r1': R1Regularizer(interval=1)}, 'feature_matching': matching}
        take_step(adversary(wrapped, LOSSES['RaGANLoss'](0.1), **parts), *images(net))
        states.append(weights(net))
        passes.append(len(count))
    assert passes == [2, 2]
    assert all(same(*states))


def test_feature_matching_goes_through_the_views():
    torch.manual_seed(0)
    net = small('PatchGANDiscriminator')
    real, fake = images(net)
    pairs = zip(*(copy.deepcopy(net).eval().features(1 - image)[1] for image in (real, fake)), strict=True)
    expected = torch.stack([(f - r).abs().mean() for r, f in pairs]).mean()

    def negative(*pictures):
        return tuple(1 - picture for picture in pictures)

    parts = {'views': [negative], 'feature_matching': FeatureMatchingLoss()}
    ours = adversary(WithFeatures(net).eval(), LOSSES['LSGANLoss'](), **parts)
    torch.testing.assert_close(ours.step(real, fake).metrics['l_g_fm'], expected.detach())


def test_a_discriminator_without_features_is_an_error():
    stock = {'type': 'VGGStyleDiscriminator', 'num_in_ch': 3, 'num_feat': 4}
    with pytest.raises(OptionError, match=r'train\.feature_matching_opt: VGGStyleDiscriminator has no features\(\)'):
        build_model(gan_opt(stock, feature_matching_opt={'type': 'FeatureMatchingLoss'}))


def test_the_log_has_the_share_of_the_regularizers_in_the_loss_of_d_whatever_their_interval():
    regularizers = entries('regularizers')
    logs = []
    for interval in (1, 4):
        torch.manual_seed(0)
        net = small('UNetSNDiscriminator')
        made = {
            'r1': regularizers['R1Regularizer'](30.0, interval),
            'r2': regularizers['R2Regularizer'](10.0, interval),
        }
        ours = adversary(net, LOSSES['VanillaGANLoss'](), regularizers=made)
        real, fake = images(net)
        logs.append(take_step(ours, real, fake, iteration=4)[1])
        assert ('reg_share' in take_step(ours, real, fake, iteration=5)[1]) == (interval == 1)
    torch.testing.assert_close(logs[0]['reg_share'], logs[1]['reg_share'])
    charged = logs[0]['l_d_r1'] + logs[0]['l_d_r2']
    torch.testing.assert_close(logs[0]['reg_share'], charged / (logs[0]['l_d_real'] + logs[0]['l_d_fake']))
    assert charged > 0
