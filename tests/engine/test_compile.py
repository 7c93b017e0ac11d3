"""``train.compile``: the same training through torch.compile, and without it where that fails."""

import copy
import inspect
import logging
import math
import shutil

import pytest
import torch
from _apart import apart
from _state import differences, state_of
from _training import batches, model_opt, train_steps, write_option_file
from basicsr.models import build_model
from torch._dynamo import register_backend
from torch._dynamo.backends.common import aot_autograd

from basicsr_ganzoo.checking import prepare
from basicsr_ganzoo.engine.compile import CompiledSteps, read_compile
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.profiling import mock_weights

VANILLA = {'type': 'VanillaGANLoss', 'loss_weight': 0.1}
PATCH_D = {'type': 'PatchGANDiscriminator', 'num_feat': 4, 'num_layers': 2, 'norm': 'batch'}
PLAIN_D = PATCH_D | {'norm': 'none'}
PERCEPTUAL = {'type': 'PerceptualLoss', 'layer_weights': {'conv2_2': 1}}
R1 = {'r1': {'type': 'R1Regularizer', 'interval': 2}}
TRACED = {'backend': 'aot_eager'}  # all of torch.compile except for the compiler

TRAININGS = {
    'batch norm': {'network_d': {'type': 'VGGDiscriminator', 'num_feat': 4}},
    'both graphs together': {'gan_opt': {'type': 'RaGANLoss'}, 'network_d': PATCH_D},
    'perceptual loss': {'perceptual_opt': PERCEPTUAL, 'channels_last': True},
    'feature maps': {'network_d': PATCH_D, 'feature_matching_opt': {'type': 'FeatureMatchingLoss'}},
    'a lazy penalty, D alone at first': {'network_d': PLAIN_D, 'd_reg_opt': R1, 'net_d_init_iters': 1},
    'gradient checkpointing, accumulation': {'network_d': PATCH_D, 'accumulate': 2, 'grad_checkpoint': True},
    'bf16, and the average in a loss': {'network_d': PLAIN_D, 'amp': 'bf16', 'ldl_opt': {'type': 'L1Loss'}},
}


@pytest.fixture(autouse=True)
def random_vgg():
    with mock_weights.random_vgg({'train': {'perceptual_opt': PERCEPTUAL}}):
        yield


@pytest.fixture
def warnings(caplog):
    """The warnings that a training logs; BasicSR's logger does not propagate."""
    logging.getLogger('basicsr').addHandler(caplog.handler)
    return lambda: [r.getMessage() for r in caplog.records if (r.name, r.levelname) == ('basicsr', 'WARNING')]


def trained(compile=None, steps=3, **keys):
    """A model after some steps of SGD, under which rounding stays as small as it is, and its logs."""
    gan_opt = keys.pop('gan_opt', VANILLA if 'network_d' in keys else None)
    sgd = dict.fromkeys(('optim_g', 'optim_d'), {'type': 'SGD', 'lr': 0.1})
    opt = model_opt(gan_opt=gan_opt, compile=compile, health_opt={'probe_freq': 3}, **sgd, **keys)
    return train_steps(opt, steps, gt_size=64)


def networks(model):
    return [model.net_g, *(adversary.bare for adversary in model.adversaries.values())]


def assert_same_training(one, other, rounding=1e-3):
    """Losses, buffers and the last gradients are equal but for rounding.

    A gradient may be zero in exact arithmetic, so rounding is relative to the largest gradient of the network. It is
    coarse, because the gradient of an L1 loss jumps where a difference changes its sign.
    """
    (model, logs), (compiled, other_logs) = one, other
    for log, other_log in zip(logs, other_logs, strict=True):
        losses = {name: value for name, value in log.items() if name.startswith(('l_', 'grad_'))}
        assert {name: other_log[name] for name in losses} == pytest.approx(losses, rel=rounding, abs=1e-6)
    for net, other_net in zip(networks(model), networks(compiled), strict=True):
        gradients = [[p.grad for p in each.parameters()] for each in (net, other_net)]
        largest = max(gradient.abs().max().item() for gradient in gradients[0])
        torch.testing.assert_close(*reversed(gradients), rtol=rounding, atol=rounding * largest)
        torch.testing.assert_close(list(other_net.buffers()), list(net.buffers()), rtol=rounding, atol=1e-5)


# ---------------------------------------------------------------- backends

compiled_graphs = []


@register_backend
def ganzoo_counting(graph, inputs):
    """Runs a graph as it is, and notes it."""
    compiled_graphs.append(graph)
    return graph.forward


def _broken(*args, **options):
    raise RuntimeError('no compiler here:\nread this and that')


@register_backend
def ganzoo_failing_late(graph, inputs):
    """Runs a graph as it is four times."""
    calls = iter(range(4))
    return lambda *args: graph.forward(*args) if next(calls, None) is not None else _broken()


