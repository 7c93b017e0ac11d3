"""What makes steps faster or smaller: the same training, measured by what it computes and keeps."""

import copy
import math

import pytest
import torch
from _memory import peak_of_saved_tensors
from _training import batches, model_opt, train_steps, write_option_file
from basicsr.models import build_model

from basicsr_ganzoo.checking import prepare
from basicsr_ganzoo.cli import main
from basicsr_ganzoo.engine.cost import LiveBytes
from basicsr_ganzoo.engine.precision import LossScale, Precision
from basicsr_ganzoo.errors import DivergedError, OptionError
from basicsr_ganzoo.profiling import mock_weights

SMALL_D = {'type': 'PatchGANDiscriminator', 'num_feat': 4, 'num_layers': 2}
LARGE_D = SMALL_D | {'num_feat': 48}
VANILLA = {'type': 'VanillaGANLoss', 'loss_weight': 0.1}


def model_opt_with(opt, **train):
    opt = copy.deepcopy(opt)
    opt['train'].update(train)
    return opt


def built(opt, seed=0):
    torch.manual_seed(seed)
    return build_model(opt)


def peak_of_a_step(opt, gt_size=64):
    """The bytes that autograd keeps at the peak of a step."""
    model = built(opt)
    model.feed_data(next(batches(1, gt_size)))
    model.optimize_parameters(1)
    with peak_of_saved_tensors() as peak:
        model.optimize_parameters(1)
    return peak.bytes


# ---------------------------------------------------------------- one graph of D at a time


def test_a_loss_that_judges_real_and_fake_apart_keeps_one_graph_of_d_at_a_time():
    at_once, apart = (
        peak_of_a_step(model_opt(gan_opt=VANILLA | p, network_d=LARGE_D)) for p in ({'pairing': 'paired'}, {})
    )
    assert apart < 0.6 * at_once


@pytest.mark.parametrize('more', [{}, {'feature_matching_opt': {'type': 'FeatureMatchingLoss'}}])
def test_with_one_graph_at_a_time_the_step_is_that_of_both_together(more, monkeypatch):
    steps = []
    for separable in (True, False):
        monkeypatch.setattr('basicsr_ganzoo.losses.adversarial.AdversarialLoss.separable', separable)
        model = built(model_opt(gan_opt=VANILLA, network_d=SMALL_D, **more))
        model.feed_data(next(batches(1, 64)))
        model.optimize_parameters(1)
        gradients = [p.grad for net in (model.net_g, model.adversaries['net_d'].net_d) for p in net.parameters()]
        steps.append((gradients, model.get_current_log()))
    (apart, log), (at_once, other_log) = steps
    assert log == pytest.approx(other_log, rel=1e-5)
    for a, b in zip(apart, at_once, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-7)


def all_at_once(self, loss, share, parameters, parts):
    yield
    self.backward(loss, share, parameters)
    yield


@pytest.mark.parametrize('more', [{}, {'network_d': {'type': 'MultiScalePatchGANDiscriminator', 'num_layers': 1}}])
def test_ds_graph_of_real_is_freed_before_gs_loss_and_that_of_fake_after_it_which_takes_less_memory(more, monkeypatch):
    opt = model_opt(gan_opt={'type': 'RaGANLoss'}, **{'network_d': LARGE_D | {'norm': 'none'}, **more})
    batch, peaks, gradients = next(batches(1, 64)), [], []
    for way in (Precision.backward_by_parts, all_at_once):
        monkeypatch.setattr(Precision, 'backward_by_parts', way)
        with LiveBytes() as live:
            found, _ = gradients_of_a_step(opt, batch)
        peaks.append(live.peak)
        gradients.append(found)
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-7)  # the last bias has no gradient but rounding
    assert peaks[0] < peaks[1]


# ---------------------------------------------------------------- helpers of all that follows

NO_NORM = SMALL_D | {'norm': 'none'}
PERCEPTUAL = {'type': 'PerceptualLoss', 'layer_weights': {'conv2_2': 1}, 'style_weight': 1.0}
RRDB = {'type': 'RRDBNet', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 8, 'num_block': 3, 'num_grow_ch': 4}


@pytest.fixture
def random_vgg():
    with mock_weights.random_vgg({'train': {'perceptual_opt': PERCEPTUAL}}):
        yield


def gradients_of_a_step(opt, batch, iteration=1):
    model = built(opt)
    model.feed_data(batch)
    model.optimize_parameters(iteration)
    nets = model.net_g, *(adversary.net_d for adversary in model.adversaries.values())
    return [p.grad for net in nets for p in net.parameters()], dict(model.get_current_log())


