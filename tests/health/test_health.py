"""The health report: its metrics against closed forms, its rules at their thresholds, and real sabotage."""

import logging
import re
from types import SimpleNamespace

import pytest
import torch
from _runs import train as train_apart
from _state import differences
from _training import model_opt, train_steps, write_option_file
from basicsr.models import build_model
from basicsr.utils import get_root_logger
from basicsr.utils.registry import ARCH_REGISTRY
from torch import nn
from torch.nn import functional as F

from basicsr_ganzoo.adversarial.options import HOMES
from basicsr_ganzoo.engine.cost import FlopCounter
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.health import measures
from basicsr_ganzoo.health.held_out import HeldOut
from basicsr_ganzoo.health.report import HealthReport
from basicsr_ganzoo.health.rules import RULES, holding, sentence, unexplained
from basicsr_ganzoo.registry import register
from basicsr_ganzoo.views.base import View

SMALL_D = {'type': 'PatchGANDiscriminator', 'num_feat': 8, 'num_layers': 2, 'norm': 'spectral'}
BY_NAME = {rule.name: rule for rule in RULES}


@register(ARCH_REGISTRY)
class NoiseViewForTest(View):
    """A view that draws random numbers, as augmentations do."""

    def draw(self, image):
        return torch.randn_like(image)

    def transform(self, image, drawn):
        return image + drawn / 10


@pytest.fixture
def warned():
    """The warnings of the health report, in order."""
    sentences = []
    handler = logging.Handler()
    handler.emit = lambda record: sentences.append(record.getMessage())
    handler.addFilter(lambda record: record.getMessage().startswith('health'))
    logger = get_root_logger()
    logger.addHandler(handler)
    yield sentences
    logger.removeHandler(handler)


# -------------------------------------------------------------------- metrics


def test_colour_drift_is_the_difference_of_the_means_in_grey_levels_by_channel():
    gt = torch.rand(3, 3, 8, 12)
    shift = torch.tensor([2.0, -1.0, 0.5]).view(1, 3, 1, 1) / 255
    drift = measures.colour_drift(gt + shift, gt)
    assert {k: float(v) for k, v in drift.items()} == pytest.approx(
        {'drift_r': 2, 'drift_g': -1, 'drift_b': 0.5}, abs=1e-4
    )
    assert set(measures.colour_drift(gt[:, :1], gt[:, :1])) == {'drift_0'}


def test_errors_of_single_images_are_no_drift():
    gt, error = torch.rand(2, 3, 8, 8), torch.rand(1, 3, 8, 8)
    drift = measures.colour_drift(gt + torch.cat([error, -error]), gt)
    assert max(abs(float(v)) for v in drift.values()) < 1e-4


def test_consistency_psnr_of_a_constant_error_is_its_closed_form():
    lq = torch.full((2, 3, 6, 6), 0.5)
    assert float(measures.consistency_psnr(F.interpolate(lq, scale_factor=4) + 0.1, lq)) == pytest.approx(20, abs=1e-3)
    assert float(measures.consistency_psnr(F.interpolate(lq, scale_factor=4), lq)) == pytest.approx(100)


def test_high_frequency_ratio_is_the_square_of_the_contrast_and_ignores_brightness():
    gt = torch.rand(2, 3, 16, 16)
    assert float(measures.high_frequency_ratio(gt, gt)) == 1
    assert float(measures.high_frequency_ratio(gt / 2 + 0.3, gt)) == pytest.approx(0.25, rel=1e-4)
    assert float(measures.high_frequency_ratio(torch.ones_like(gt), gt)) == pytest.approx(0, abs=1e-6)


def test_the_share_above_is_counted_per_image_over_all_positions_and_scales():
    real = torch.tensor([[0.0, 4.0], [1.0, 1.0]])
    fake = torch.tensor([[1.0], [2.0], [3.0]])
    # by hand: 0 is above none and 4 above all three; 1 is above none and ties with one
    torch.testing.assert_close(measures.shares_above(real, fake), torch.tensor([1 / 2, 1 / 6]))
    both = measures.shares_above([real, real + 9], [fake, fake])
    torch.testing.assert_close(both, torch.tensor([3 / 4, 7 / 12]))


def test_movement_is_the_change_relative_to_the_weights_since_the_last_measurement():
    net = nn.Linear(4, 1, bias=False)
    nn.init.ones_(net.weight)
    movement = measures.Movement(net)
    assert movement.measure() == 0
    with torch.no_grad():
        net.weight[0, 0] += 1
    assert movement.measure() == pytest.approx(1 / 2)  # |(1, 0, 0, 0)| / |(1, 1, 1, 1)|
    assert movement.measure() == 0