@register_backend
def ganzoo_not_a_number(graph, inputs):
    return lambda *args: tuple(out * math.nan for out in graph.forward(*args))


register_backend(_broken, name='ganzoo_broken')
register_backend(aot_autograd(fw_compiler=lambda graph, _: graph, bw_compiler=_broken), name='ganzoo_broken_backward')


# ---------------------------------------------------------------- the same training


@pytest.mark.slow
@pytest.mark.parametrize('name', TRAININGS)
@apart
def test_a_compiled_training_is_the_training(name, warnings):
    compiled = trained(TRACED, **TRAININGS[name])
    # bfloat16 has 8 bits, and gradients of a bias are sums of such numbers, which cancel.
    rounding = 2**-4 if 'amp' in TRAININGS[name] else 1e-3
    assert_same_training(trained(**TRAININGS[name]), compiled, rounding)
    assert compiled[0].precision.compiled.enabled
    assert warnings() == []


@pytest.mark.nightly
@pytest.mark.skipif(not shutil.which('g++'), reason='inductor needs a C++ compiler')
@pytest.mark.parametrize('norm', ['batch', 'spectral'])
@apart
def test_what_inductor_compiles_trains_alike_with_both_graphs_of_d_together(norm, warnings):
    keys = {'gan_opt': {'type': 'RaGANLoss'}, 'network_d': PATCH_D | {'norm': norm}}
    compiled = trained(True, 2, **keys)
    assert_same_training(trained(steps=2, **keys), compiled)
    assert compiled[0].precision.compiled.enabled
    assert warnings() == []
    assert torch.backends.cpu.get_cpu_capability() in torch.compiler.config.cache_key_tag


@pytest.mark.slow
@apart
def test_a_compiled_training_resumes_to_the_same_bits(tmp_path):
    paths = {'path': {'models': str(tmp_path), 'training_states': str(tmp_path)}}
    opt = model_opt(gan_opt=VANILLA, network_d=PATCH_D, d_reg_opt=R1, compile=TRACED) | paths
    whole, _ = train_steps(opt, 4, gt_size=64)
    train_steps(opt, 2, gt_size=64)[0].save(0, 2)
    model, images = build_model(opt), list(batches(4, 64))
    for label, net in (('net_g', model.net_g), ('net_d', model.adversaries['net_d'].bare)):
        model.load_network(net, str(tmp_path / f'{label}_2.pth'))
    model.load_network(model.net_g_ema, str(tmp_path / 'net_g_2.pth'), param_key='params_ema')
    model.resume_training(torch.load(tmp_path / '2.state', weights_only=True))
    for iteration in (3, 4):
        model.update_learning_rate(iteration)
        model.feed_data(images[iteration - 1])
        model.optimize_parameters(iteration)
    assert differences(state_of(whole), state_of(model)) == []


# ---------------------------------------------------------------- what is compiled


@pytest.mark.slow
@apart
def test_each_network_is_compiled_once_for_each_kind_of_call_and_only_in_steps():
    model, _ = trained({'backend': 'ganzoo_counting'}, 2, network_d=PATCH_D)
    assert len(compiled_graphs) == 3  # G; D on real and on fake images, of which only these need a gradient
    for side in range(8, 12):
        model.feed_data({'lq': torch.rand(1, 3, side, 16)})
        model.test()
    copy.deepcopy(model.net_g)(torch.rand(1, 3, 8, 8))
    with torch.no_grad():
        model.adversaries['net_d'].judge(*torch.rand(2, 1, 3, 40, 40))
    assert len(compiled_graphs) == 3
    model.feed_data(next(batches(1, 48)))
    model.optimize_parameters(4)
    assert len(compiled_graphs) == 6


@pytest.mark.slow
@pytest.mark.parametrize(
    'keys', [{'d_reg_opt': {'r1': R1['r1'] | {'interval': 1}}}, {'network_d': {'norm': 'spectral'}}]
)
@apart
def test_d_is_eager_under_a_gradient_penalty_and_with_spectral_norm(keys):
    trained({'backend': 'ganzoo_counting'}, 2, **keys | {'network_d': PATCH_D | keys.get('network_d', {})})
    assert len(compiled_graphs) == 1


@pytest.mark.slow
@pytest.mark.skipif(
    'isolate_recompiles' not in inspect.signature(torch.compile).parameters,
    reason='this torch compiles 8 versions of all networks together',
)
@apart
def test_many_networks_are_all_compiled():
    nets = [torch.nn.Conv2d(3, 3, 3) for _ in range(12)]
    steps = CompiledSteps({'backend': 'ganzoo_counting'})
    steps.run(lambda: {'l': sum(steps.call(net, torch.rand(1, 3, 8, 8)).mean() for net in nets)}, [], [], False)
    assert len(compiled_graphs) == 12


# ---------------------------------------------------------------- where it fails