def assert_same_gradients(opt, other, batch_size=4, rtol=1e-4, atol=1e-6):
    batch = next(batches(1, 64, batch_size))
    (one, log), (two, other_log) = (gradients_of_a_step(o, batch) for o in (opt, other))
    assert log.keys() == other_log.keys()
    assert other_log == pytest.approx(log, rel=1e-3, abs=1e-6)
    for a, b in zip(one, two, strict=True):
        torch.testing.assert_close(a, b, rtol=rtol, atol=atol)


# ---------------------------------------------------------------- channels_last


@pytest.mark.slow
def test_channels_last_orders_all_three_networks_and_changes_losses_by_rounding_alone(random_vgg):
    opt = model_opt(
        gan_opt=VANILLA, network_d={'type': 'UNetSNDiscriminator', 'num_feat': 4}, perceptual_opt=PERCEPTUAL
    )
    plain, logs = train_steps(opt, 3, gt_size=64)
    model, other = train_steps(model_opt_with(opt, channels_last=True), 3, gt_size=64)
    for log, other_log in zip(logs, other, strict=True):
        assert other_log == pytest.approx(log, rel=1e-3, abs=1e-5)
    nets = model.net_g, model.net_g_ema, model.adversaries['net_d'].bare, model.content.perceptual
    for net in nets:
        kernels = [p for p in net.parameters() if p.ndim == 4]
        assert all(p.is_contiguous(memory_format=torch.channels_last) for p in kernels)
        assert any(not p.is_contiguous() for p in kernels)


def test_files_saved_with_channels_last_are_those_of_any_training(tmp_path):
    opt = model_opt(gan_opt=VANILLA, network_d=SMALL_D, channels_last=True)
    opt['path'] = {'models': str(tmp_path), 'training_states': str(tmp_path)}
    model, _ = train_steps(opt, 1, gt_size=64)
    model.save(0, 1)
    opt = model_opt()
    opt['path'] = {'pretrain_network_g': str(tmp_path / 'net_g_1.pth')}
    loaded = built(opt).net_g.state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in model.net_g.state_dict().items())


# ---------------------------------------------------------------- the perceptual network


def test_the_target_of_the_perceptual_loss_has_no_graph(random_vgg):
    """Its network is frozen and the target has no graph, so that BasicSR's loss wastes nothing on it."""
    model = built(model_opt(perceptual_opt=PERCEPTUAL))
    made = []
    model.content.perceptual.vgg.register_forward_hook(lambda net, args, out: made.append(out))
    model.feed_data(next(batches(1, 64)))
    model.content.step(torch.rand_like(model.gt), model.batch())
    sr, gt = made
    assert all(maps.requires_grad for maps in sr.values())
    assert not any(maps.requires_grad for maps in gt.values())


# ---------------------------------------------------------------- amp


class _Dtypes:
    """The dtypes that the convolutions of a network give, by pass."""

    def __init__(self, net):
        self.seen = []
        for module in net.modules():
            if isinstance(module, torch.nn.Conv2d):
                module.register_forward_hook(lambda module, args, out: self.seen.append(out.dtype))

    def of(self, take):
        self.seen.clear()
        take()
        return set(self.seen)


@pytest.mark.slow
def test_with_bf16_training_follows_that_in_float32(random_vgg):
    opt = model_opt(gan_opt=VANILLA, network_d=SMALL_D, perceptual_opt=PERCEPTUAL)
    model, logs = train_steps(opt, 5, gt_size=64)
    half, other = train_steps(model_opt_with(opt, amp='bf16'), 5, gt_size=64)
    for log, other_log in zip(logs, other, strict=True):
        for name in ('l_g_pix', 'l_g_percep', 'l_g_gan', 'l_d_real', 'l_d_fake', 'rho'):
            assert other_log[name] == pytest.approx(log[name], rel=0.05), name
            assert other_log[name] != log[name]
    weights, halfs = (torch.cat([p.flatten() for p in m.net_g.parameters()]) for m in (model, half))
    assert 0 < (weights - halfs).norm() < 0.01 * weights.norm()
    states = [*half.net_g.parameters(), *half.net_g_ema.parameters(), *half.adversaries['net_d'].parameters]
    assert {p.dtype for p in states} | {p.grad.dtype for p in half.net_g.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ('regularizer', 'dtype'),
    [
        ('R1Regularizer', torch.float32),
        ('GradientPenalty', torch.float32),
        ('ApproximateR1Regularizer', torch.float32),
        ('LeCamRegularizer', torch.bfloat16),
    ],
)
def test_gradient_penalties_are_float32_where_they_are_due_and_the_other_steps_are_not(regularizer, dtype, random_vgg):
    opt = model_opt(gan_opt=VANILLA, network_d=SMALL_D, d_reg_opt={'r': {'type': regularizer, 'interval': 2}})
    exact, half = built(opt), built(model_opt_with(opt, amp='bf16'))
    dtypes = _Dtypes(half.adversaries['net_d'].net_d), _Dtypes(half.net_g)

    def step(iteration):
        for model in (exact, half):
            torch.manual_seed(iteration)
            model.feed_data(next(batches(1, 64, seed=iteration)))
            model.optimize_parameters(iteration)

    assert [d.of(lambda: step(1)) for d in dtypes] == [{torch.bfloat16}] * 2
    assert dtypes[0].of(lambda: step(2)) == {dtype}
    assert half.get_current_log()['l_d_r'] == pytest.approx(exact.get_current_log()['l_d_r'], rel=0.1, abs=1e-6)