def test_frozen_layers_do_not_count_as_moving():
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    net[0].requires_grad_(False)
    movement = measures.Movement(net)
    with torch.no_grad():
        net[0].weight += 1
    assert movement.measure() == 0


@pytest.mark.parametrize('shape', [(3, 7), (7, 3), (5, 5)])
def test_the_largest_singular_value_is_that_of_the_svd(shape):
    matrix = torch.randn(shape)
    assert measures.largest_singular_value(matrix) == pytest.approx(float(torch.linalg.svdvals(matrix)[0]), rel=1e-5)


def test_weights_that_are_not_finite_have_no_singular_value_but_are_no_error():
    assert measures.largest_singular_value(torch.tensor([[float('nan'), 1.0]])) != 0


SPECTRAL_NORMS = {'hook': nn.utils.spectral_norm, 'parametrization': nn.utils.parametrizations.spectral_norm}
LAYERS = {'convolution': nn.Conv2d, 'transposed': nn.ConvTranspose2d}


@pytest.mark.parametrize('norm', SPECTRAL_NORMS)
@pytest.mark.parametrize('layer', LAYERS)
def test_a_layer_under_spectral_norm_has_the_norm_one_and_a_stale_one_what_the_svd_says(norm, layer):
    torch.manual_seed(0)
    net = nn.Sequential(SPECTRAL_NORMS[norm](LAYERS[layer](3, 5, 3, padding=1)), nn.Conv2d(5, 5, 3))
    norms = measures.SpectralNorms(net)
    for _ in range(100):
        net(torch.rand(1, 3, 8, 8))
    assert norms.largest() == ('0', pytest.approx(1, rel=1e-3))

    net.eval()
    original = dict(net.named_parameters())['0.weight_orig' if norm == 'hook' else '0.parametrizations.weight.original']
    with torch.no_grad():
        original.add_(torch.randn_like(original))
    net(torch.rand(1, 3, 8, 8))
    rows = net[0].weight.transpose(0, int(layer == 'transposed')).flatten(1)
    assert norms.largest()[1] == pytest.approx(float(torch.linalg.svdvals(rows.detach())[0]), rel=1e-3)


def test_a_layer_whose_spectral_norm_was_removed_is_still_measured():
    net = nn.Sequential(nn.utils.spectral_norm(nn.Conv2d(1, 1, 1)))
    norms = measures.SpectralNorms(net)
    nn.utils.remove_spectral_norm(net[0])
    nn.init.constant_(net[0].weight, -3)
    assert norms.largest() == ('0', 3)


def test_a_network_without_spectral_norm_has_no_layer_to_measure():
    assert measures.SpectralNorms(nn.Conv2d(3, 3, 3)).largest() == (None, 0)


# -------------------------------------------------------------------- images that D has not seen


class ByHeart(nn.Module):
    """Returns 1 for the images it knows, and the mean of others."""

    def __init__(self, known):
        super().__init__()
        self.known = known

    def forward(self, image):
        seen = [any(torch.equal(one, known) for known in self.known) for one in image]
        return torch.where(torch.tensor(seen), 1.0, image.mean(dim=(1, 2, 3))).unsqueeze(1)


def judged_by(net, suffix=''):
    return SimpleNamespace(
        suffix=suffix, modules=[net], generator=None, judge=lambda real, fake: (net(real), net(fake))
    )


def test_a_discriminator_that_has_memorised_its_images_is_detected():
    real, unseen, fake = (torch.rand(6, 3, 8, 8) / 2 for _ in range(3))
    fake[:3], fake[3:] = 0.0, 0.9
    held_out = HeldOut([judged_by(ByHeart(real), '_unet')])
    held_out.real, held_out.fake = real, fake
    for picture in unseen:
        held_out.take(F.pad(picture[None], (1, 2, 3, 3), value=7.0))  # of which the middle counts
    metrics = held_out.result()['_unet']
    assert metrics == {'auc_train': 1, 'auc_held_out': 0.5, 'auc_error': 0}
    assert names(failing(HEALTHY | metrics)) == ['discriminator overfits']


def test_what_cannot_be_compared_gives_no_metric():
    net = ByHeart([])
    held_out = HeldOut([judged_by(net)])
    held_out.take(torch.rand(1, 3, 8, 8))  # before the first step
    assert held_out.result() == {}
    held_out.real, held_out.fake = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    held_out.take(torch.rand(1, 3, 7, 9))  # smaller than a crop
    assert held_out.result() == {}
    held_out.take(torch.rand(1, 3, 9, 9))  # one picture has no spread
    assert held_out.result() == {}
    for _ in range(3):  # more than a batch, and then a part of one
        held_out.take(torch.rand(1, 3, 8, 8))
    assert set(held_out.result()['']) == {'auc_train', 'auc_held_out', 'auc_error'}


