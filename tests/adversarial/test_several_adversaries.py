"""Several discriminators: each as if it were alone, G's gradient their sum, and the memory of the largest."""

import pytest
import torch
from _memory import peak_of_saved_tensors
from _state import differences, state_of
from _training import batches, model_opt, run_python, train_steps, write_option_file
from basicsr.models import build_model

from basicsr_ganzoo.adversarial.options import HOMES, adversaries_of
from basicsr_ganzoo.cli import main
from basicsr_ganzoo.errors import OptionError

ADAM = {'type': 'Adam', 'lr': 1e-4, 'betas': [0.9, 0.99]}
UNET = {
    'network_d': {'type': 'UNetSNDiscriminator', 'num_feat': 4},
    'gan_opt': {'type': 'VanillaGANLoss', 'loss_weight': 0.1},
    'optim_d': ADAM,
}
PATCH = {
    'network_d': {'type': 'PatchGANDiscriminator', 'num_feat': 4, 'num_layers': 2, 'norm': 'batchspectral'},
    'gan_opt': {'type': 'RaGANLoss', 'loss_weight': 0.05},
    'optim_d': {'type': 'SGD', 'lr': 0.01},
    'd_reg_opt': {
        'r1': {'type': 'R1Regularizer', 'interval': 2},
        'lecam': {'type': 'LeCamRegularizer', 'start': 0},
    },
    'feature_matching_opt': {'type': 'FeatureMatchingLoss'},
    'gan_weight_opt': {'type': 'GANWeightTargetRho', 'smoothing': 0.5},
    'grad_clip_d': 1.0,
    'net_d_ema_decay': 0.9,
    'net_d_skip_accuracy': 0.95,
}


def several(**adversaries):
    return model_opt() | {'adversaries': adversaries}


def single(block):
    opt = model_opt()
    for key, value in block.items():
        home = HOMES[key][:-1]
        (opt[home] if home else opt)[key] = value
    return opt


def trained(opt, count=3):
    return train_steps(opt, count, gt_size=32)


@pytest.mark.parametrize('block', [UNET, PATCH], ids=['plain', 'with everything'])
def test_one_adversary_by_name_trains_bit_equally_to_one_without(block):
    (alone, logs), (named, named_logs) = trained(single(block)), trained(several(only=block))
    one, other = state_of(alone), state_of(named)
    for state in (one, other):
        state['networks_d'], state['adversaries'] = (
            list(state['networks_d'].values()),
            list(state['adversaries'].values()),
        )
    assert differences(one, other) == []
    for log, named_log in zip(logs, named_logs, strict=True):
        for key, value in log.items():
            assert named_log.get(f'{key}_only', named_log.get(key)) == value


def test_with_two_adversaries_gs_gradient_is_their_sum_and_each_learns_as_if_alone():
    torch.manual_seed(0)
    both = build_model(several(a=UNET, b=PATCH))
    batch = next(batches(1, gt_size=32))
    images = batch['gt'], both.net_g(batch['lq']).detach()
    states = {label: adversary.bare.state_dict() for label, adversary in both.adversaries.items()}
    states = {label: {k: v.clone() for k, v in state.items()} for label, state in states.items()}
    sum_of_both = sum(adversary.step(*images, iteration=1).gradient for adversary in both.adversaries.values())
    gradients = {label: [p.grad.clone() for p in a.net_d.parameters()] for label, a in both.adversaries.items()}

    expected = 0
    for name, block in (('a', UNET), ('b', PATCH)):
        alone = build_model(several(**{name: block}))
        adversary = alone.adversaries[f'net_d_{name}']
        adversary.bare.load_state_dict(states[f'net_d_{name}'])
        expected = expected + adversary.step(*images, iteration=1).gradient
        parameters = adversary.net_d.parameters()
        assert differences([p.grad for p in parameters], gradients[f'net_d_{name}']) == []
    torch.testing.assert_close(sum_of_both, expected)