@pytest.mark.slow
def test_a_model_with_bf16_keeps_fewer_bytes(random_vgg):
    opt = model_opt(gan_opt=VANILLA, network_d=LARGE_D, perceptual_opt=PERCEPTUAL)
    assert peak_of_a_step(model_opt_with(opt, amp='bf16')) < 0.75 * peak_of_a_step(opt)


def test_the_loss_scale_halves_after_an_overflow_and_doubles_after_many_good_steps():
    scale = LossScale(4.0, growth_interval=2)
    assert scale.lower()
    assert scale.value == 2
    scale.accept()
    scale.accept()
    assert scale.value == 4
    assert [scale.lower() for _ in range(3)] == [True, True, False]
    assert scale.value == 1


def test_gradients_do_not_depend_on_the_loss_scale():
    """Without half precision a scale, a power of 2, changes nothing; so it is taken out everywhere."""
    opt = model_opt(gan_opt=VANILLA, network_d=SMALL_D, grad_clip_g=0.1, grad_clip_d=0.1)
    batch = next(batches(1, 64))
    plain, log = gradients_of_a_step(opt, batch)
    model = built(opt)
    model.precision.loss_scale = LossScale(2.0**10)
    model.feed_data(batch)
    model.optimize_parameters(1)
    scaled = [p.grad for net in (model.net_g, model.adversaries['net_d'].net_d) for p in net.parameters()]
    assert dict(model.get_current_log()) == pytest.approx(log, rel=1e-6)
    for a, b in zip(plain, scaled, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-9)


def test_a_step_that_overflows_lowers_the_scale_and_is_bad_only_at_a_scale_of_1(monkeypatch):
    model = built(model_opt(gan_opt=VANILLA, network_d=SMALL_D, max_bad_steps=2))
    model.precision.loss_scale = LossScale(4.0)
    before = [p.clone() for p in model.net_g.parameters()]
    backward = model.precision.backward
    monkeypatch.setattr(model.precision, 'backward', lambda loss, *args: backward(loss * float('inf'), *args))
    batch = next(batches(1, 64))
    for iteration, scale in enumerate((2.0, 1.0, 1.0), start=1):
        model.feed_data(batch)
        model.optimize_parameters(iteration)
        assert model.precision.scale == scale
    assert model.guard.bad_steps == 1
    assert all(map(torch.equal, before, model.net_g.parameters()))
    model.feed_data(batch)
    with pytest.raises(DivergedError):
        model.optimize_parameters(4)


def test_the_loss_scale_is_resumed(tmp_path):
    paths = {'models': str(tmp_path), 'training_states': str(tmp_path)}
    one, other, plain = (built(model_opt(amp=amp) | {'path': paths}) for amp in ('fp16', 'fp16', 'off'))
    one.precision.loss_scale.value, one.precision.loss_scale.good_steps = 32.0, 7
    one.save(0, 1)
    state = torch.load(tmp_path / '1.state', weights_only=True)
    other.resume_training(state)
    assert (other.precision.scale, other.precision.loss_scale.good_steps) == (32.0, 7)
    plain.resume_training(torch.load(tmp_path / '1.state', weights_only=True))
    assert plain.precision.scale == 1
    other.load_extra_state({})  # of a training without fp16


def test_with_fp16_on_a_cpu_tiny_networks_follow_those_in_float32():
    """All that can be tested without a GPU: the scale is in, and is taken out, on real fp16 passes."""
    opt = model_opt(gan_opt=VANILLA, network_d=SMALL_D)
    logs, halfs = (train_steps(o, 2, gt_size=32)[1] for o in (opt, model_opt_with(opt, amp='fp16')))
    for log, half in zip(logs, halfs, strict=True):
        for name in ('l_g_pix', 'l_g_gan', 'l_d_real', 'grad_net_g', 'grad_net_d', 'rho'):
            assert half[name] == pytest.approx(log[name], rel=0.02), name