# -------------------------------------------------------------------- rules

HEALTHY = {
    'g_moved': 1e-3,
    'd_moved': 1e-3,
    'dlearns': 1.0,
    'acc_d_real': 0.8,
    'acc_d_fake': 0.85,
    'acc_pair': 0.9,
    'gap': 1.0,
    'max_logit': 5.0,
    'rho': 0.3,
    'w_gan': 1.0,
    'w_gan_of_most': 0.01,
    'drift_r': 0.5,
    'drift_g': -0.5,
    'drift_b': 0.1,
    'sn_sigma': 1.05,
    'sn_layer': 'conv1',
    'r1': 0.2,
    'first_r1': 0.01,
    'reg_share': 0.1,
    'auc_train': 0.8,
    'auc_held_out': 0.78,
    'auc_error': 0.05,
}
#: rule -> metrics just past its threshold, and metrics just before it
CASES = {
    'generator frozen': ({'g_moved': 0.0}, {'g_moved': 2e-9}),
    'discriminator frozen': ({'d_moved': 0.0}, {'d_moved': 2e-9}),
    'discriminator skipped': ({'dlearns': 0.0}, {'dlearns': 0.02}),
    'discriminator wins': ({'acc_d_real': 0.99, 'acc_d_fake': 0.981}, {'acc_d_real': 0.99, 'acc_d_fake': 0.979}),
    'discriminator at chance': ({'acc_pair': 0.54, 'gap': 0.1}, {'acc_pair': 0.56, 'gap': 0.1}),
    'GAN without effect': ({'rho': 0.9e-3}, {'rho': 1.1e-3}),
    'GAN decides alone': ({'rho': 31.0}, {'rho': 29.0}),
    'GAN weight at its bound': ({'w_gan_of_most': 1.0}, {'w_gan_of_most': 0.98}),
    'colours drift': ({'drift_g': -2.1}, {'drift_g': -1.9}),
    'spectral norm off': ({'sn_sigma': 1.6}, {'sn_sigma': 1.4}),
    'logits explode': ({'max_logit': 1001.0, 'gap': 500.0}, {'max_logit': 999.0, 'gap': 500.0}),
    'discriminator sharpens': ({'r1': 1.1, 'first_r1': 0.01}, {'r1': 0.9, 'first_r1': 0.001}),
    'regularizer without effect': ({'reg_share': 0.9e-4}, {'reg_share': 1.1e-4}),
    'discriminator overfits': ({'auc_held_out': 0.64}, {'auc_held_out': 0.66}),
}
#: further metrics for which a rule must not hold
SILENT = {
    'D wins against a G that the GAN weight does not let play': {'acc_d_real': 1.0, 'acc_d_fake': 1.0, 'rho': 1e-4}
    | {'w_gan': 0.01},
    'D wins on one side only': {'acc_d_real': 1.0, 'acc_d_fake': 0.9},
    'the pairs are at chance but the means are not': {'acc_pair': 0.5, 'gap': 0.11},
    'a ramp has not begun': {'rho': 0.0, 'w_gan': 0.0},
    'steeper, but not a hundred times': {'r1': 5.0, 'first_r1': 0.06},
    'LeCam has not begun': {'reg_share': 0.0},
    'few validation images': {'auc_held_out': 0.6, 'auc_error': 0.11},
}
EXPLAINED = [(rule.name, reason) for rule in RULES for reason in rule.unless]


def failing(metrics):
    return unexplained(holding(metrics))


def names(rules):
    return [rule.name for rule in rules]


def test_each_rule_has_a_case_a_source_and_a_name_of_its_own():
    assert set(CASES) == set(BY_NAME)
    assert len(BY_NAME) == len(RULES)
    assert all(rule.source for rule in RULES)
    assert {reason for rule in RULES for reason in rule.unless} <= set(BY_NAME)


@pytest.mark.parametrize('name', CASES)
def test_a_rule_holds_just_past_its_threshold_and_no_other_does(name):
    past, before = CASES[name]
    assert names(failing(HEALTHY | past)) == [name]
    assert failing(HEALTHY | before) == []


@pytest.mark.parametrize('case', SILENT)
def test_no_rule_holds_for_what_only_looks_like_a_fault(case):
    assert failing(HEALTHY | SILENT[case]) == []


