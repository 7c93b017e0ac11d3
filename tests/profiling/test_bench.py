"""``ganzoo bench``: what it builds, what its meters count, and its report."""

import json

import _apart
import pytest
import torch
import yaml
from _training import write_option_file, write_pairs
from basicsr.data import build_dataset
from torch import nn
from torch._dynamo import register_backend

from basicsr_ganzoo.cli import main
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.profiling import bench_data, bench_models, bench_step, subprocess
from basicsr_ganzoo.profiling.meters import LiveBytes

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


def bench(path, capsys, *flags):
    with pytest.raises(SystemExit) as stopped:
        main(['bench', '-opt', str(path), '--steps', '2', *flags])
    return stopped.value.code, capsys.readouterr()


@pytest.mark.parametrize(
    ('model_type', 'gan_opt', 'stock'),
    [
        ('GANZooModel', RAGAN, 'ESRGANModel'),
        ('GANZooModel', VANILLA, 'SRGANModel'),
        ('RealESRGANZooModel', VANILLA, 'RealESRGANModel'),
    ],
)
def test_ours_and_basicsrs_model_come_from_the_same_file_and_have_the_same_losses(
    model_type, gan_opt, stock, tmp_path, capsys
):
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
    assert [r['model'] for r in report['results'].values()] == [model_type, stock]
    assert report['loss_difference'] < 1e-5
    assert report['random_vgg'] is True
    assert report['ratios']['flops']['ratio'] < 1
    for result in report['results'].values():
        assert min(result[key] for key in bench_step.MEASURES) > 0


def test_the_table_names_sizes_the_random_network_and_what_basicsr_leaves_out(tmp_path, capsys):
    path = option_file(tmp_path, train__gan_opt=VANILLA, train__d_reg_opt={'r1': {'type': 'R1Regularizer'}})
    code, output = bench(path, capsys, '--against', 'stock')
    text = ' '.join(output.out.split())
    assert code == 0, output.err
    assert 'batch 2 of 32x32 pixels, 2 steps' in text
    for told in ('random weights', 'leaves out train.d_reg_opt', 'peak bytes', 'ratio', '(quartiles)', 'SRGANModel'):
        assert told in text


def test_it_needs_neither_pictures_nor_pretrained_weights_and_no_rival(tmp_path, capsys):
    path = option_file(tmp_path, path__pretrain_network_g='gone.pth', datasets__train__dataroot_gt='gone')
    code, output = bench(path, capsys)
    assert code == 0, output.err
    assert 'ratio' not in output.out


