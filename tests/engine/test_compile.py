"""``train.compile``: the same training through torch.compile, and without it where that fails."""

import logging
import shutil

import pytest
import torch
from _apart import apart
from _state import differences, state_of
from _training import batches, model_opt, train_steps, write_option_file
from basicsr.models import build_model
from torch import _dynamo
from torch._dynamo.backends.common import aot_autograd

from basicsr_ganzoo.checking import prepare
from basicsr_ganzoo.engine import compile
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.profiling import mock_weights

VANILLA = {'type': 'VanillaGANLoss', 'loss_weight': 0.1}
PATCH_D = {'type': 'PatchGANDiscriminator', 'num_feat': 4, 'num_layers': 2}
PERCEPTUAL = {'type': 'PerceptualLoss', 'layer_weights': {'conv2_2': 1}}
R1 = {'r1': {'type': 'R1Regularizer', 'interval': 2}}
TRACED = {'backend': 'aot_eager'}  # all of torch.compile but the compiler

TRAININGS = {
    'batch norm': {'network_d': {'type': 'VGGDiscriminator', 'num_feat': 4}},
    'both graphs together': {'gan_opt': {'type': 'RaGANLoss'}, 'network_d': PATCH_D},
    'spectral norm as a hook': {'network_d': PATCH_D | {'norm': 'spectral'}},
    'perceptual loss': {'perceptual_opt': PERCEPTUAL, 'channels_last': True},
    'feature maps': {'network_d': PATCH_D, 'feature_matching_opt': {'type': 'FeatureMatchingLoss'}},
    'a lazy penalty': {'network_d': PATCH_D, 'd_reg_opt': R1},
    'blocks anew, in parts': {'network_d': PATCH_D, 'accumulate': 2, 'grad_checkpoint': True},
    'bf16, and the average in a loss': {'network_d': PATCH_D, 'amp': 'bf16', 'ldl_opt': {'type': 'L1Loss'}},
    'D alone in half of the steps': {'network_d': PATCH_D, 'net_d_iters': 2},
}


@pytest.fixture(autouse=True)
def random_vgg():
    with mock_weights.random_vgg({'train': {'perceptual_opt': PERCEPTUAL}}):
        yield


@pytest.fixture
def log(caplog):
    """What a training logs, as (level, message); BasicSR's logger hands nothing on."""
    caplog.set_level(logging.INFO)
    logging.getLogger('basicsr').addHandler(caplog.handler)
    return lambda: [(record.levelname, record.getMessage()) for record in caplog.records]


def trained(compiled=None, steps=3, **keys):
    gan_opt = keys.pop('gan_opt', VANILLA if 'network_d' in keys else None)
    opt = model_opt(gan_opt=gan_opt, compile=compiled, health_opt={'probe_freq': 3}, **keys)
    return train_steps(opt, steps, gt_size=64)


def assert_same_training(one, other, atol=1e-6):
    (model, logs), (compiled, other_logs) = one, other
    for log, other_log in zip(logs, other_logs, strict=True):
        assert other_log.keys() == log.keys()
        losses = {name: value for name, value in log.items() if name.startswith('l_')}
        assert {name: other_log[name] for name in losses} == pytest.approx(losses, rel=1e-4, abs=1e-6)
    nets = ((m.net_g, m.net_g_ema, *(a.bare for a in m.adversaries.values())) for m in (model, compiled))
    for net, other_net in zip(*nets, strict=True):
        assert net.state_dict().keys() == other_net.state_dict().keys()
        for a, b in zip(net.state_dict().values(), other_net.state_dict().values(), strict=True):
            torch.testing.assert_close(b, a, rtol=1e-4, atol=atol)


@pytest.mark.parametrize('name', TRAININGS)
@apart
def test_a_compiled_training_is_the_training(name):
    compiled = trained(TRACED, **TRAININGS[name])
    assert_same_training(trained(**TRAININGS[name]), compiled)
    nets = {type(net).__name__ for net, kinds in compiled[0].precision.compiler.kinds.items() if kinds}
    d = 'WithFeatures' if 'feature_matching_opt' in TRAININGS[name] else None
    expected = d or TRAININGS[name].get('network_d', {}).get('type', 'VGGFeatureExtractor')
    assert {'MSRResNet', expected} <= nets