# ---------------------------------------------------------------- accumulate

PAIR = VANILLA | {'pairing': 'paired'}


@pytest.mark.slow
@pytest.mark.parametrize('gan_opt', [VANILLA, PAIR, {'type': 'GANLoss', 'gan_type': 'lsgan'}])
@pytest.mark.parametrize('parts', [2, 4])
def test_parts_have_the_gradients_and_metrics_of_the_batch(gan_opt, parts, random_vgg):
    more = {'d_reg_opt': {'r1': {'type': 'R1Regularizer', 'interval': 1}}, 'perceptual_opt': PERCEPTUAL}
    opt = model_opt(gan_opt=gan_opt, network_d=NO_NORM, grad_clip_g=1e-3, grad_clip_d=1e-2, **more)
    del opt['train']['perceptual_opt']['style_weight']
    assert_same_gradients(opt, model_opt_with(opt, accumulate=parts))


def test_parts_of_several_adversaries_have_the_metrics_of_the_batch():
    block = {'gan_opt': VANILLA, 'network_d': NO_NORM, 'optim_d': {'type': 'Adam', 'lr': 1e-4}}
    opt = model_opt() | {'adversaries': {'a': block, 'b': block | {'gan_opt': PAIR}}}
    assert_same_gradients(opt, model_opt_with(opt, accumulate=2))


def test_parts_have_means_of_their_own_with_an_average_pairing():
    batch = next(batches(1, 64, 4))
    opt = model_opt(gan_opt={'type': 'RaGANLoss'}, network_d=NO_NORM)
    one, other = (gradients_of_a_step(o, batch)[0] for o in (opt, model_opt_with(opt, accumulate=2)))
    assert any(not torch.allclose(a, b, rtol=1e-3, atol=1e-8) for a, b in zip(one, other, strict=True))


def test_real_esrgans_sharpened_targets_are_split_too():
    opt = model_opt('RealESRGANZooModel', gan_opt=VANILLA, network_d=NO_NORM)
    opt |= {'high_order_degradation': False, 'gan_gt_usm': True}
    assert_same_gradients(opt, model_opt_with(opt, accumulate=2))


def test_parts_keep_fewer_bytes_and_the_output_is_complete():
    opt = model_opt(gan_opt=VANILLA, network_d=LARGE_D | {'norm': 'none'})
    assert peak_of_a_step(model_opt_with(opt, accumulate=2)) < 0.6 * peak_of_a_step(opt)
    model = built(model_opt_with(opt, accumulate=2))
    model.feed_data(next(batches(1, 64)))
    model.optimize_parameters(1)
    assert model.output.shape == model.gt.shape == (2, 3, 64, 64)


def test_a_batch_that_cannot_be_split_is_an_error():
    with pytest.raises(OptionError, match='a batch of 2 cannot be split into 3 parts of equal size'):
        train_steps(model_opt(accumulate=3), 1)


# ---------------------------------------------------------------- grad_checkpoint


@pytest.mark.slow
@pytest.mark.parametrize('amp', ['off', 'bf16'])
def test_checkpointing_has_equal_gradients_and_names_and_keeps_fewer_bytes(amp):
    opt = model_opt(gan_opt=VANILLA, network_d=SMALL_D, amp=amp) | {'network_g': RRDB}
    other = model_opt_with(opt, grad_checkpoint=True)
    assert_same_gradients(opt, other, rtol=0, atol=0)
    assert built(opt).net_g.state_dict().keys() == built(other).net_g.state_dict().keys()
    small = model_opt() | {'network_g': RRDB}
    assert peak_of_a_step(model_opt_with(small, grad_checkpoint=True)) < 0.6 * peak_of_a_step(small)


# ---------------------------------------------------------------- all of them, and mistakes


def test_all_keys_together_train_and_validate(random_vgg):
    keys = {'amp': 'bf16', 'channels_last': True, 'accumulate': 2, 'grad_checkpoint': True}
    opt = model_opt(gan_opt=VANILLA, network_d=SMALL_D, perceptual_opt=PERCEPTUAL, **keys) | {'network_g': RRDB}
    model, logs = train_steps(opt, 2, gt_size=64)
    assert all(map(math.isfinite, logs[1].values()))
    model.test()
    assert model.output.dtype == torch.float32