@pytest.mark.parametrize(('name', 'reason'), EXPLAINED)
def test_a_rule_that_another_one_explains_is_not_reported(name, reason):
    metrics = HEALTHY | CASES[name][0] | CASES[reason][0]
    if reason == 'GAN without effect':
        metrics['rho'] = 0.0
    found = names(failing(metrics))
    assert name not in found
    assert reason in found


def test_a_discriminator_that_wins_because_rho_is_too_small_is_reported_as_a_gan_without_effect():
    assert names(failing(HEALTHY | CASES['discriminator wins'][0] | {'rho': 1e-4})) == ['GAN without effect']


def test_no_rule_holds_where_a_metric_is_missing():
    assert failing({}) == []
    for name, (past, _) in CASES.items():
        without = {key: value for key, value in (HEALTHY | past).items() if key not in past}
        assert failing(without) == [], name


def test_grey_images_drift_too():
    grey = {'drift_0': 3.0}
    assert names(failing(grey)) == ['colours drift']
    assert '0 +3.0 of 255' in sentence(BY_NAME['colours drift'], grey, 10)


#: keys that are not an adversary's
OF_THE_MODEL = ('train.optim_g', 'train.scheduler', 'lr_consistency_opt')


@pytest.mark.parametrize('block', ['train.', 'adversaries.unet.'])
@pytest.mark.parametrize('name', CASES)
def test_the_sentence_names_the_duration_and_existing_keys(name, block):
    text = sentence(BY_NAME[name], HEALTHY | CASES[name][0], 2000, block)
    verdict, way_out = text.split('; ', 1)
    assert verdict.endswith(' (2,000 iterations)')
    keys = re.findall(r'[a-z.]*\b(?:optim|network|net_d|d_reg|gan|lr_consistency|views|scheduler)[a-z_]*', way_out)
    adversary = {f'{block}{key}' if home == 'train.' or block != 'train.' else key for key, home in HOMES.items()}
    assert set(keys) <= adversary.union(OF_THE_MODEL)
    assert keys or name in ('spectral norm off', 'GAN weight at its bound')


@pytest.mark.parametrize('name', [rule.name for rule in RULES if rule.with_target])
def test_with_a_target_rho_its_keys_are_suggested_instead_of_it(name):
    metrics = HEALTHY | CASES[name][0]
    held = sentence(BY_NAME[name], metrics, 2000)
    free = sentence(BY_NAME[name], {key: value for key, value in metrics.items() if key != 'w_gan_of_most'}, 2000)
    assert 'set train.gan_weight_opt: {type: GANWeightTargetRho}' in free
    assert 'GANWeightTargetRho' not in held
    assert 'train.gan_weight_opt.target' in held
    assert 'GANWeightTargetRho' in {rule.name: rule.way_out for rule in RULES}[name]


# -------------------------------------------------------------------- when it is reported


def a_report(*suffixes, begins=0, freq=10, hold=30):
    adversaries = [
        SimpleNamespace(suffix=s, block=f'adversaries.{s[1:]}.' if s else 'train.', net_d=net, bare=net, modules=[net])
        for s, net in ((s, nn.Conv2d(3, 1, 1)) for s in suffixes)
    ]
    return HealthReport(adversaries, nn.Conv2d(3, 3, 1), freq=freq, probe_freq=20, hold=hold, begins=begins)


def observe(report, metrics, first, last):
    for iteration in range(first, last + 1):
        report.observe(dict(metrics), iteration)


def test_a_rule_is_reported_once_after_it_has_held_for_long_enough(warned):
    report = a_report('')
    observe(report, {'rho': 100.0}, 1, 29)
    assert warned == []
    observe(report, {'rho': 100.0}, 30, 100)
    assert warned == [
        "health: the GAN decides alone: its gradient at the image is 100 times the content losses' (30 iterations); "
        'lower train.gan_opt.loss_weight, or set train.gan_weight_opt: {type: GANWeightTargetRho}'
    ]


def test_the_status_is_the_newest_warning_that_holds_and_healthy_without_one(warned):
    report = a_report('', '_texture')
    assert report.status == ''
    observe(report, {'rho': 1.0}, 1, 10)
    assert report.status == 'healthy'
    observe(report, {'rho': 100.0}, 11, 50)
    assert report.status == 'GAN decides alone'
    observe(report, {'rho': 100.0, 'max_logit_texture': 1e6}, 51, 90)
    assert report.status == 'logits explode (texture)'
    observe(report, {'rho': 1.0, 'max_logit_texture': 1.0}, 91, 100)
    assert report.status == 'healthy'


def test_a_rule_that_no_longer_held_is_reported_again_when_it_holds_as_long_again(warned):
    report = a_report('')
    observe(report, {'rho': 100.0}, 1, 40)
    observe(report, {'rho': 1.0}, 41, 50)
    observe(report, {'rho': 100.0}, 51, 79)
    assert len(warned) == 1
    observe(report, {'rho': 100.0}, 80, 120)
    assert len(warned) == 2