@pytest.mark.parametrize(
    ('changes', 'flags', 'told'),
    [
        ({'train__gan_opt': {'type': 'RpGANLoss'}}, ['--against', 'stock'], 'BasicSR has no RpGANLoss with pairing'),
        ({}, ['--steps', '0'], '--steps to be a whole number from 1, got 0'),
        ({'train__gan_opt': {'type': 'NoLoss'}}, [], "nothing is registered as 'NoLoss'"),
        ({'model_type': 'SRGANModel', 'train__gan_opt': {'type': 'LSGANLoss'}}, [], 'is no model of basicsr_ganzoo'),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_1(changes, flags, told, tmp_path, capsys):
    code, output = bench(option_file(tmp_path, **changes), capsys, *flags)
    assert code == 1
    assert told in output.err
    assert len(output.err.strip().splitlines()) == 1


def test_several_adversaries_have_no_counterpart():
    opt = {'model_type': 'GANZooModel', 'num_gpu': 0, 'train': {}, 'adversaries': {'a': {'network_d': {}}}}
    with pytest.raises(OptionError, match='no model with several adversaries'):
        bench_models.stock_options(opt)


def test_a_contestant_whose_process_ends_is_one_sentence(tmp_path, monkeypatch):
    """As one that the system kills because it has no memory left."""
    monkeypatch.setattr(subprocess.Apart, 'take_timed_step', lambda self: (self.end(), self._receive()))
    opt = yaml.safe_load(write_option_file(tmp_path).read_text())
    with pytest.raises(OptionError, match='the process of ours has ended with code -15; if the memory was too small'):
        bench_step.run(opt, steps=1)


@pytest.mark.parametrize(
    ('error', 'told'),
    {
        'MemoryError': r'ours: the memory is too small; take a smaller batch: .* \(no more bytes\)',
        'RuntimeError': 'the process of ours has ended with code 1; the reason is above',
    }.items(),
)
def test_an_error_in_a_contestant_is_one_sentence(error, told, tmp_path):
    (tmp_path / 'zoo.py').write_text(OWN_DISCRIMINATOR + FAILS.format(error))
    path = write_option_file(tmp_path, network_d={'type': 'FlatDiscriminator'}, train__gan_opt=VANILLA)
    opt = yaml.safe_load(path.read_text()) | {'imports': ['zoo.py']}
    with pytest.raises(OptionError, match=told):
        bench_step.run(opt, steps=1, folder=tmp_path)


def test_a_contestant_knows_what_the_option_file_imports(tmp_path, capsys):
    (tmp_path / 'zoo.py').write_text(OWN_DISCRIMINATOR)
    path = option_file(tmp_path, imports=['zoo.py'], network_d={'type': 'FlatDiscriminator'})
    code, output = bench(path, capsys)
    assert code == 0, output.err


def test_live_bytes_counts_each_storage_once_until_it_is_freed():
    with LiveBytes() as live:
        kept = torch.zeros(1000)
        shown = kept[::2].view(5, 100).t()
        assert live.now == 4000
        more = kept + 1
        assert live.now == 8000
        del more, shown
        assert live.now == 4000
    del kept
    assert (live.now, live.peak) == (0, 8000)


def test_live_bytes_sees_what_autograd_keeps():
    net = nn.Sequential(*[nn.Linear(100, 100, bias=False) for _ in range(4)])
    with LiveBytes() as live:
        out = net(torch.zeros(10, 100))
        assert live.now == 5 * 4000
        out.sum().backward()
        del out
        assert live.now == 4 * 40000


def test_the_second_step_is_measured_as_any_later_one(tmp_path):
    """The bytes of a later step are those of the second: nothing piles up."""
    opt = yaml.safe_load(write_option_file(tmp_path).read_text())
    report = bench_step.run(opt, steps=1)
    again = bench_step.run(opt, steps=3)
    assert report['results']['ours']['peak_bytes'] == again['results']['ours']['peak_bytes']


def test_flags_stand_for_keys_of_train_and_the_report_names_them(tmp_path, capsys):
    path = option_file(tmp_path, train__gan_opt=VANILLA, train__amp='bf16')
    code, output = bench(path, capsys, '--channels_last', '--amp', 'off', '--force_yml', 'train:accumulate=2')
    assert code == 0, output.err
    assert 'with train.channels_last: True, accumulate: 2;' in ' '.join(output.out.split())


@_apart.apart
def test_compiling_is_not_timed_and_where_it_fails_the_report_says_so(tmp_path):
    opt = yaml.safe_load(option_file(tmp_path, train__gan_opt=VANILLA).read_text())
    opt['train']['compile'] = {'backend': 'ganzoo_timed'}
    graphs = []
    register_backend(lambda graph, inputs: graphs.append(graph) or graph.forward, name='ganzoo_timed')
    with subprocess.silence():
        contestant, failing = (subprocess._enter('ours', bench_models.own_options(opt), (), '.') for _ in range(2))
        assert graphs == []
        contestant.settle()
        compiled = len(graphs)
        contestant.take_timed_step()
        assert len(graphs) == compiled > 0
        torch.compile = None
        failing.settle()
    assert subprocess._record(contestant)['compile_failed'] is None
    assert 'a compiled step failed, training continues eagerly' in subprocess._record(failing)['compile_failed']


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
    ('write', 'workers', 'names'),
    [
        (paired_option_file, 0, ['PairedFolderDataset', 'PairedImageDataset']),
        (gt_option_file, 2, ['GTFolderDataset', 'RealESRGANDataset']),
    ],
)
def test_the_loading_of_both_is_measured_on_the_same_pictures(write, workers, names, tmp_path, capsys):
    path = write(tmp_path)
    code, output = bench(path, capsys, '--data', '--workers', str(workers), '--json')
    assert code == 0, output.err
    report = json.loads(output.out)
    assert [result['data_set'] for result in report['results'].values()] == names
    assert (report['pictures'], report['workers'], report['turns']) == (4, workers, 2)
    for result in report['results'].values():
        assert 0 < result['cpu_s'] < 1 < result['samples_per_s_and_worker']
        assert result['samples_per_s'] == result['samples_per_s_and_worker'] * max(workers, 1)
    ratio = report['results']['ours']['cpu_s'] / report['results']['stock']['cpu_s']
    assert report['ratios']['cpu_s']['ratio'] == pytest.approx(ratio, rel=0.5)


@pytest.mark.parametrize('write', [paired_option_file, gt_option_file])
def test_what_is_loaded_by_both_is_the_same(write, tmp_path):
    block = yaml.safe_load(write(tmp_path).read_text())['datasets']['train']
    with subprocess.silence():
        ours = build_dataset({**block, 'phase': 'train', 'scale': 4, 'dataset_enlarge_ratio': 1})
        stock = bench_data.stock_dataset(ours)
    assert len(stock) == len(ours) == 4
    for index in range(4):
        one, other = (bench_data._Timed(dataset)[index, 3] for dataset in (ours, stock))
        assert one['gt_path'] == other['gt_path']
        assert all(torch.equal(one[key], other[key]) for key in one if isinstance(one[key], torch.Tensor))


def test_the_table_of_data_says_what_was_loaded_and_which_crops_basicsr_makes(tmp_path, capsys):
    code, output = bench(gt_option_file(tmp_path, crop_pad_size=80), capsys, '--data')
    text = ' '.join(output.out.split())
    assert code == 0, output.err
    for told in ('4 pictures, crops of 80 pixels', 'this process in 2 turns', 'CPU time of a sample', '(quartiles)'):
        assert told in text
    assert 'cuts crops of 400 pixels all the same' in text


@pytest.mark.parametrize(
    ('flags', 'told'),
    [
        (['--workers', '1'], '--workers belongs to --data'),
        (['--data', '--workers', '-1'], '--workers to be a whole number from 0, got -1'),
        (['--data', '--against', 'plain'], 'leave --against plain, --amp'),
        (['--data', '--amp', 'bf16'], 'leave --against plain, --amp'),
        (['--data', '--force_yml', 'datasets:train:dataroot_gt=gone'], 'dataroot_gt: there is no folder gone'),
        (['--data', '--force_yml', 'datasets:tran:gt_size=32'], 'datasets.tran: training knows train'),
        (
            ['--data', '--force_yml', 'datasets:train:type=PairedImageDataset'],
            'datasets:train:type=PairedFolder',
        ),
    ],
)
def test_a_mistake_about_flags_is_one_sentence(flags, told, tmp_path, capsys):
    code, output = bench(paired_option_file(tmp_path), capsys, *flags)
    assert code == 1
    assert told in output.err
    assert len(output.err.strip().splitlines()) == 1
