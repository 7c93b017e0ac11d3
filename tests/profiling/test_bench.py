"""``ganzoo bench``: the models it builds, its measurements, and its report."""

import json
import multiprocessing
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from _training import write_option_file, write_pairs
from basicsr.data import build_dataset

from basicsr_ganzoo.cli import main
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.profiling import bench_data, bench_models, bench_step, subprocess
from basicsr_ganzoo.profiling.meters import WARM_UP, BenchModel

pytestmark = pytest.mark.slow

RAGAN = {'type': 'RaGANLoss', 'detach_mean': True, 'loss_weight': 5e-3}
VANILLA = {'type': 'VanillaGANLoss', 'loss_weight': 5e-3}
PERCEPTUAL = {'type': 'PerceptualLoss', 'layer_weights': {'conv2_2': 1}}


OWN_DISCRIMINATOR = """
import torch
from basicsr.utils.registry import ARCH_REGISTRY

@ARCH_REGISTRY.register()
class FlatDiscriminator(torch.nn.Conv2d):
    def __init__(self):
        super().__init__(3, 1, 3)
"""

FAILS = """
    def forward(self, image):
        raise {}('no more' + chr(10) + 'bytes')
"""


def option_file(folder, **changes):
    return write_option_file(folder, train__perceptual_opt=PERCEPTUAL, **changes)


@pytest.fixture
def forked(monkeypatch):
    """The models run in forked processes, which start at once. Other tests have the processes of the command."""
    fork = SimpleNamespace(get_context=lambda method: multiprocessing.get_context('fork'))
    monkeypatch.setattr(subprocess, 'multiprocessing', fork)


def bench(path, capsys, *flags):
    with pytest.raises(SystemExit) as stopped:
        main(['bench', '-opt', str(path), '--steps', '2', *flags])
    return stopped.value.code, capsys.readouterr()


@pytest.mark.usefixtures('forked')
@pytest.mark.parametrize(
    ('model_type', 'gan_opt', 'stock'),
    [
        ('GANZooModel', RAGAN, 'ESRGANModel'),
        ('GANZooModel', VANILLA, 'SRGANModel'),
        ('RealESRGANZooModel', VANILLA, 'RealESRGANModel'),
    ],
)
def test_our_model_and_basicsrs_come_from_the_same_file(model_type, gan_opt, stock, tmp_path, capsys):
    pairs = {'high_order_degradation': False} if model_type == 'RealESRGANZooModel' else {}
    size = 64 if pairs else 32
    network_d = {'type': 'PatchGANDiscriminator', 'num_feat': 4, 'num_layers': 2, 'norm': 'none'}
    path = option_file(
        tmp_path,
        model_type=model_type,
        network_d=network_d,
        train__gan_opt=gan_opt,
        datasets__train__gt_size=size,
        **pairs,
    )
    code, output = bench(path, capsys, '--against', 'stock', '--json')
    assert code == 0, output.err
    report = json.loads(output.out)
    assert [r['type'] for r in report['results'].values()] == [model_type, stock]
    assert any('random weights' in note for note in report['notes'])
    assert report['ratios']['flops']['ratio'] < 1
    for result in report['results'].values():
        assert min(result[key] for key in ('cpu_s', 'wall_s', 'flops', 'peak_bytes')) > 0


@pytest.mark.usefixtures('forked')
def test_the_table_has_sizes_ratios_and_what_basicsr_does_not_support(tmp_path, capsys):
    path = option_file(tmp_path, train__gan_opt=VANILLA, train__d_reg_opt={'r1': {'type': 'R1Regularizer'}})
    code, output = bench(path, capsys, '--against', 'stock')
    text = ' '.join(output.out.split())
    assert code == 0, output.err
    assert 'batch 2 of 32x32 pixels; 2 steps' in text
    for words in ('random weights', 'not support train.d_reg_opt', 'peak bytes', 'ratio', '(quartiles)', 'SRGANModel'):
        assert words in text


def test_it_needs_neither_images_nor_pretrained_weights_nor_another_model(tmp_path, capsys):
    path = option_file(tmp_path, path__pretrain_network_g='gone.pth', datasets__train__dataroot_gt='gone')
    code, output = bench(path, capsys)
    assert code == 0, output.err
    assert 'ratio' not in output.out


