"""Steps that the device decides about: they read nothing, and have the numbers of those that the host decides about."""

import copy
import logging

import pytest
import torch
from _reads import HostRead, no_reads
from _state import differences, state_of
from _training import batches, model_opt
from basicsr.models import build_model
from basicsr.utils.registry import ARCH_REGISTRY, LOSS_REGISTRY
from torch import nn

from basicsr_ganzoo.degradations import noise
from basicsr_ganzoo.degradations.kernels import RandomKernels
from basicsr_ganzoo.engine.commit import DecisionOnDevice, DecisionOnHost, decision_of
from basicsr_ganzoo.engine.precision import LossScale
from basicsr_ganzoo.errors import DivergedError
from basicsr_ganzoo.registry import register

NAN = float('nan')
SMALL_D = {'type': 'PatchGANDiscriminator', 'num_feat': 4, 'num_layers': 2}
VGG_D = {'type': 'VGGDiscriminator', 'num_feat': 4, 'input_size': 32, 'norm': 'batch'}
GAN = {'type': 'VanillaGANLoss', 'loss_weight': 0.1}
RAGAN = {'type': 'RaGANLoss', 'loss_weight': 0.1}
ADAM = {'type': 'Adam', 'lr': 1e-3, 'betas': [0.9, 0.99]}
R1 = {'type': 'R1Regularizer', 'loss_weight': 0.1}
LECAM = {'type': 'LeCamRegularizer', 'start': 0}
EVERYTHING = {
    'network_d': SMALL_D | {'norm': 'batchspectral'},
    'gan_opt': GAN,
    'd_reg_opt': {'r1': R1 | {'interval': 2}, 'lecam': LECAM},
    'feature_matching_opt': {'type': 'FeatureMatchingLoss'},
    'net_d_ema_decay': 0.9,
    'net_d_weight_clip': 0.5,
    'grad_clip_d': 1.0,
}


@register(LOSS_REGISTRY)
class PerceptualStandIn(nn.Module):
    """Has the call of PerceptualLoss, and no weights to download."""

    def __init__(self):
        super().__init__()
        self.vgg = nn.Conv2d(3, 4, 3)

    def forward(self, x, gt):
        return (self.vgg(x) - self.vgg(gt.detach())).abs().mean(), None


@register(ARCH_REGISTRY)
class GeneratorWithStatistics(nn.Sequential):
    """A generator with buffers."""

    def __init__(self):
        super().__init__(nn.Conv2d(3, 48, 3, 1, 1), nn.BatchNorm2d(48), nn.PixelShuffle(4))


def everything(**train):
    """All that has a state: statistics, spectral norm, LeCam, both averages, Adam, a held rho, pauses of D."""
    held = {'gan_weight_opt': {'type': 'GANWeightTargetRho', 'smoothing': 0.5}, 'net_d_skip_accuracy': 0.99}
    opt = model_opt(**{**EVERYTHING, **held, 'optim_g': ADAM, 'optim_d': ADAM, 'grad_clip_g': 1.0, **train})
    return opt | {'network_g': {'type': 'GeneratorWithStatistics'}}


def several():
    adversaries = {'a': EVERYTHING | {'optim_d': ADAM}, 'b': {'network_d': VGG_D, 'gan_opt': RAGAN, 'optim_d': ADAM}}
    return model_opt() | {'adversaries': adversaries}


def real_esrgan(**top):
    network_d = {'type': 'UNetSNDiscriminator', 'num_feat': 4}
    opt = model_opt('RealESRGANZooModel', GAN, network_d, perceptual_opt={'type': 'PerceptualStandIn'})
    return opt | {'high_order_degradation': False, 'gan_gt_usm': True} | top


