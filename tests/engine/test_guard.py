"""Steps that are not finite: they change nothing, are named, and end a training that does not recover."""

import logging
import math

import pytest
import torch
from _state import differences, state_of
from _training import batches, model_opt, train_steps, write_option_file
from basicsr.models import build_model
from basicsr.utils.registry import ARCH_REGISTRY, LOSS_REGISTRY

from basicsr_ganzoo.cli import main
from basicsr_ganzoo.engine.guard import StepGuard, clip_gradients
from basicsr_ganzoo.errors import DivergedError, OptionError
from basicsr_ganzoo.registry import register

NAN, INF = float('nan'), float('inf')
SMALL_D = {'type': 'PatchGANDiscriminator', 'num_feat': 4, 'num_layers': 2}
GAN = {'type': 'VanillaGANLoss', 'loss_weight': 0.1}


@register(ARCH_REGISTRY)
class SmallGeneratorWithBatchNorm(torch.nn.Sequential):
    """A generator with buffers."""

    def __init__(self):
        super().__init__(torch.nn.Conv2d(3, 48, 3, 1, 1), torch.nn.BatchNorm2d(48), torch.nn.PixelShuffle(4))


@register(LOSS_REGISTRY)
class LossThatDiverges(torch.nn.Module):
    """0 at first; from the call ``since`` on NaN."""

    def __init__(self, since):
        super().__init__()
        self.since, self.calls = since, 0

    def forward(self, sr, gt):
        self.calls += 1
        return (sr - gt).mean() * (NAN if self.calls >= self.since else 0)


@pytest.fixture
def warnings():
    """The warnings of BasicSR's logger."""
    lines, handler = [], logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append(record.getMessage())
    logging.getLogger('basicsr').addHandler(handler)
    yield lines
    logging.getLogger('basicsr').removeHandler(handler)


def full_opt(**train):
    """All that has a state: batch norm and spectral norm, LeCam, both averages, Adam, target rho, skipping."""
    opt = model_opt(
        gan_opt=GAN,
        network_d={**SMALL_D, 'norm': 'batchspectral'},
        d_reg_opt={
            'r1': {'type': 'R1Regularizer', 'loss_weight': 0.1, 'interval': 1},
            'lecam': {'type': 'LeCamRegularizer', 'start': 0},
        },
        feature_matching_opt={'type': 'FeatureMatchingLoss'},
        gan_weight_opt={'type': 'GANWeightTargetRho'},
        lr_opt={'type': 'LRConsistencyLoss'},
        net_d_ema_decay=0.9,
        net_d_skip_accuracy=0.99,
        **train,
    )
    opt['network_g'] = {'type': 'SmallGeneratorWithBatchNorm'}
    return opt


def three_batches():
    return list(batches(3, gt_size=32, batch_size=3))


def take(model, batch, iteration):
    model.feed_data({key: value.clone() for key, value in batch.items()})
    model.optimize_parameters(iteration)


def trained(opt=None):
    torch.manual_seed(0)
    model = build_model(opt or full_opt())
    for iteration, batch in enumerate(three_batches()[:2], start=1):
        take(model, batch, iteration)
    return model


def picture(kind, value):
    def spoil(model, batch, undo):
        batch[kind][1, 0, 5, 5] = value

    return spoil


def term(owner, name, value):
    """Multiply what a method gives by ``value``."""

    def spoil(model, batch, undo):
        part = owner(model)
        original = getattr(part, name)

        def spoilt(*args):
            out = original(*args)
            return tuple(x * value for x in out) if isinstance(out, tuple) else out * value

        undo.setattr(part, name, spoilt)

    return spoil


def gradient_of(net):
    def spoil(model, batch, undo):
        handle = next(net(model).parameters()).register_hook(lambda g: g * NAN)
        model.undo_hook = handle.remove

    return spoil


def steep_content(model, batch, undo):
    undo.setattr(model.content.pixel, 'forward', lambda sr, gt: (sr - sr.detach()).square().sum().sqrt())


def adversary(model):
    return model.adversaries['net_d']