@pytest.mark.parametrize(
    ('changes', 'flags', 'words'),
    [
        ({'train__gan_opt': {'type': 'RpGANLoss'}}, ['--against', 'stock'], 'BasicSR has no RpGANLoss with pairing'),
        ({}, ['--steps', '0'], '--steps to be a whole number from 1, got 0'),
        ({'train__gan_opt': {'type': 'NoLoss'}}, [], "nothing is registered as 'NoLoss'"),
        ({'model_type': 'SRGANModel', 'train__gan_opt': {'type': 'LSGANLoss'}}, [], 'is no model of basicsr_ganzoo'),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_1(changes, flags, words, tmp_path, capsys):
    code, output = bench(option_file(tmp_path, **changes), capsys, *flags)
    assert code == 1
    assert words in output.err
    assert len(output.err.strip().splitlines()) == 1


def test_several_adversaries_have_no_counterpart():
    opt = {'model_type': 'GANZooModel', 'num_gpu': 0, 'train': {}, 'adversaries': {'a': {'network_d': {}}}}
    with pytest.raises(OptionError, match='no model with several adversaries'):
        bench_models.stock_options(opt)


def test_a_model_whose_process_is_killed_is_one_sentence(tmp_path, monkeypatch):
    """As the system does when memory runs out."""
    monkeypatch.setattr(subprocess.BenchProcess, 'call', lambda self, method: (self.end(), self.receive()))
    opt = yaml.safe_load(write_option_file(tmp_path).read_text())
    with pytest.raises(OptionError, match='the process of ours ended with code -15; if it ran out of memory'):
        bench_step.run(opt, steps=1)


@pytest.mark.usefixtures('forked')
@pytest.mark.parametrize(
    ('error', 'words'),
    {
        'MemoryError': r'ours: out of memory; take a smaller batch: .* \(no more bytes\)',
        'RuntimeError': 'the process of ours ended with code 1; see the error above',
    }.items(),
)
def test_an_error_in_a_model_is_one_sentence(error, words, tmp_path):
    (tmp_path / 'zoo.py').write_text(OWN_DISCRIMINATOR + FAILS.format(error))
    path = write_option_file(tmp_path, network_d={'type': 'FlatDiscriminator'}, train__gan_opt=VANILLA)
    opt = yaml.safe_load(path.read_text()) | {'imports': ['zoo.py']}
    with pytest.raises(OptionError, match=words):
        bench_step.run(opt, steps=1, folder=tmp_path)


def test_the_imports_of_the_option_file_are_known(tmp_path, capsys):
    (tmp_path / 'zoo.py').write_text(OWN_DISCRIMINATOR)
    path = option_file(tmp_path, imports=['zoo.py'], network_d={'type': 'FlatDiscriminator'})
    code, output = bench(path, capsys)
    assert code == 0, output.err


@pytest.mark.usefixtures('forked')
def test_the_second_step_is_measured_as_any_later_one(tmp_path):
    """The bytes of a later step are those of the second: nothing piles up."""
    opt = yaml.safe_load(write_option_file(tmp_path).read_text())
    report = bench_step.run(opt, steps=1)
    again = bench_step.run(opt, steps=3)
    assert report['results']['ours']['peak_bytes'] == again['results']['ours']['peak_bytes']


@pytest.mark.usefixtures('forked')
def test_the_report_names_the_options_for_speed(tmp_path, capsys):
    path = option_file(tmp_path, train__gan_opt=VANILLA, train__amp='bf16')
    flags = ('--against', 'plain', '--amp', 'off', '--channels_last', '--force_yml', 'train:accumulate=2')
    code, output = bench(path, capsys, *flags)
    assert code == 0, output.err
    assert '2 steps; channels_last: true, accumulate: 2.' in ' '.join(output.out.split())


def test_a_compiled_model_is_compiled_before_its_steps_are_timed(tmp_path, monkeypatch):
    """FLOPs and bytes are those of the model without compile, because meters do not see compiled operators."""
    opt = yaml.safe_load(option_file(tmp_path, train__gan_opt=VANILLA).read_text())
    built, steps = [], []
    build, step = BenchModel._build, BenchModel._step

    def build_without_compile(model, options):  # compiling takes minutes
        built.append(options)
        return build(model, {**options, 'train': {**options['train'], 'compile': None}})

    monkeypatch.setattr(BenchModel, '_build', build_without_compile)
    monkeypatch.setattr(BenchModel, '_step', lambda self: steps.append(len(built)) or step(self))
    opt['train']['compile'] = True
    model = BenchModel(bench_models.own_options(opt))
    assert [options['train']['compile'] for options in built] == [None, True]
    assert steps == [1, 1] + [2] * WARM_UP
    model.timed_step()
    assert len(model.record()['cpu_s']) == 1


# ---------------------------------------------------------------- --data


def paired_option_file(folder):
    return option_file(folder, datasets__train__type='PairedFolderDataset', datasets__train__dataset_enlarge_ratio=1)


def gt_option_file(folder, **block):
    path = option_file(folder, model_type='RealESRGANZooModel', degradation='real', gt_size=64)
    opt = yaml.safe_load(path.read_text())
    write_pairs(folder / 'data', gt_size=96)
    opt['datasets'] = {
        'train': {
            'name': 'n',
            'type': 'GTFolderDataset',
            'dataroot_gt': str(folder / 'data/gt'),
            'gt_size': 64,
            'degradation': 'real',
            'batch_size_per_gpu': 2,
            'num_worker_per_gpu': 0,
            **block,
        }
    }
    del opt['val']
    path.write_text(yaml.safe_dump(opt))
    return path


@pytest.mark.parametrize(
    ('write', 'names'),
    [
        (paired_option_file, ['PairedFolderDataset', 'PairedImageDataset']),
        (gt_option_file, ['GTFolderDataset', 'RealESRGANDataset']),
    ],
)
def test_the_loading_of_both_is_measured_on_the_same_images(write, names, tmp_path, capsys):
    code, output = bench(write(tmp_path), capsys, '--data', '--json')
    assert code == 0, output.err
    report = json.loads(output.out)
    assert [result['type'] for result in report['results'].values()] == names
    assert (report['pictures'], report['turns']) == (4, 2)
    for result in report['results'].values():
        assert 0 < result['cpu_s'] < 1 < result['samples_per_s']
    ratio = report['results']['ours']['cpu_s'] / report['results']['stock']['cpu_s']
    assert report['ratios']['cpu_s']['ratio'] == pytest.approx(ratio, rel=0.5)


@pytest.mark.parametrize('write', [paired_option_file, gt_option_file])
def test_both_load_the_same_samples(write, tmp_path):
    block = yaml.safe_load(write(tmp_path).read_text())['datasets']['train']
    ours = build_dataset({**block, 'phase': 'train', 'scale': 4, 'dataset_enlarge_ratio': 1})
    stock = bench_data.stock_dataset(ours)
    assert len(stock) == len(ours) == 4
    for index in range(4):
        samples = []
        for dataset in (ours, stock):
            random.seed(3)
            np.random.seed(3)
            samples.append(dataset[index])
        one, other = samples
        assert one['gt_path'] == other['gt_path']
        assert all(torch.equal(one[key], other[key]) for key in one if isinstance(one[key], torch.Tensor))


def test_the_table_of_data_shows_the_images_and_the_crops(tmp_path, capsys):
    code, output = bench(gt_option_file(tmp_path, crop_pad_size=80), capsys, '--data')
    text = ' '.join(output.out.split())
    assert code == 0, output.err
    for words in ('a crop of 80 pixels from 4 images; 2 turns', 'CPU time', '(quartiles)'):
        assert words in text
    assert 'always crops 400 pixels' in text


@pytest.mark.parametrize(
    ('flags', 'words'),
    [
        (['--data', '--against', 'plain'], 'remove --against plain'),
        (['--data', '--force_yml', 'datasets:train:dataroot_gt=gone'], 'dataroot_gt: there is no folder gone'),
        (['--data', '--force_yml', 'datasets:tran:gt_size=32'], 'datasets.tran: training reads train'),
        (
            ['--data', '--force_yml', 'datasets:train:type=PairedImageDataset'],
            'datasets:train:type=PairedFolder',
        ),
    ],
)
def test_a_mistake_about_flags_is_one_sentence(flags, words, tmp_path, capsys):
    code, output = bench(paired_option_file(tmp_path), capsys, *flags)
    assert code == 1
    assert words in output.err
    assert len(output.err.strip().splitlines()) == 1