#: what trains, without a read
TRAININGS = {
    'ESRGAN': lambda: model_opt(gan_opt=RAGAN, network_d=VGG_D, perceptual_opt={'type': 'PerceptualStandIn'}),
    'the PSNR stage': model_opt,
    'everything': everything,
    'several adversaries': several,
    'in parts': lambda: everything(accumulate=2),
    'bf16': lambda: everything(amp='bf16'),
    'fp16': lambda: model_opt(gan_opt=GAN, network_d=SMALL_D, amp='fp16'),
    'channels_last': lambda: everything(channels_last=True),
    'LDL': lambda: model_opt(gan_opt=GAN, network_d=SMALL_D, ldl_opt={'type': 'L1Loss', 'loss_weight': 1.0}),
    "BasicSR's loss": lambda: model_opt(
        gan_opt={'type': 'GANLoss', 'gan_type': 'wgan', 'loss_weight': 0.1}, network_d=SMALL_D
    ),
    'critics': lambda: model_opt(
        gan_opt={'type': 'WGANLoss', 'loss_weight': 0.1},
        network_d=SMALL_D | {'norm': 'none'},
        d_reg_opt={'gp': {'type': 'GradientPenalty'}, 'dragan': {'type': 'DRAGANPenalty'}},
    ),
    'further regularizers, views and a ramp': lambda: model_opt(
        gan_opt=GAN,
        network_d={'type': 'UNetSNDiscriminator', 'num_feat': 4},
        d_reg_opt={'cut': {'type': 'CutMixConsistency'}, 'r1': {'type': 'ApproximateR1Regularizer'}},
        views=[{'type': 'DiffAugmentView', 'colour': 0.5}],
        gan_weight_opt={'type': 'GANWeightRamp'},
    ),
    'D alone': lambda: model_opt(gan_opt=GAN, network_d=SMALL_D, net_d_init_iters=5),
    'Real-ESRGAN': real_esrgan,
}


def built(opt, on_device=True):
    torch.manual_seed(0)
    model = build_model(copy.deepcopy(opt))
    assert type(model.decision) is DecisionOnHost  # there is no GPU
    if on_device:
        model.decision = DecisionOnDevice(model)
    return model


def take(model, batch, iteration):
    model.feed_data({key: value.clone() for key, value in batch.items()})
    model.optimize_parameters(iteration)


def some_batches(count=6):
    return list(batches(count, gt_size=64, batch_size=2))


@pytest.mark.parametrize('name', TRAININGS)
def test_a_step_reads_nothing_but_the_numbers_of_the_step_before(name, monkeypatch):
    model = built(TRAININGS[name]())
    for iteration, batch in enumerate(some_batches(4), start=1):
        with no_reads(monkeypatch, before=iteration):
            take(model, batch, iteration)
    with no_reads(monkeypatch), pytest.raises(HostRead):
        model.get_current_log()
    assert all(type(value) is float for value in model.get_current_log().values())
    assert model.guard.bad_steps == 0


def test_a_step_that_the_host_decides_about_reads(monkeypatch):
    model = built(everything(), on_device=False)
    with no_reads(monkeypatch, before=1), pytest.raises(HostRead):
        take(model, some_batches()[0], 1)


READS = [
    lambda x: x.item(),
    lambda x: x.tolist(),
    lambda x: bool(x),
    lambda x: 3 if x > 2 else 4,
    lambda x: max(x, 0.0),
    lambda x: f'{x:.3f}',
    lambda x: torch.ones(3)[x > 2],
    lambda x: range(5)[x.long()],
    lambda x: torch.unique(x),
    lambda x: x.to('cpu'),
]


@pytest.mark.parametrize('read', READS)
def test_reads_are_found(read, monkeypatch):
    with no_reads(monkeypatch), pytest.raises(HostRead):
        read(torch.tensor(1.0))


@pytest.mark.parametrize('queue_size', [2, 6])
def test_degrading_reads_nothing_but_whether_there_is_grey_noise_which_a_gpu_is_not_asked(queue_size, monkeypatch):
    monkeypatch.setattr(noise, '_some', lambda gray: True)
    top = {'degradation': 'real', 'high_order_degradation': True, 'gt_size': 64, 'queue_size': queue_size}
    model = built(real_esrgan(**top))
    kernels = RandomKernels({'degradation': 'real'})
    for iteration in range(1, 6):
        drawn = [kernels.draw() for _ in range(2)]
        batch = {name: torch.stack([each[name] for each in drawn]) for name in drawn[0]}
        with no_reads(monkeypatch, before=iteration):
            take(model, batch | {'gt': torch.rand(2, 3, 88, 88)}, iteration)
        assert model.lq.shape[-1] * 4 == model.gt.shape[-1] == 64


# ---------------------------------------------------------------- the same numbers