def test_the_log_names_each_metric_by_its_adversary_and_has_rho_of_each_and_of_all():
    _, logs = trained(several(a=UNET, b=PATCH), 2)
    usual = ('l_g_gan', 'l_d_real', 'l_d_fake', 'out_d_real', 'out_d_fake', 'grad_gan', 'grad_net_d', 'rho')
    for suffix in ('_a', '_b'):
        assert {key + suffix for key in usual} <= logs[0].keys()
    assert {'l_g_pix', 'rho', 'l_g_fm_b', 'l_d_lecam_b', 'w_gan_b', 'dlearns_b'} <= logs[0].keys()
    assert not {'l_g_gan', 'l_d_real', 'l_g_fm_a', 'l_d_r1_b'} & logs[0].keys()
    assert 'l_d_r1_b' in logs[1]  # it is due in every second iteration
    assert logs[0]['rho'] <= logs[0]['rho_a'] + logs[0]['rho_b']


def test_each_is_saved_and_resumed_bit_equally(tmp_path):
    opt = several(a=UNET, b=PATCH)
    opt['path'] = {'models': str(tmp_path), 'training_states': str(tmp_path)}
    model, _ = trained(opt, 3)
    model.save(0, 3)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ['3.state', 'net_d_a_3.pth', 'net_d_b_3.pth', 'net_g_3.pth']
    opt = several(a=UNET, b=PATCH | {'pretrain_network_d': 'gone.pth'})  # what training began with is not needed again
    opt['path'] = {'models': str(tmp_path), 'training_states': str(tmp_path), 'resume_state': str(tmp_path / '3.state')}
    opt['path']['pretrain_network_g'] = str(tmp_path / 'net_g_3.pth')
    torch.manual_seed(5)
    resumed = build_model(opt)
    resumed.resume_training(torch.load(tmp_path / '3.state', weights_only=True))
    assert differences(state_of(model), state_of(resumed)) == []
    for batch in batches(2, gt_size=32, seed=7):
        for each in (model, resumed):
            each.feed_data(batch)
            each.optimize_parameters(4)
    assert differences(state_of(model), state_of(resumed)) == []


def test_they_are_resumed_in_any_order(tmp_path):
    opt = several(a=UNET, b=PATCH)
    opt['path'] = {'models': str(tmp_path), 'training_states': str(tmp_path)}
    model, _ = trained(opt, 3)
    model.save(0, 3)
    opt = several(b=PATCH, a=UNET)
    opt['path'] = {'models': str(tmp_path), 'pretrain_network_g': str(tmp_path / 'net_g_3.pth')}
    resumed = build_model(opt)
    resumed.resume_training(torch.load(tmp_path / '3.state', weights_only=True))
    one, other = state_of(model), state_of(resumed)
    of_g, *of_ds = one['optimizers']
    one['optimizers'] = [of_g, *reversed(of_ds)]
    for key in ('networks_d', 'adversaries'):
        assert list(one[key]) == list(reversed(other[key]))
    assert differences(one, other) == []


@pytest.mark.parametrize('now', [{'a': UNET}, {'a': UNET, 'c': UNET}, {}])
def test_a_state_of_other_adversaries_is_an_error(now, tmp_path):
    opt = several(a=UNET, b=UNET)
    opt['path'] = {'models': str(tmp_path), 'training_states': str(tmp_path)}
    model, _ = trained(opt, 1)
    model.save(0, 1)
    other = several(**now)
    other['path'] = dict(opt['path'])
    with pytest.raises(OptionError, match='the training state is of the discriminators net_d_a, net_d_b'):
        build_model(other).resume_training(torch.load(tmp_path / '1.state', weights_only=True))