FAILURES = {
    'ganzoo_broken': 'RuntimeError: no compiler here',
    'ganzoo_broken_backward': 'RuntimeError: no compiler here',
    'ganzoo_failing_late': 'RuntimeError: no compiler here',
    'ganzoo_not_a_number': 'its losses or gradients are not finite, those of eager mode are',
}


@pytest.mark.slow
@pytest.mark.parametrize('backend', FAILURES)
@apart
def test_where_compiled_steps_fail_the_training_continues_eagerly_to_the_same_bits(backend, warnings):
    keys = {'network_d': {'type': 'VGGDiscriminator', 'num_feat': 4}, 'views': [{'type': 'DiffAugmentView'}]}
    expected = state_of(trained(**keys, accumulate=2)[0])
    model, _ = trained({'backend': backend}, **keys, accumulate=2)
    assert differences(expected, state_of(model)) == []
    start = 'train.compile: a compiled step failed, training continues eagerly from this step: '
    assert warnings() == [start + FAILURES[backend]]


@pytest.mark.slow
@apart
def test_a_step_that_is_not_finite_either_way_is_no_failure_of_the_compiler(warnings):
    model, _ = trained(TRACED, 1, network_d=PATCH_D)
    model.feed_data({name: image * math.nan for name, image in next(batches(1, 64)).items()})
    model.optimize_parameters(2)
    assert model.precision.compiled.enabled
    assert [message.split(':')[0] for message in warnings()] == ['iteration 2 is skipped']


@pytest.mark.slow
@apart
def test_a_step_that_may_not_be_finite_is_not_repeated():
    steps, logs = CompiledSteps(TRACED), []
    steps.run(lambda: logs.append({'l_g': torch.tensor(math.nan)}) or logs[-1], [], [], check_finite=False)
    assert len(logs) == 1


@pytest.mark.slow
@apart
def test_with_several_processes_a_failure_ends_the_training(monkeypatch):
    steps = CompiledSteps(TRACED)
    monkeypatch.setattr(torch.distributed, 'is_initialized', lambda: True)
    with pytest.raises(OptionError, match='a compiled step failed: RuntimeError: no compiler here; remove the key'):
        steps.run(_broken, [])


@pytest.mark.slow
@apart
def test_a_network_that_refuses_an_image_says_so_itself(warnings):
    with pytest.raises(OptionError, match='PatchGANDiscriminator needs H and W'):
        trained(TRACED, network_d=PATCH_D | {'num_layers': 5})
    assert warnings() == []


# ---------------------------------------------------------------- values

MISTAKES = {
    'kind': ('yes', "train.compile needs to be true, false or a mapping such as mode: default, got 'yes'"),
    'argument': ({'backnd': 'inductor'}, "train.compile has no 'backnd' (did you mean backend?)"),
    'backend': ({'backend': 'inducter'}, "train.compile.backend has no 'inducter' (did you mean inductor?)"),
    'mode': ({'mode': 'defualt'}, "train.compile.mode has no 'defualt' (did you mean default?); known are default,"),
    'flag': ({'dynamic': 1}, 'train.compile.dynamic needs to be true or false, got 1'),
    'options': ({'options': 3}, "train.compile.options needs to be a mapping of inductor's options, got 3"),
    'option': ({'options': {'max_autotun': True}}, "has no 'max_autotun' (did you mean max_autotune?)"),
    'both': ({'mode': 'default', 'options': {'max_autotune': True}}, 'takes either mode or options'),
    'other backend': ({'backend': 'eager', 'mode': 'default'}, 'only with backend: inductor'),
    'graphs': ({'mode': 'reduce-overhead'}, 'use mode: default or max-autotune-no-cudagraphs'),
    'graphs as an option': ({'options': {'triton.cudagraphs': True}}, 'under CUDA graphs'),
}


@pytest.mark.parametrize('name', MISTAKES)
def test_a_mistake_is_one_sentence(name):
    value, message = MISTAKES[name]
    with pytest.raises(OptionError) as refused:
        read_compile({'compile': value})
    assert message in str(refused.value)
    assert '\n' not in str(refused.value)


def test_a_torch_without_stances_is_too_old(monkeypatch):
    monkeypatch.delattr(torch.compiler, 'set_stance')
    with pytest.raises(OptionError, match='requires torch 2.6 or later, got'):
        read_compile({'compile': True})
    assert read_compile({'compile': False}) is None


def test_ganzoo_check_finds_a_mistake(tmp_path):
    findings = prepare(write_option_file(tmp_path, train__compile={'mode': 'defualt'}))[1]
    assert [(f.key, f.level) for f in findings if 'defualt' in f.message] == [('train.compile.mode', 'error')]


@pytest.mark.parametrize('value', [True, {'mode': 'max-autotune-no-cudagraphs', 'dynamic': True, 'backend': None}])
def test_what_is_right_is_accepted(value):
    assert read_compile({'compile': value}) == ({} if value is True else dict(list(value.items())[:2]))