def train(opt, on_device, spoilt=(), count=6):
    """Train on batches, of which those of the iterations ``spoilt`` have a NaN. Returns the model and its logs."""
    model, logs = built(opt, on_device), []
    for iteration, batch in enumerate(some_batches(count), start=1):
        if iteration in spoilt:
            batch['lq' if iteration % 2 else 'gt'][0, 0, 3, 3] = NAN
        take(model, batch, iteration)
        logs.append(dict(model.get_current_log()))
    return model, logs


#: nothing in these follows the numbers of a step
SAME = {
    'everything that follows nothing': lambda: everything(gan_weight_opt=None, net_d_skip_accuracy=0),
    'ESRGAN': TRAININGS['ESRGAN'],
    'several adversaries': several,
    'in parts, bf16, channels_last': lambda: model_opt(
        **EVERYTHING, accumulate=2, amp='bf16', channels_last=True, net_d_iters=2
    ),
}


@pytest.mark.parametrize('spoilt', [(), (3,), (4, 5)], ids=str)
@pytest.mark.parametrize('name', SAME)
def test_host_and_device_decide_alike_bit_by_bit(name, spoilt):
    (host, logs), (device, device_logs) = (train(SAME[name](), on_device, spoilt) for on_device in (False, True))
    assert differences(state_of(host), state_of(device)) == []
    assert differences([p.clone() for p in host.buffers.buffers], device.buffers.buffers) == []
    for log, device_log in zip(logs, device_logs, strict=True):
        assert repr(log) == repr(device_log)  # nan is not equal to itself
    assert host.guard.last_good == device.guard.last_good


def test_a_bad_step_changes_nothing_also_where_it_is_the_first():
    model = built(everything(net_d_weight_clip=0.01))
    before = state_of(model)
    batch = some_batches(1)[0]
    take(model, {**batch, 'gt': batch['gt'] * NAN}, 1)
    after = state_of(model)
    for key in ('net_g', 'net_g_ema', 'networks_d', 'adversaries'):
        assert differences(before[key], after[key]) == []
    for state in after['optimizers']:
        assert all(not value.any() for slot in state['state'].values() for value in slot.values())


@pytest.fixture
def told():
    """What BasicSR's logger is told."""
    lines, handler = [], logging.Handler(logging.INFO)
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = logging.getLogger('basicsr')
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield lines
    logger.removeHandler(handler)


def test_divergence_stops_with_the_same_sentence_one_step_later(told):
    sentences, ends = [], []
    for on_device in (False, True):
        model = built(everything(max_bad_steps=3), on_device)
        for iteration, batch in enumerate(some_batches(), start=1):
            if iteration == 3:
                before = state_of(model)
            try:
                take(model, {**batch, 'gt': batch['gt'] * (NAN if iteration > 2 else 1)}, iteration)
            except DivergedError as error:
                sentences.append(str(error))
                ends.append(iteration)
                break
        after = state_of(model)
        for key in ('net_g', 'net_g_ema', 'networks_d', 'optimizers'):
            assert differences(before[key], after[key]) == []
    assert ends == [5, 6]
    assert sentences[0] == sentences[1]
    skipped = [line for line in told if 'is skipped' in line]
    assert skipped[:2] == skipped[2:]
    assert len(skipped) == 4


def test_what_follows_the_numbers_follows_one_step_later_whoever_reads_the_log(tmp_path):
    """Reading, validating and saving in between changes no bit."""
    opt = everything(
        gan_weight_opt={'type': 'GANWeightTargetRho', 'smoothing': 0.0, 'least': 1e-6}, net_d_skip_accuracy=0.0
    )
    opt['path'] = {'models': str(tmp_path), 'training_states': str(tmp_path)}
    quiet, curious = built(opt), built(opt)
    logs = []
    for iteration, batch in enumerate(some_batches(), start=1):
        for model in (quiet, curious):
            take(model, batch, iteration)
        logs.append(dict(curious.get_current_log()))
        curious.save(0, iteration)
    assert differences(state_of(quiet), state_of(curious)) == []
    factors = [log['w_gan'] for log in logs]
    follower = curious.adversaries['net_d'].weight
    expected = [1.0, 1.0]
    for log in logs[:-2]:
        expected.append(follower.target / (log['rho'] / log['w_gan']))
    assert factors == pytest.approx(expected, rel=1e-5)
    assert len(set(factors)) == len(factors) - 1