def test_a_rule_that_holds_now_and_then_is_not_reported(warned):
    report = a_report('')
    for begin in range(0, 200, 40):
        observe(report, {'rho': 100.0}, begin + 1, begin + 20)
        observe(report, {'rho': 1.0}, begin + 21, begin + 40)
    assert warned == []


def test_a_rule_that_another_one_explained_is_reported_when_that_one_no_longer_holds(warned):
    report = a_report('')
    observe(report, {'acc_pair': 0.5, 'gap': 0.0, 'max_logit': 0.0, 'sn_sigma': 2.0}, 1, 50)
    assert [s.split(':')[1] for s in warned] == [' spectral norm does not hold']
    observe(report, {'acc_pair': 0.5, 'gap': 0.0, 'max_logit': 0.0, 'sn_sigma': 1.0}, 51, 60)
    assert len(warned) == 2
    assert 'the discriminator is at chance' in warned[1]
    assert '(60 iterations)' in warned[1]


def test_an_evaluation_uses_the_means_since_the_last_one_without_values_that_are_not_finite(warned):
    report = a_report('', hold=10)
    for iteration in range(1, 11):
        report.observe({'rho': float(iteration), 'r1': float('nan')}, iteration)
    report.observe({'rho': float('inf'), 'acc_d_real': 1.0}, 11)
    assert report.metrics['rho'] == 5.5
    observe(report, {'acc_d_real': 0.0}, 12, 20)
    assert report.metrics == {'rho': 5.5, 'acc_d_real': 0.1}


def test_each_of_several_adversaries_is_evaluated_by_its_own_metrics(warned):
    report = a_report('_unet', '_patch')
    weak = {'rho': 1.0, 'rho_unet': 1e-5, 'rho_patch': 1.0, 'acc_d_real_patch': 0.99, 'acc_d_fake_patch': 0.99}
    observe(report, weak, 1, 50)
    assert len(warned) == 2
    assert warned[0].startswith('health (unet): the GAN has no effect')
    assert 'raise adversaries.unet.gan_opt.loss_weight' in warned[0]
    assert warned[1].startswith('health (patch): the discriminator wins')
    assert 'lower adversaries.patch.optim_d.lr' in warned[1]


def test_a_rule_of_the_generator_is_reported_once_for_all_adversaries(warned):
    observe(a_report('_unet', '_patch'), {'drift_r': 5.0}, 1, 50)
    observe(a_report(), {'drift_r': 5.0}, 1, 50)
    assert len(warned) == 2
    assert warned[0] == warned[1]
    assert warned[0].startswith('health: the colours drift: r +5.0 of 255 (30 iterations); add lr_consistency_opt')


def test_nothing_is_evaluated_while_the_discriminator_learns_alone(warned):
    report = a_report('', begins=100)
    observe(report, {'acc_d_real': 1.0, 'acc_d_fake': 1.0}, 1, 129)
    assert warned == []
    observe(report, {'acc_d_real': 1.0, 'acc_d_fake': 1.0}, 130, 130)
    assert len(warned) == 1


@pytest.mark.parametrize('stop', [1, 25, 30, 44, 60])
def test_a_resumed_training_has_the_warnings_of_one_that_was_never_stopped(stop, warned, tmp_path):
    """Killed at any place: in a window, before and after a verdict, and in a time in which a network does not move."""

    def report_on_the_same_networks():
        torch.manual_seed(0)
        return a_report('')

    def watch(report, first, last):
        for iteration in range(first, last + 1):
            metrics = {'rho': 100.0 if iteration <= 50 else 1.0, 'r1': 1.0 * iteration, 'grad_net_g': 1.0}
            report.observe(metrics | ({'gap': 0.1 * iteration} if iteration % 7 else {}), iteration)

    whole = report_on_the_same_networks()
    watch(whole, 1, 100)
    expected, warned[:] = warned[:], []
    stopped, resumed = report_on_the_same_networks(), report_on_the_same_networks()
    watch(stopped, 1, stop)
    torch.save(stopped.state_dict(), tmp_path / 'state')
    resumed.load_state_dict(torch.load(tmp_path / 'state', weights_only=True))
    watch(resumed, stop + 1, 100)
    assert warned == expected
    assert len(expected) == 2
    assert differences(resumed.state_dict(), whole.state_dict()) == []


def test_a_state_without_a_report_restarts_it(warned):
    report = a_report('')
    report.load_state_dict({})
    observe(report, {'rho': 100.0}, 1005, 1030)
    assert warned == []
    observe(report, {'rho': 100.0}, 1031, 1040)
    assert len(warned) == 1