#: what is wrong, and how the message begins
SPOILS = {
    'NaN in one lq picture': (picture('lq', NAN), 'l_g_pix is nan'),
    'NaN in one gt picture': (picture('gt', NAN), 'l_g_pix is nan'),
    'Inf in one gt picture': (picture('gt', INF), 'l_g_pix is inf'),
    'pixel loss': (term(lambda m: m.content.pixel, 'forward', NAN), 'l_g_pix is nan'),
    'further loss': (term(lambda m: m.content.further['lr'][0], 'forward', INF), 'l_g_lr is inf'),
    "G's GAN loss": (term(lambda m: adversary(m).loss, 'g_loss', -INF), 'l_g_gan is -inf'),
    "D's losses": (term(lambda m: adversary(m).loss, 'd_loss', NAN), 'l_d_real is nan'),
    'feature matching': (term(lambda m: adversary(m).feature_matching, 'forward', NAN), 'l_g_fm is nan'),
    'R1': (term(lambda m: adversary(m).regularizers['r1'], 'penalty', INF), 'l_d_r1 is inf'),
    'LeCam': (term(lambda m: adversary(m).regularizers['lecam'], 'penalty', NAN), 'l_d_lecam is nan'),
    'gradient of a finite loss': (steep_content, 'grad_pix is nan'),
    "G's gradient": (gradient_of(lambda m: m.net_g), 'grad_net_g is nan'),
    "D's gradient": (gradient_of(lambda m: adversary(m).net_d), 'grad_net_d is nan'),
}


@pytest.mark.slow
@pytest.mark.parametrize('what', SPOILS)
def test_a_bad_step_changes_nothing_is_named_and_the_training_continues_without_it(what, monkeypatch, warnings):
    spoil, reason = SPOILS[what]
    model, undisturbed = trained(), trained()
    before = state_of(model)
    assert not differences(before, state_of(undisturbed))
    batch = {key: value.clone() for key, value in three_batches()[2].items()}
    with monkeypatch.context() as undo:
        spoil(model, batch, undo)
        take(model, batch, 3)
    getattr(model, 'undo_hook', lambda: None)()
    assert differences(before, state_of(model)) == []
    (line,) = [line for line in warnings if 'is skipped' in line]
    assert line.startswith(f'iteration 3 is skipped: {reason} (last good ')
    assert 'at iteration 2)' in line

    for each in (model, undisturbed):
        take(each, three_batches()[2], 4)
    assert differences(state_of(model), state_of(undisturbed)) == []
    assert differences(before, state_of(model)) != []


def test_a_good_step_changes_every_part_of_the_state():
    model = trained()
    before = state_of(model)
    take(model, three_batches()[2], 3)
    changed = ' '.join(differences(before, state_of(model)))
    for part in ('net_g.0.weight', 'net_g.1.running_mean', 'net_g.1.num_batches_tracked', 'net_g_ema.0.weight'):
        assert part in changed
    for part in ('weight_u', 'running_var', 'lecam.anchors', 'lecam.updates', 'average', 'weight.sum', 'skip.mean'):
        assert part in changed
    assert 'optimizers[1].state' in changed


def test_the_message_names_three_bad_metrics_and_counts_the_rest(warnings):
    guard = StepGuard()
    guard.accept({'l_a': 0.25, 'rho': NAN}, 7)
    guard.reject({'l_a': NAN, 'l_b': INF, 'l_c': NAN, 'grad_a': NAN, 'rho': NAN, 'grad_b': INF}, 8)
    reason = 'l_a is nan (last good 0.25 at iteration 7), l_b is inf, l_c is nan, and 2 more'
    assert warnings == [f'iteration 8 is skipped: {reason}']


def test_max_bad_steps_in_a_row_end_the_training_and_a_good_one_resets_the_count():
    model = trained(full_opt(max_bad_steps=2))
    good = three_batches()[2]
    bad = {**good, 'gt': good['gt'] * NAN}
    take(model, bad, 3)
    take(model, good, 4)
    take(model, bad, 5)
    before = state_of(model)
    with pytest.raises(DivergedError, match=r'iteration 6: l_g_pix is nan .* in 2 iterations in a row') as stopped:
        take(model, bad, 6)
    assert differences(before, state_of(model)) == []
    assert '\n' not in str(stopped.value)


@pytest.mark.parametrize('value', [0, -1, 1.5, 'ten', True])
def test_max_bad_steps_has_to_be_a_whole_number(value):
    with pytest.raises(OptionError, match=r'train\.max_bad_steps needs .* whole number from 1'):
        build_model(model_opt(max_bad_steps=value))