def test_a_resumed_training_follows_the_step_before_the_checkpoint(tmp_path):
    opt = everything()
    opt['path'] = {'models': str(tmp_path), 'training_states': str(tmp_path)}
    model, data = built(opt), some_batches()
    for iteration in (1, 2, 3):
        take(model, data[iteration - 1], iteration)
    model.save(0, 3)
    opt['path'] |= {f'pretrain_network_{n}': str(tmp_path / f'net_{n}_3.pth') for n in 'gd'}
    resumed = built(opt)
    resumed.resume_training(torch.load(tmp_path / '3.state', weights_only=True))
    on_host = built(opt, on_device=False)
    on_host.resume_training(torch.load(tmp_path / '3.state', weights_only=True))
    followed = [adversary.weight.state_dict() for each in (model, on_host) for adversary in each.adversaries.values()]
    assert followed[0]['norm'] < followed[1]['norm']  # the host has no step to wait for
    for each in (model, resumed):
        for iteration in (4, 5, 6):
            take(each, data[iteration - 1], iteration)
    assert differences(state_of(model), state_of(resumed)) == []


def test_d_sits_out_one_step_later():
    learned = []
    for on_device in (False, True):
        opt = model_opt(gan_opt=GAN, network_d=SMALL_D, optim_d=ADAM, net_d_skip_accuracy=0.6)
        model = built(opt, on_device)
        skip = model.adversaries['net_d'].skip
        skip._mean, skip.smoothing = 0.5, 0.0
        skip.observe({'acc_d_real': 1.0, 'acc_d_fake': 1.0})
        for iteration, batch in enumerate(some_batches(3), start=1):
            model.adversaries['net_d'].loss.accuracy = lambda real, fake: (real.new_zeros(()), real.new_zeros(()))
            take(model, batch, iteration)
            learned.append(model.get_current_log()['dlearns'])
    assert learned == [0.0, 1.0, 1.0, 0.0, 0.0, 1.0]


def test_an_overflow_halves_the_loss_scale_once_though_two_steps_were_played_with_it(told):
    model = built(model_opt(gan_opt=GAN, network_d=SMALL_D, max_bad_steps=1))
    model.precision.loss_scale = LossScale(4.0)
    backward = model.precision.backward

    def overflowing(loss, *args):
        backward(loss * (float('inf') if model.precision.scale == 4 else 1), *args)

    model.precision.backward = overflowing
    scales = []
    for iteration, batch in enumerate(some_batches(4), start=1):
        take(model, batch, iteration)
        scales.append(model.precision.scale)
    assert scales == [4.0, 2.0, 2.0, 2.0]
    assert model.guard.bad_steps == 0
    assert [line.split(' is')[0] for line in told if 'fp16 overflows' in line] == ['iteration 1', 'iteration 2']


def test_the_health_report_says_the_same_of_both(told):
    health = {'freq': 1, 'probe_freq': 2, 'hold': 2}
    for on_device in (False, True):
        train(everything(health_opt=health, gan_weight_opt=None, net_d_skip_accuracy=0), on_device)
    said = [line for line in told if line.startswith('health')]
    assert said[: len(said) // 2] == said[len(said) // 2 :]
    assert said


def test_optimizers_that_cannot_skip_on_the_device_leave_the_decision_to_the_host(monkeypatch):
    model = built(everything(), on_device=False)
    monkeypatch.setattr(model, 'device', torch.device('cuda'))
    assert type(decision_of(model)) is DecisionOnDevice
    model.optimizers.append(torch.optim.RMSprop(model.net_g.parameters()))
    assert type(decision_of(model)) is DecisionOnHost


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs CUDA')
@pytest.mark.parametrize('name', TRAININGS)
def test_a_step_on_a_gpu_does_not_synchronise(name):
    torch.manual_seed(0)
    model = build_model(TRAININGS[name]() | {'num_gpu': 1})
    assert type(model.decision) is DecisionOnDevice
    on_gpu = [{key: value.cuda() for key, value in batch.items()} for batch in some_batches(5)]
    for iteration, batch in enumerate(on_gpu, start=1):
        torch.cuda.set_sync_debug_mode('error' if iteration > 2 else 'default')
        try:
            take(model, batch, iteration)
        finally:
            torch.cuda.set_sync_debug_mode('default')
    assert all(torch.tensor(list(model.get_current_log().values())).isfinite())