def test_a_network_that_is_not_to_be_updated_is_not_frozen(warned):
    report = a_report('')
    observe(report, {'l_g_pix': 1.0}, 1, 50)
    assert warned == []
    observe(report, {'grad_net_d': 1.0}, 51, 100)
    assert [s.split(';')[0] for s in warned] == [
        'health: the discriminator does not learn: its weights have not moved (30 iterations)'
    ]


def test_the_steepness_is_compared_with_that_after_the_first_time(warned):
    report = a_report('', hold=30)
    for iteration in range(1, 101):  # R1 is probed in each 20th iteration
        probed = {'r1': {20: 0.001, 40: 0.1}.get(iteration, 9.0)} if iteration % 20 == 0 else {}
        report.observe(probed, iteration)
    assert report.metrics['first_r1'] == 0.1
    assert warned == []


def test_metrics_that_are_measured_rarely_are_in_the_log_of_all_steps():
    report = a_report('_unet')
    assert report.observe({'lr_psnr': 30.0, 'sn_sigma_unet': 1.0, 'rho': 1.0}, 10) == {}
    assert report.observe({'rho': 2.0}, 11) == {'lr_psnr': 30.0, 'sn_sigma_unet': 1.0}
    assert report.observe({'lr_psnr': 31.0}, 12) == {'sn_sigma_unet': 1.0}


# -------------------------------------------------------------------- in a training

OPTION_ERRORS = {
    "needs to be true, false or a mapping, got 'often'": 'often',
    'needs to be true, false or a mapping, got 1': 1,
    'needs to be true, false or a mapping, got 0': 0,
    r'health_opt\.fraq: nobody reads this key \(did you mean freq\?\)': {'fraq': 100},
    'needs hold to be a whole number from 1, got 0': {'hold': 0},
    'needs freq to be a whole number from 1, got 2.5': {'freq': 2.5},
    'needs probe_freq to be a whole number from 1, got True': {'probe_freq': True},
}


@pytest.mark.parametrize('message', OPTION_ERRORS)
def test_a_mistake_in_health_opt_is_one_sentence(message):
    with pytest.raises(OptionError, match=message):
        build_model(model_opt(health_opt=OPTION_ERRORS[message]))


@pytest.mark.parametrize('value', [True, None, {}])
def test_the_report_is_on_unless_it_is_switched_off(value):
    assert build_model(model_opt(health_opt=value)).health.hold == 1000
    assert build_model(model_opt(health_opt=False)).health is None


def images(count, generator, side=32, scale=4):
    """Random pictures with detail at all sizes, and their reductions."""
    gt = torch.full((count, 3, side, side), 0.5)
    for size, strength in ((4, 0.6), (8, 0.3), (16, 0.3), (32, 0.1)):
        noise = torch.rand(count, 3, size, size, generator=generator) - 0.5
        gt += strength * F.interpolate(noise, size=(side, side), mode='bicubic')
    return {'lq': F.avg_pool2d(gt, scale), 'gt': gt}


def train(count=60, sabotage=None, validate=(), size=32, **train_opt):
    """A training of a small GAN that is healthy but for what ``sabotage`` does to the model before it."""
    options = {
        'gan_opt': {'type': 'VanillaGANLoss', 'loss_weight': 0.02},
        'network_d': SMALL_D,
        'pixel_opt': {'type': 'L1Loss', 'loss_weight': 1.0},
        'health_opt': {'freq': 10, 'probe_freq': 20, 'hold': 40},
    }
    torch.manual_seed(0)
    model = build_model(model_opt(**(options | train_opt)))
    if sabotage:
        sabotage(model)
    generator = torch.Generator().manual_seed(1)
    for iteration in range(1, count + 1):
        model.feed_data(images(4, generator, size))
        model.optimize_parameters(iteration)
        if iteration in validate:
            validate_on_images(model, iteration, side=size + 8)
    return model


class Images(list):
    dataset = SimpleNamespace(opt={'name': 'held_out'})


def validate_on_images(model, iteration, count=6, side=40, tb_logger=None):
    generator = torch.Generator().manual_seed(2)
    loader = Images(images(1, generator, side) | {'lq_path': [f'{i}.png']} for i in range(count))
    model.opt['val'] = {}
    model.validation(loader, iteration, tb_logger)


def let_spectral_norm_go_stale(model):
    net = model.adversaries['net_d'].net_d.eval()  # in eval() nothing updates u and v
    for name, buffer in net.named_buffers():
        if name.endswith(('_u', '_v')):
            nn.init.normal_(buffer).div_(buffer.norm())