@pytest.mark.skipif(not shutil.which('g++'), reason='inductor needs a C++ compiler')
@apart
def test_what_inductor_compiles_trains_alike():
    # SGD and no norm, because Adam and batch norm make much of rounding where a gradient is 0
    keys = {
        'network_d': PATCH_D | {'norm': 'none'},
        **dict.fromkeys(('optim_g', 'optim_d'), {'type': 'SGD', 'lr': 0.01}),
    }
    assert_same_training(trained(steps=2, **keys), trained(True, 2, **keys), 1e-5)


@apart
def test_a_trial_leaves_weights_buffers_gradients_and_random_numbers_as_they_are():
    model, _ = trained(TRACED, 1, network_d={'type': 'VGGDiscriminator', 'num_feat': 4})
    net, compiler = model.adversaries['net_d'].bare, model.precision.compiler
    before, random, gradients = state_of(model), torch.get_rng_state(), [p.grad.clone() for p in net.parameters()]
    with compiler.taking(net, torch.rand(3, 3, 64, 64).requires_grad_()):
        assert vars(net)['_compiled_call_impl']
    torch.rand(3, 3, 64, 64)
    after = torch.get_rng_state()
    torch.set_rng_state(random)
    torch.rand(2, 3, 3, 64, 64)
    assert torch.equal(after, torch.get_rng_state())
    assert differences(before, state_of(model)) == []
    assert all(map(torch.equal, gradients, [p.grad for p in net.parameters()]))


@apart
def test_networks_are_as_they_were_outside_of_training_passes():
    """So that saving, copying and validating, with pictures of many sizes, has nothing to do with compiled code."""
    model, _ = trained(TRACED, 1, network_d=PATCH_D)
    compiled = model.precision.compiler.compiled
    assert all(module._compiled_call_impl is None for module in model.net_g.modules())
    for side in range(8, 12):
        model.feed_data({'lq': torch.rand(1, 3, side, 16)})
        model.test()
    assert model.precision.compiler.compiled == compiled


@apart
def test_images_of_many_sizes_are_not_compiled_without_end(monkeypatch):
    monkeypatch.setattr(compile, 'KINDS', 2)
    model, _ = trained(TRACED, 1)
    compiler = model.precision.compiler
    for side in range(8, 12):
        image = torch.rand(1, 3, side, 8)
        assert model.precision.run(model.net_g, image).shape == (1, 3, 4 * side, 32)
    assert compiler.compiled == len(compiler.kinds[model.net_g]) == 2
    assert compiler.arguments == TRACED


# ---------------------------------------------------------------- where it cannot


def _broken(*args, **options):
    raise RuntimeError('no compiler here:\nread this and that')


_dynamo.register_backend(_broken, name='ganzoo_broken')
_dynamo.register_backend(
    aot_autograd(fw_compiler=lambda graph, _: graph, bw_compiler=_broken), name='ganzoo_broken_backward'
)


@pytest.mark.parametrize('where', ['ganzoo_broken', 'ganzoo_broken_backward', 'unsupported Python'])
@apart
def test_where_compiling_fails_the_training_is_that_without_it_after_one_warning(where, log, monkeypatch):
    keys = {'network_d': {'type': 'VGGDiscriminator', 'num_feat': 4}, 'views': [{'type': 'DiffAugmentView'}]}
    expected = state_of(trained(**keys)[0])
    if where == 'unsupported Python':
        monkeypatch.setattr(torch, 'compile', _broken)
    model, _ = trained({'backend': where} if where.startswith('ganzoo') else True, **keys)
    assert differences(expected, state_of(model)) == []
    assert [message for level, message in log() if level == 'WARNING'] == [
        'train.compile: MSRResNet cannot be compiled, training goes on without: RuntimeError: no compiler here'
    ]


@apart
def test_a_network_that_refuses_an_image_says_so_itself(log):
    with pytest.raises(OptionError, match='PatchGANDiscriminator needs H and W'):
        trained(TRACED, network_d=PATCH_D | {'num_layers': 5})
    assert 'WARNING' not in [level for level, _ in log()]