def test_each_loads_its_own_pretrained_file(tmp_path):
    torch.manual_seed(0)
    source = build_model(single(UNET)).adversaries['net_d'].bare
    torch.save({'params': {}, 'mine': source.state_dict()}, tmp_path / 'd.pth')
    pretrained = {'pretrain_network_d': str(tmp_path / 'd.pth'), 'param_key_d': 'mine'}
    model = build_model(several(a=UNET | pretrained, b=UNET))
    loaded = {label: adversary.bare.state_dict() for label, adversary in model.adversaries.items()}
    assert differences(loaded['net_d_a'], source.state_dict()) == []
    assert differences(loaded['net_d_b'], source.state_dict()) != []
    with pytest.raises(OptionError, match=r'adversaries\.b\.pretrain_network_d: .*d\.pth does not fit'):
        build_model(several(a=UNET, b=PATCH | pretrained))


def test_memory_is_that_of_the_largest_and_not_the_sum():
    """Bytes that autograd keeps for the backward pass, at the peak of a step."""
    big = {**UNET, 'network_d': {'type': 'UNetSNDiscriminator', 'num_feat': 16}}
    other = {**PATCH, 'network_d': {'type': 'PatchGANDiscriminator', 'num_feat': 48, 'num_layers': 2}}
    peaks = {}
    for name, adversaries in {'a': {'a': big}, 'b': {'b': other}, 'both': {'a': big, 'b': other}}.items():
        torch.manual_seed(0)
        model = build_model(several(**adversaries))
        batch = next(batches(1, gt_size=64))
        model.feed_data(batch)
        model.optimize_parameters(2)
        with peak_of_saved_tensors() as peak:
            model.optimize_parameters(2)
        peaks[name] = peak.bytes
    print({name: f'{value / 2**20:.2f} MiB' for name, value in peaks.items()})
    assert min(peaks['a'], peaks['b']) > 0.5 * max(peaks['a'], peaks['b'])
    assert peaks['both'] < 1.1 * max(peaks['a'], peaks['b']) + 2**16


# ---------------------------------------------------------------- option files


def option_file(folder, **changes):
    none = dict.fromkeys(('network_d', 'train__gan_opt', 'train__optim_d'))
    return write_option_file(folder, adversaries={'whole': UNET, 'parts': PATCH}, **none, **changes)


def files(folder):
    models = folder / 'experiments' / 'gan_x4' / 'models'
    return {path.name: torch.load(path, weights_only=True) for path in models.iterdir()}