MISTAKES = {
    'amp': ('bf61', r"train\.amp needs to be bf16, fp16 or off, got 'bf61' \(did you mean bf16\?\)"),
    'channels_last': ('yes', r"train\.channels_last needs to be true or false, got 'yes'"),
    'accumulate': (0, r'train\.accumulate needs the number of micro-batches to be a whole number from 1, got 0'),
    'grad_checkpoint': (1, r'train\.grad_checkpoint needs to be true or false, got 1'),
}


@pytest.mark.parametrize('key', MISTAKES)
def test_a_mistake_is_one_sentence(key):
    value, told = MISTAKES[key]
    with pytest.raises(OptionError, match=told):
        build_model(model_opt(**{key: value}))


def test_a_generator_without_a_body_of_blocks_cannot_be_checkpointed():
    net = {'type': 'SRVGGNetCompact', 'num_feat': 4, 'num_conv': 1, 'upscale': 4}
    with pytest.raises(OptionError, match=r'train\.grad_checkpoint needs a generator with a body of blocks'):
        build_model(model_opt(grad_checkpoint=True) | {'network_g': net})


@pytest.mark.parametrize('value', [False, None, 'off'])
def test_amp_off_is_off_however_yaml_reads_it(value):
    assert built(model_opt(amp=value)).precision.dtype is None


# ---------------------------------------------------------------- ganzoo check

LECAM = {'lecam': {'type': 'LeCamRegularizer'}}
FINDINGS = {
    'amp': ({'train__amp': 'half'}, 'train.amp', 'error', "needs to be bf16, fp16 or off, got 'half'"),
    'flag': ({'train__channels_last': 1}, 'train.channels_last', 'error', 'needs to be true or false'),
    'misspelt': ({'train__channel_last': True}, 'train.channel_last', 'error', 'did you mean channels_last?'),
    'parts': ({'train__accumulate': 3}, 'train.accumulate', 'error', 'a batch of 2 cannot be split into 3'),
    'means': ({'train__accumulate': 2}, 'train.gan_opt', 'warning', 'the means of pairing: average see one part'),
    'batch norm': (
        {'train__accumulate': 2, 'network_d': SMALL_D | {'norm': 'batch'}},
        'network_d',
        'warning',
        'its batch norms see one part',
    ),
    'lecam': (
        {'train__accumulate': 2, 'train__d_reg_opt': LECAM},
        'train.d_reg_opt',
        'warning',
        'of LeCamRegularizer see one',
    ),
    'no body': (
        {'train__grad_checkpoint': True, 'network_g': {'type': 'SRVGGNetCompact', 'num_feat': 4, 'upscale': 4}},
        'train.grad_checkpoint',
        'error',
        'SRVGGNetCompact has no body of blocks',
    ),
    'penalty': (
        {'train__amp': 'bf16', 'train__d_reg_opt': {'r1': {'type': 'R1Regularizer', 'interval': 1}}},
        'train.d_reg_opt',
        'warning',
        'R1Regularizer is due in each step',
    ),
    'fp16': ({'train__amp': 'fp16', 'num_gpu': 0}, 'train.amp', 'warning', 'many times slower'),
    'compile': ({'train__compile': True, 'num_gpu': 0}, 'train.compile', 'warning', 'on a CPU steps take longer'),
}


@pytest.mark.parametrize('name', FINDINGS)
def test_ganzoo_check_finds(name, tmp_path):
    changes, key, level, told = FINDINGS[name]
    findings = prepare(write_option_file(tmp_path, **changes))[1]
    assert [(f.key, f.level) for f in findings if told in f.message] == [(key, level)]


def test_ganzoo_check_is_silent_about_what_is_right(tmp_path):
    keys = {'amp': 'bf16', 'channels_last': True, 'accumulate': 2, 'grad_checkpoint': True}
    path = write_option_file(tmp_path, train__gan_opt=VANILLA, **{f'train__{key}': keys[key] for key in keys})
    with_keys = prepare(path)[1]
    assert with_keys == prepare(write_option_file(tmp_path, train__gan_opt=VANILLA))[1]


@pytest.mark.slow
@pytest.mark.parametrize('keys', [{'train__amp': 'bf16', 'train__accumulate': 2}, {'train__channels_last': True}])
def test_ganzoo_train_runs_with_them_and_what_it_saves_upscales(keys, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = write_option_file(tmp_path, total_iter=2, **keys)
    weights = 'experiments/gan_x4/models/net_g_latest.pth'
    for argv in (['train', '-opt', str(path)], ['upscale', '-m', weights, '-i', 'data/lq', '-o', 'out']):
        with pytest.raises(SystemExit) as stopped:
            main(argv)
        assert not stopped.value.code, capsys.readouterr().err
    assert len(list((tmp_path / 'out').iterdir())) == 4