@apart
def test_what_d_thinks_of_validation_pictures_is_not_compiled():
    model, _ = trained(TRACED, network_d=PATCH_D)
    compiled = model.precision.compiler.compiled
    with torch.no_grad():
        model.adversaries['net_d'].judge(*torch.rand(2, 1, 3, 40, 40))
    assert model.precision.compiler.compiled == compiled > 0


@apart
def test_that_penalties_are_not_compiled_is_said_once(log):
    trained(TRACED, 4, network_d=PATCH_D, d_reg_opt=R1)
    assert sum('cannot be differentiated twice' in message for _, message in log()) == 1


@apart
def test_a_compiled_training_goes_on_from_a_checkpoint_to_the_same_bits(tmp_path):
    paths = {'path': {'models': str(tmp_path), 'training_states': str(tmp_path)}}
    opt = model_opt(gan_opt=VANILLA, network_d=PATCH_D, d_reg_opt=R1, compile=TRACED) | paths
    whole, _ = train_steps(opt, 4, gt_size=64)
    train_steps(opt, 2, gt_size=64)[0].save(0, 2)
    model, pictures = build_model(opt), list(batches(4, 64))
    for label, net in (('net_g', model.net_g), ('net_d', model.adversaries['net_d'].bare)):
        model.load_network(net, str(tmp_path / f'{label}_2.pth'))
    model.load_network(model.net_g_ema, str(tmp_path / 'net_g_2.pth'), param_key='params_ema')
    model.resume_training(torch.load(tmp_path / '2.state', weights_only=True))
    for iteration in (3, 4):
        model.update_learning_rate(iteration)
        model.feed_data(pictures[iteration - 1])
        model.optimize_parameters(iteration)
    assert model.precision.compiler.compiled
    assert differences(state_of(whole), state_of(model)) == []


# ---------------------------------------------------------------- values

MISTAKES = {
    'kind': ('yes', 'train.compile', "true, false or a mapping such as mode: default, got 'yes'"),
    'argument': ({'backnd': 'inductor'}, 'train.compile.backnd', '(did you mean backend?)'),
    'backend': ({'backend': 'inducter'}, 'train.compile.backend', "got 'inducter' (did you mean inductor?)"),
    'mode': ({'mode': 'defualt'}, 'train.compile.mode', "got 'defualt' (did you mean default?)"),
    'flag': ({'dynamic': 1}, 'train.compile.dynamic', 'needs to be true or false, got 1'),
    'options': ({'options': 3}, 'train.compile.options', "a mapping of inductor's options, got 3"),
    'option': ({'options': {'max_autotun': True}}, 'train.compile.options', '(did you mean max_autotune?)'),
    'both': ({'mode': 'default', 'options': {'max_autotune': True}}, 'train.compile', 'mode or options, not both'),
    'other backend': ({'backend': 'eager', 'mode': 'default'}, 'train.compile', 'has no mode and no options'),
    'graphs': ({'mode': 'reduce-overhead'}, 'train.compile', 'take mode: default or max-autotune-no-cudagraphs'),
    'graphs as an option': ({'options': {'triton.cudagraphs': True}}, 'train.compile', 'under CUDA graphs'),
}


@pytest.mark.parametrize('name', MISTAKES)
def test_a_mistake_is_one_sentence_and_ganzoo_check_finds_it(name, tmp_path):
    value, key, told = MISTAKES[name]
    with pytest.raises(OptionError) as refused:
        build_model(model_opt(compile=value))
    assert told in str(refused.value)
    assert '\n' not in str(refused.value)
    findings = prepare(write_option_file(tmp_path, train__compile=value))[1]
    assert [(f.key, f.level) for f in findings if told in f.message] == [(key, 'error')]


@pytest.mark.parametrize('value', [True, False, None, {'mode': 'max-autotune-no-cudagraphs', 'dynamic': True}])
def test_what_is_right_has_no_finding(value, tmp_path):
    with_key = prepare(write_option_file(tmp_path, train__compile=value))[1]
    assert with_key == prepare(write_option_file(tmp_path))[1]
