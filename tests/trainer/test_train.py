"""``python -m basicsr_ganzoo.train``: a run from its option file, resuming, several processes, and users' mistakes."""

import re
import socket

import pytest
import torch
import yaml
from _runs import train
from _training import OPTIONS, run_python, write_narrowed, write_option_file, write_pairs

from basicsr_ganzoo.checking import prepare
from basicsr_ganzoo.cli import main
from basicsr_ganzoo.errors import OptionError

TRAIN = ('-m', 'basicsr_ganzoo.train', '-opt')


def networks(folder, iteration, name='gan_x4'):
    models = folder / 'experiments' / name / 'models'
    return {n: torch.load(models / f'net_{n}_{iteration}.pth', weights_only=True) for n in 'gd'}


@pytest.mark.slow
def test_an_option_file_trains_and_resumes_in_the_current_directory(tmp_path):
    path = write_option_file(tmp_path)
    first = run_python(*TRAIN, path, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert 'rho: ' in first.stderr
    assert set(networks(tmp_path, 4)['g']) == {'params', 'params_ema'}

    code, output = train(path, '--auto_resume', '--force_yml', 'train:total_iter=6')
    assert code == 0, output
    assert 'Resuming training from epoch: 1, iter: 4' in output
    assert 'iter:       5' in output
    old, new = networks(tmp_path, 4), networks(tmp_path, 6)
    assert any(not torch.equal(old['g']['params'][k], new['g']['params'][k]) for k in old['g']['params'])


def iterations(output):
    return [int(number) for number in re.findall(r'iter: +(\d+),', output)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ('dataset', 'ratio'),
    [
        ('PairedImageDataset', 1),
        ('PairedImageDataset', 1.3),
        ('PairedFolderDataset', 1),
        ('PairedFolderDataset', 'auto'),
    ],
)
def test_training_ends_at_total_iter_though_the_loader_drops_half_a_batch(dataset, ratio, tmp_path):
    # Five pictures in batches of two: BasicSR counts on three batches in an epoch, gets two, and ends at 8 of 9.
    changes = {'datasets__train__type': dataset, 'datasets__train__dataset_enlarge_ratio': ratio, 'val': None}
    path = write_option_file(tmp_path, total_iter=9, **changes)
    write_pairs(tmp_path / 'data', count=5)
    code, output = train(path)
    assert code == 0, output
    assert iterations(output) == list(range(1, 10))


@pytest.mark.slow
def test_a_resumed_run_ends_at_total_iter_even_if_its_epochs_have_become_longer(tmp_path):
    path = write_option_file(tmp_path, total_iter=12, logger__save_checkpoint_freq=4, val=None)
    assert train(path)[0] == 0
    for iteration in (8, 12):
        (tmp_path / f'experiments/gan_x4/training_states/{iteration}.state').unlink()
    # From epoch 1; with 40 pictures all that is left would fit into epoch 0.
    write_pairs(tmp_path / 'data', count=40)
    code, output = train(path, '--auto_resume')
    assert code == 0, output
    assert iterations(output) == list(range(5, 13))


def test_too_few_images_for_all_processes_are_one_sentence(tmp_path):
    from basicsr_ganzoo.trainer.loaders import TrainingData

    write_pairs(tmp_path, count=2)
    folders = {f'dataroot_{kind}': str(tmp_path / kind) for kind in ('gt', 'lq')}
    block = {'name': 'n', 'type': 'PairedFolderDataset', 'phase': 'train', 'scale': 4, 'gt_size': 32, **folders}
    block.update(batch_size_per_gpu=2, num_worker_per_gpu=0, dataset_enlarge_ratio=1)
    with pytest.raises(OptionError, match='2 images make no batch of 2 for each of 2 processes'):
        TrainingData({'datasets': {'train': block}, 'world_size': 2, 'rank': 0})


@pytest.mark.slow
def test_several_processes_train_on_cpus(tmp_path):
    path = write_option_file(tmp_path, network_d={'type': 'VGGDiscriminator', 'num_feat': 4, 'input_size': 32})
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    torchrun = ('-m', 'torch.distributed.run', '--nproc_per_node', 2, '--master_port', port)
    done = run_python(*torchrun, *TRAIN, path, '--launcher', 'pytorch', cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert 'World size (gpu number): 2' in done.stderr
    assert all(tensor.isfinite().all() for tensor in networks(tmp_path, 'latest')['g']['params'].values())


@pytest.mark.slow
def test_imports_make_own_networks_and_losses_known_by_name(tmp_path):
    own = tmp_path / 'own.py'
    own.write_text(
        'from basicsr.utils.registry import LOSS_REGISTRY\n'
        'from basicsr_ganzoo.losses.adversarial import HingeGANLoss\n\n\n'
        '@LOSS_REGISTRY.register()\n'
        'class SoftHingeLoss(HingeGANLoss):\n'
        '    def fake(self, x):\n'
        '        return super().fake(x).square()\n'
    )
    path = write_option_file(tmp_path, imports=['own.py'], train__gan_opt={'type': 'SoftHingeLoss'}, total_iter=2)
    code, output = train(path)
    assert code == 0, output
    assert networks(tmp_path, 2)


def changed(**changes):
    return lambda folder: write_option_file(folder, **changes)


def text(content):
    def write(folder):
        (folder / 'option.yml').write_text(content)
        return folder / 'option.yml'

    return write


def with_empty_folder(folder):
    path = write_option_file(folder)
    for picture in (folder / 'data').rglob('*.png'):
        picture.unlink()
    return path


def with_unequal_folders(folder):
    path = write_option_file(folder)
    (folder / 'data/lq/0.png').unlink()
    return path


MISTAKES = {
    'no such file': (lambda folder: folder / 'nowhere.yml', 'nowhere.yml'),
    'no YAML': (text('name: [1, 2\nscale: 4'), 'is not YAML'),
    'code in YAML': (text('name: !!python/object/apply:os.system ["touch owned"]'), 'is not YAML'),
    'a key comes twice': (text('val:\n  a: 1\nname: x\nval:\n  b: 2\n'), 'the key val comes twice, in lines 1 and 4'),
    'empty file': (text(''), 'holds no keys'),
    'a key is missing': (changed(network_g=None), 'network_g: this key is missing'),
    'no training data': (changed(datasets__train=None), 'datasets.train: this key is missing'),
    'no number of iterations': (changed(train__total_iter=None), 'train.total_iter: this key is missing'),
    'no validation frequency': (changed(val__val_freq=None), 'val.val_freq: this key is missing'),
    'path without keys': (changed(path=None), 'path: this key is missing'),
    'misspelt model': (changed(model_type='GanZooModel'), 'did you mean GANZooModel'),
    'misspelt generator': (changed(network_g={'type': 'MSRResnet'}), 'network_g: '),
    'misspelt discriminator': (changed(network_d={'type': 'UNetDiscriminator'}), 'network_d: '),
    'misspelt option': (changed(network_d__num_feats=3), 'did you mean num_feat'),
    'misspelt dataset': (changed(datasets__train__type='PairedImagDataset'), 'did you mean PairedImageDataset'),
    'folder that is not there': (changed(datasets__train__dataroot_gt='nowhere'), 'datasets.train: '),
    'dataset without io_backend': (changed(datasets__train__io_backend=None), 'io_backend'),
    'empty folders': (with_empty_folder, 'its folders hold no images'),
    'fewer pictures than a batch': (changed(datasets__train__batch_size_per_gpu=5), 'dataset_enlarge_ratio'),
    'unequal folders': (with_unequal_folders, 'datasets.train: '),
    'pictures of another scale': (changed(scale=2), 'GT (64, 64) is not 2x multiplication of LQ (16, 16)'),
    'crop larger than the pictures': (changed(datasets__train__gt_size=256), 'LQ (16, 16) is smaller'),
    'crop below the minimum': (
        changed(network_d={'type': 'PatchGANDiscriminator', 'num_layers': 5}),
        'PatchGANDiscriminator needs H and W >= 96, got 32x32',
    ),
    'missing import': (changed(imports=['nowhere.py']), 'nowhere.py'),
    'missing checkpoint': (changed(path__pretrain_network_d='nowhere.pth'), 'nowhere.pth'),
}


@pytest.mark.parametrize('mistake', MISTAKES)
def test_a_mistake_is_one_sentence_and_exit_code_1(mistake, tmp_path, monkeypatch, capsys):
    write, expected = MISTAKES[mistake]
    path = write(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(['train', '-opt', str(path)])
    output = capsys.readouterr().err
    message = output[output.index('error: ') :]
    assert stopped.value.code == 1
    assert expected in message
    assert 'Traceback' not in output
    assert not (tmp_path / 'owned').exists()


FORCED = {
    'no value': ('train:total_iter', "needs KEY:KEY=VALUE, such as train:total_iter=5000, got 'train:total_iter'"),
    'no key': ('=6', "got '=6'"),
    'an empty key': ('train::x=6', "got 'train::x=6'"),
    'through text': ('name:x=6', "but name is 'gan_x4', which holds no keys, in 'name:x=6'"),
    'through a number': ('train:total_iter:x=6', 'but train:total_iter is 4, which holds no keys'),
    'through a list': ('train:optim_g:betas:0=6', 'but train:optim_g:betas is [0.9, 0.99], which holds no keys'),
    'no YAML': ('train:optim_g:betas=[0.9', "the value of 'train:optim_g:betas=[0.9' is not YAML"),
    'code': ('name=!!python/object/apply:os.system ["touch owned"]', 'is not YAML'),
    'a new key that nobody reads': ('trian:total_iter=6', 'trian: nobody reads this key (did you mean train?)'),
    'a slip in a new block': ('train:gan_weight_opt:type=GANWeightRmp', "nothing is registered as 'GANWeightRmp' (did"),
}


@pytest.mark.parametrize('mistake', FORCED)
def test_a_wrong_force_yml_is_one_sentence(mistake, tmp_path, monkeypatch, capsys):
    entry, expected = FORCED[mistake]
    path = write_option_file(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(['train', '-opt', str(path), '--force_yml', entry])
    assert stopped.value.code == 1
    assert expected in capsys.readouterr().err
    assert not (tmp_path / 'owned').exists()


@pytest.mark.parametrize(
    ('entry', 'keys', 'expected'),
    [
        ('train:gan_weight_opt:type=GANWeightRamp', ('train', 'gan_weight_opt'), {'type': 'GANWeightRamp'}),
        ('val:keep_best={metric: psnr}', ('val', 'keep_best'), {'metric': 'psnr'}),
        ('path:resume_state=~', ('path', 'resume_state'), None),
        ('path:resume_state:deep=1', ('path', 'resume_state'), {'deep': 1}),  # an empty block becomes a mapping
        ('train:ema_decay=0.5', ('train', 'ema_decay'), 0.5),
        ('train:total_iter=7', ('train', 'total_iter'), 7),
        ('train:channels_last=true', ('train', 'channels_last'), True),
        ('train:optim_g:betas=[0, 0.9]', ('train', 'optim_g', 'betas'), [0, 0.9]),
        ('name=a=b', ('name',), 'a=b'),
    ],
)
def test_force_yml_sets_typed_values_and_new_keys_in_new_blocks(entry, keys, expected, tmp_path):
    value, _ = prepare(write_option_file(tmp_path), [entry])
    for key in keys:
        value = value[key]
    assert value == expected
    assert type(value) is type(expected)


def test_a_damaged_state_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    states = tmp_path / 'experiments/gan_x4/training_states'
    states.mkdir(parents=True)
    (states / '4.state').write_bytes(b'PK half a file')
    with pytest.raises(SystemExit) as stopped:
        main(['train', '-opt', str(write_option_file(tmp_path)), '--auto_resume'])
    assert stopped.value.code == 1
    output = capsys.readouterr()
    assert '4.state is damaged' in output.out
    assert f'each state in {states} is damaged; restart with --fresh, which renames this run' in output.err


@pytest.mark.slow
def test_a_run_that_was_killed_while_saving_resumes_from_the_previous_state(tmp_path):
    path = write_option_file(tmp_path, val=None)
    assert train(path)[0] == 0
    newest = tmp_path / 'experiments/gan_x4/training_states/4.state'
    newest.write_bytes(newest.read_bytes()[:1000])
    code, output = train(path, '--auto_resume')
    assert code == 0, output
    assert '4.state is damaged' in output
    assert iterations(output) == [3, 4]


def test_one_gpu_is_used_without_a_launcher_and_none_without_cuda(monkeypatch, capsys):
    from basicsr_ganzoo.config.runtime import usable_gpus

    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    assert usable_gpus({'num_gpu': 4, 'dist': False}) == 1
    assert usable_gpus({'num_gpu': 4, 'dist': True}) == 4
    assert 'torchrun --nproc_per_node 4' in capsys.readouterr().out
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    assert usable_gpus({'num_gpu': 1, 'dist': False}) == 0
    assert 'CPU' in capsys.readouterr().out


OPTION_FILES = sorted(OPTIONS.rglob('*.yml'))


def test_there_are_option_files():
    assert OPTION_FILES


@pytest.mark.slow
@pytest.mark.parametrize('path', OPTION_FILES, ids=lambda path: path.stem)
def test_every_shipped_option_file_takes_two_steps(path, tmp_path, monkeypatch, narrow_vgg19):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(['train', '-opt', str(write_narrowed(path, tmp_path))])
    assert not stopped.value.code
    name = yaml.safe_load(path.read_text())['name']
    saved = torch.load(tmp_path / 'experiments' / name / 'models' / 'net_g_latest.pth', weights_only=True)
    assert all(tensor.isfinite().all() for tensor in saved['params'].values())


MULTI_STEP = {'type': 'MultiStepLR', 'milestones': [2], 'gamma': 0.5}
COSINE = {'type': 'CosineAnnealingRestartLR', 'periods': [4], 'restart_weights': [1]}


@pytest.mark.slow
@pytest.mark.parametrize(
    ('before', 'after', 'expected'),
    [
        (MULTI_STEP, MULTI_STEP, '5.000e-06'),
        (MULTI_STEP, MULTI_STEP | {'milestones': [2, 4], 'gamma': 0.1}, '5.000e-07'),
        (COSINE, COSINE | {'periods': [100000]}, '1.000e-05'),
    ],
)
def test_a_resumed_run_uses_the_learning_rates_and_schedule_of_the_option_file(before, after, expected, tmp_path):
    path = write_option_file(tmp_path, total_iter=4, train__scheduler=before, val=None)
    assert train(path)[0] == 0
    lower = {'train__optim_g__lr': 1e-5, 'train__optim_d__lr': 1e-6}
    path = write_option_file(tmp_path, total_iter=6, train__scheduler=after, val=None, **lower)
    code, output = train(path, '--auto_resume')
    assert code == 0, output
    assert f'iter:       6, lr:({expected},)' in output
    assert 'resuming with the schedule of the option file, which begins at 1e-06' in output
    state = torch.load(tmp_path / 'experiments/gan_x4/training_states/6.state', weights_only=True)
    assert [optimizer['param_groups'][0]['initial_lr'] for optimizer in state['optimizers']] == [1e-5, 1e-6]