@pytest.mark.slow
def test_ganzoo_train_saves_and_resumes_all_of_them(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = option_file(tmp_path, total_iter=2)
    for flags in ([], ['--auto_resume', '--force_yml', 'train:total_iter=4']):
        with pytest.raises(SystemExit) as stopped:
            main(['train', '-opt', str(path), *flags])
        output = capsys.readouterr().err
        assert not stopped.value.code, output
    assert 'Resuming training from epoch: 0, iter: 2' in output
    assert 'l_d_real_parts: ' in output
    saved = files(tmp_path)
    names = [f'net_{n}_{i}.pth' for n in ('g', 'd_whole', 'd_parts') for i in (2, 4, 'latest')]
    assert sorted(saved) == sorted(names)
    assert saved['net_d_parts_4.pth'].keys() == {'params', 'params_ema'}
    state = torch.load(tmp_path / 'experiments/gan_x4/training_states/4.state', weights_only=True)
    assert list(state['adversaries']) == ['net_d_parts', 'net_d_whole']  # the file is sorted
    assert state['optimizers'][2]['state'][0]['step'] == 4
    assert state['adversaries']['net_d_parts']['regularizers']['lecam.updates'] == 4


@pytest.mark.slow
def test_basicsrs_own_pipeline_trains_and_resumes_them(tmp_path):
    """Its resume requires CUDA; the script replaces the calls."""
    path = option_file(tmp_path, total_iter=2)
    script = tmp_path / 'script.py'
    script.write_text(
        'import os, sys, torch\n'
        'from basicsr.train import train_pipeline\n'
        'torch.cuda.current_device = lambda: 0\n'
        'torch.UntypedStorage.cuda = lambda storage, *args: storage\n'
        'train_pipeline(os.getcwd())\n'
    )
    run = ('-m', 'basicsr_ganzoo', 'run', script, '-opt', path)
    first = run_python(*run, cwd=tmp_path)
    assert first.returncode == 0, first.stderr[-2000:]
    again = run_python(*run, '--auto_resume', '--force_yml', 'train:total_iter=4', cwd=tmp_path)
    assert again.returncode == 0, again.stderr[-2000:]
    assert 'Resuming training from epoch: 0, iter: 2' in again.stderr
    assert {'net_d_whole_4.pth', 'net_d_parts_4.pth', 'net_d_parts_latest.pth'} <= files(tmp_path).keys()


# ---------------------------------------------------------------- mistakes

MISTAKES = {
    'both forms': (single(UNET) | {'adversaries': {'a': UNET}}, 'network_d is there beside adversaries; move it'),
    'gan_opt beside them': (
        several(a=UNET) | {'train': {**model_opt()['train'], 'gan_opt': UNET['gan_opt']}},
        r'train\.gan_opt is there beside adversaries',
    ),
    'no mapping': (model_opt() | {'adversaries': ['a', 'b']}, 'adversaries needs to be a mapping of names to blocks'),
    'block that is none': (several(a='UNetSNDiscriminator'), r'adversaries\.a needs to be a mapping with network_d'),
    'name with a slash': (
        model_opt() | {'adversaries': {'a/b': UNET}},
        r'adversaries\.a/b: a name has to be of letters',
    ),
    'name that is a number': (model_opt() | {'adversaries': {1: UNET}}, r'adversaries\.1: a name has to be of letters'),
    'names that differ in case': (several(Patch=UNET, unet=UNET, patch=UNET), 'Patch and patch differ in case alone'),
    'unknown key': (
        several(a=UNET | {'gan_opts': {}}),
        r'adversaries\.a\.gan_opts: nobody reads this key \(did you mea',
    ),
    'key of the model': (several(a=UNET | {'net_d_iters': 2}), r'adversaries\.a\.net_d_iters: nobody reads this key'),
    'no loss': (
        several(a={'network_d': UNET['network_d']}),
        r'adversaries\.a\.network_d is there but adversaries\.a\.gan_opt is not',
    ),
    'no network': (several(a={'gan_opt': UNET['gan_opt']}), r'adversaries\.a\.network_d is not'),
    'no optimizer': (
        several(a={key: UNET[key] for key in ('network_d', 'gan_opt')}),
        r'adversaries\.a\.optim_d is missing',
    ),
    'empty block': (several(a={}), r'adversaries\.a is there but adversaries\.a\.network_d is not'),
    'misspelt loss': (several(a=UNET, b=UNET | {'gan_opt': {'type': 'X'}}), r'adversaries\.b\.gan_opt: nothing is'),
    'regularizer': (
        several(a=UNET | {'d_reg_opt': {'r1': {'type': 'R1Regularizer', 'weight': 1}}}),
        r'adversaries\.a\.d_reg_opt\.r1: R1Regularizer has no option weight',
    ),
    'too many frozen': (several(a=UNET | {'net_d_freeze': 99}), r'adversaries\.a\.net_d_freeze: .*at most 9'),
}


@pytest.mark.parametrize('mistake', MISTAKES)
def test_a_mistake_is_one_sentence_with_its_key(mistake):
    opt, expected = MISTAKES[mistake]
    with pytest.raises(OptionError, match=expected) as caught:
        build_model(opt)
    assert '\n' not in str(caught.value)


def test_every_key_of_the_single_form_is_one_of_an_adversary():
    values = {key: {'type': 'X'} if key in ('network_d', 'gan_opt') else 1 for key in HOMES}
    (one,), (other,) = adversaries_of(single(values)), adversaries_of(several(a=values))
    assert one.options == other.options == values
    assert (one.label, one.suffix, one.where('gan_opt')) == ('net_d', '', 'train.gan_opt')
    assert (other.label, other.suffix, other.where('gan_opt')) == ('net_d_a', '_a', 'adversaries.a.gan_opt')