@pytest.mark.parametrize('net', ['net_g', 'net_g_ema', 'net_d', 'average'])
def test_networks_that_are_not_finite_are_never_saved(net, tmp_path):
    model = trained()
    model.opt['path'] = {'models': str(tmp_path), 'training_states': str(tmp_path)}
    of_d = {'net_d': adversary(model).bare, 'average': adversary(model).settings.average.net}
    with torch.no_grad():
        next(iter((of_d.get(net) or getattr(model, net)).buffers()))[0] = NAN
    with pytest.raises(DivergedError, match='is not finite, so it is not saved'):
        model.save(0, 2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_ganzoo_train_stops_with_one_sentence_and_keeps_the_last_good_checkpoint(tmp_path, monkeypatch, capsys):
    path = write_option_file(
        tmp_path,
        total_iter=9,
        train__bad_opt={'type': 'LossThatDiverges', 'since': 4},
        train__max_bad_steps=3,
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(['train', '-opt', str(path)])
    output = capsys.readouterr().err
    assert stopped.value.code == 1
    assert 'iteration 4 is skipped: l_g_bad is nan (last good 0 at iteration 3)' in output
    assert 'Traceback' not in output
    message = output[output.index('error: ') :].strip()
    assert message.startswith('error: iteration 6: l_g_bad is nan (last good 0 at iteration 3)')
    assert '\n' not in message
    assert '--auto_resume' in message
    models = tmp_path / 'experiments' / 'gan_x4' / 'models'
    assert sorted(path.name for path in models.iterdir()) == [f'net_{n}_{i}.pth' for n in 'dg' for i in (2, 4)]
    for path in models.iterdir():
        for weights in torch.load(path, weights_only=True).values():
            assert all(tensor.isfinite().all() for tensor in weights.values())


def norms(model):
    nets = {'g': model.net_g, 'd': adversary(model).net_d}
    return {n: math.sqrt(sum(float(p.grad.square().sum()) for p in net.parameters())) for n, net in nets.items()}


def test_gradients_are_clipped_to_their_norms_and_the_log_has_the_norms_before():
    opt = model_opt(gan_opt=GAN, network_d=SMALL_D)
    free, logs = train_steps(opt, 1, gt_size=32)
    bounds = {n: norm / 2 for n, norm in norms(free).items()}
    opt['train'].update(grad_clip_g=bounds['g'], grad_clip_d=bounds['d'])
    clipped, clipped_logs = train_steps(opt, 1, gt_size=32)
    assert norms(clipped) == pytest.approx(bounds, rel=1e-3)  # torch adds 1e-6 to the norm
    for n, norm in norms(free).items():
        assert logs[0][f'grad_net_{n}'] == pytest.approx(norm, rel=1e-5)
        assert clipped_logs[0][f'grad_net_{n}'] == logs[0][f'grad_net_{n}']


def test_without_clipping_or_with_a_bound_that_is_not_reached_gradients_stay_as_they_are():
    states = []
    for clip in ({}, {'grad_clip_g': 0, 'grad_clip_d': 0}, {'grad_clip_g': 1e6, 'grad_clip_d': 1e6}):
        model, _ = train_steps(model_opt(gan_opt=GAN, network_d=SMALL_D, **clip), 3, gt_size=32)
        states.append(state_of(model))
    assert differences(states[0], states[1]) == []
    assert differences(states[0], states[2]) == []


def test_clip_gradients_leaves_them_bit_equal_without_a_bound():
    weight = torch.nn.Parameter(torch.zeros(3))
    weight.grad = torch.tensor([3e-30, 4.0, 1e4])
    before = weight.grad.clone()
    assert float(clip_gradients([weight])) == pytest.approx(float(before.norm()))
    assert torch.equal(weight.grad, before)


@pytest.mark.parametrize('key', ['grad_clip_g', 'grad_clip_d'])
@pytest.mark.parametrize('value', [-1, 'much', NAN])
def test_a_bound_that_is_no_number_from_0_is_an_error(key, value):
    with pytest.raises(OptionError, match=rf'train\.{key} needs the value'):
        build_model(model_opt(gan_opt=GAN, network_d=SMALL_D, **{key: value}))


WAITS = ('item', 'tolist', 'cpu', 'numpy', '__bool__', '__float__', '__int__', '__index__')


def test_an_ordinary_step_waits_for_the_device_once(monkeypatch):
    opt = full_opt(
        optim_g={'type': 'SGD', 'lr': 1e-3}, optim_d={'type': 'SGD', 'lr': 1e-3}, grad_clip_g=1, grad_clip_d=1
    )
    opt['train']['d_reg_opt']['gp'] = {'type': 'GradientPenalty'}
    model = trained(opt)
    waits = []
    for name, method in {name: getattr(torch.Tensor, name) for name in WAITS}.items():

        def counted(tensor, *args, name=name, method=method):
            waits.append(name)
            return method(tensor, *args)

        monkeypatch.setattr(torch.Tensor, name, counted)
    take(model, three_batches()[2], 3)
    assert waits == ['tolist']