def take_spectral_norm_off(model):
    """Replace the norm of the first layer by a weight of three times the size."""
    layer = next(m for m in model.adversaries['net_d'].net_d.modules() if hasattr(m, 'weight_orig'))
    nn.utils.remove_spectral_norm(layer)
    layer.weight.data *= 3


def blind_the_discriminator(model):
    def show_noise(net, images):
        return images[0] * 0 + torch.rand_like(images[0])

    model.adversaries['net_d'].net_d.register_forward_pre_hook(show_noise)


def shift_red(model):
    model.net_g.conv_last.bias.data[0] += 0.1


def adam(lr):
    return {'type': 'Adam', 'lr': lr, 'betas': [0.9, 0.99]}


#: what is done -> the rule whose verdict it raises, what is done to the model, and to the block ``train``
SABOTAGES = {
    'nothing': (None, None, {}),
    'a frozen G': ('generator frozen', None, {'optim_g': adam(0.0)}),
    'a frozen D': ('discriminator frozen', None, {'optim_d': adam(0.0)}),
    'a blind D': ('discriminator at chance', blind_the_discriminator, {}),
    'a GAN weight of 0': ('GAN without effect', None, {'gan_opt': {'type': 'VanillaGANLoss', 'loss_weight': 0.0}}),
    'a colour-shifted G': ('colours drift', shift_red, {}),
    'stale spectral norm': ('spectral norm off', let_spectral_norm_go_stale, {}),
    'no spectral norm': ('spectral norm off', take_spectral_norm_off, {}),
    'a D too strong': (
        'discriminator wins',
        None,
        {'network_d': SMALL_D | {'norm': 'instance'}, 'optim_d': adam(5e-3), 'optim_g': adam(1e-6), 'count': 180},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize('what', SABOTAGES)
def test_sabotage_raises_exactly_its_warning_and_a_healthy_training_none(what, warned):
    expected, sabotage, options = SABOTAGES[what]
    train(sabotage=sabotage, **options)
    assert len(warned) == bool(expected), warned
    for text in warned:
        assert text.startswith('health: ' + BY_NAME[expected].verdict.partition('{')[0])


EVERY_STEP = {'freq': 1, 'probe_freq': 2, 'hold': 1}
#: parts of a training that draw random numbers or keep buffers
TRAININGS = {
    'batch norm and a random view': {
        'network_d': {'type': 'VGGDiscriminator', 'num_feat': 4},
        'views': [{'type': 'NoiseViewForTest'}],
        'size': 128,
    },
    'spectral norm and lazy R1': {'d_reg_opt': {'r1': {'type': 'R1Regularizer', 'interval': 3}}},
    'D alone at first, G in each second step': {'net_d_init_iters': 2, 'net_d_iters': 2},
}


@pytest.mark.slow
@pytest.mark.parametrize('case', TRAININGS)
def test_the_same_weights_come_out_with_and_without(case):
    options = dict(TRAININGS[case])
    size = options.pop('size', 32)
    states = []
    for health_opt in (EVERY_STEP, False):
        model = train(5, validate=(2, 4), size=size, health_opt=health_opt, **options)
        nets = (model.net_g, model.net_g_ema, model.adversaries['net_d'].net_d)
        states.append([tensor.clone() for net in nets for tensor in net.state_dict().values()])
        states[-1].append(torch.rand(3))  # the random numbers continue as they would have
    watched = train(5, size=size, health_opt=EVERY_STEP, **options)
    assert 'd_moved' in watched.log_dict
    for with_report, without in zip(*states, strict=True):
        assert torch.equal(with_report, without)


#: block ``train`` -> metrics that the log must have beside those of the images and of G
KINDS = {
    'no adversary': ({'gan_opt': None, 'network_d': None}, ()),
    "BasicSR's loss": ({'gan_opt': {'type': 'GANLoss', 'gan_type': 'lsgan', 'loss_weight': 0.1}}, ('d_moved', 'rho')),
    'relativistic': ({'gan_opt': {'type': 'RaGANLoss', 'loss_weight': 0.1}}, ('r1', 'rho', 'sn_sigma')),
    'a critic': ({'gan_opt': {'type': 'WGANLoss', 'loss_weight': 0.1}}, ('r1', 'rho', 'sn_sigma')),
    'logits at several scales': (
        {'network_d': {'type': 'MultiScalePatchGANDiscriminator', 'num_feat': 4, 'num_layers': 1, 'num_scales': 2}},
        ('r1', 'max_logit', 'sn_sigma'),
    ),
}


@pytest.mark.parametrize('kind', KINDS)
def test_every_kind_of_training_has_its_metrics(kind):
    options, expected = KINDS[kind]
    model = train(3, validate=(2,), health_opt=EVERY_STEP, **options)
    for name in ('drift_r', 'lr_psnr', 'hf_ratio', 'g_moved', *expected):
        assert model.log_dict[name] == pytest.approx(model.log_dict[name])  # there, and no nan
    assert ('auc_held_out' in model.health.metrics) == (kind != 'no adversary')


def test_an_ordinary_step_costs_no_more_flops():
    flops = []
    for health_opt in ({}, False):
        model = train(1, health_opt=health_opt)
        with FlopCounter() as counter:
            model.optimize_parameters(2)
        flops.append(counter.total)
    assert flops[0] == flops[1] > 0


def test_each_of_two_adversaries_has_its_metrics():
    opt = model_opt(health_opt=EVERY_STEP)
    block = {'network_d': SMALL_D, 'gan_opt': {'type': 'HingeGANLoss', 'loss_weight': 0.1}, 'optim_d': adam(1e-4)}
    opt['adversaries'] = {'one': block, 'other': block}
    model, logs = train_steps(opt, 3, gt_size=32)
    validate_on_images(model, 3)
    for suffix in ('_one', '_other'):
        assert {name + suffix for name in ('r1', 'sn_sigma', 'd_moved', 'rho', 'acc_pair')} <= set(logs[-1])
        assert f'auc_held_out{suffix}' in model.health.metrics
    assert 'd_moved' not in logs[-1]


def test_weights_that_are_not_finite_are_reported_by_the_guard_and_are_no_error_of_the_report():
    def break_it(model):
        next(model.adversaries['net_d'].net_d.parameters()).data.fill_(float('nan'))

    model = train(2, sabotage=break_it, health_opt=EVERY_STEP)
    assert model.guard.bad_steps == 2
    assert model.health.metrics == {}


def test_a_validation_logs_the_discriminators_scores_of_unseen_images(caplog):
    written = {}
    board = SimpleNamespace(add_scalar=lambda tag, value, iteration: written.update({tag: (value, iteration)}))
    model = train(2)
    logging.getLogger('basicsr').addHandler(caplog.handler)  # BasicSR's logger does not propagate
    with caplog.at_level(logging.INFO, 'basicsr'):
        validate_on_images(model, 7, tb_logger=board)
    assert re.search('Validation held_out: D puts [0-9]+% of these images above generated ones', caplog.text)
    assert set(written) == {f'metrics/held_out/{name}' for name in ('auc_train', 'auc_held_out', 'auc_error')}
    assert written['metrics/held_out/auc_held_out'] == (model.health.metrics['auc_held_out'], 7)


def test_real_esrgan_compares_sharpened_unseen_images_if_it_trains_with_sharpened_ones():
    network_d = {'type': 'UNetSNDiscriminator', 'num_feat': 4}
    opt = model_opt('RealESRGANZooModel', {'type': 'VanillaGANLoss', 'loss_weight': 0.1}, network_d)
    opt.update(high_order_degradation=False, gan_gt_usm=True)
    model, _ = train_steps(opt, 1, gt_size=64)
    asked = []
    model.health.held_out.take = asked.append
    model.opt['val'] = {}
    picture = images(1, torch.Generator().manual_seed(0), side=64)
    sharpened = model.usm_sharpener(picture['gt'])
    model.validation(Images([picture | {'lq_path': ['a.png']}]), 1, None)
    torch.testing.assert_close(asked[0], sharpened)
    assert not torch.allclose(asked[0], picture['gt'], atol=1e-2)


@pytest.mark.slow
def test_a_run_writes_the_metrics_to_the_log_and_to_tensorboard(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    path = write_option_file(tmp_path, total_iter=4, logger__use_tb_logger=True, train__health_opt=EVERY_STEP)
    code, output = train_apart(path)
    assert code == 0, output
    (log,) = tmp_path.glob('experiments/*/train*.log')
    events = EventAccumulator(str(next(tmp_path.glob('tb_logger/*')))).Reload()
    last = [line for line in log.read_text().splitlines() if 'iter:       4' in line][0]
    for name in ('acc_d_real', 'rho', 'drift_r', 'lr_psnr', 'hf_ratio', 'g_moved', 'd_moved', 'sn_sigma', 'r1'):
        shown = re.search(f' {name}: ([-+.e0-9]+)', last)[1]
        assert events.Scalars(name)[-1].value == pytest.approx(float(shown), rel=1e-3)
    assert 'Validation held_out: D puts' in log.read_text()
    assert events.Scalars('metrics/held_out/auc_held_out')[-1].step == 4
