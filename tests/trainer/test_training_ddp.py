"""``ganzoo train`` in two processes, as torchrun starts them, on CPUs."""

import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
import yaml
from _runs import free_port, output_of, paired, results, start, start_ranks, train, train_ranks, wait_for
from _state import differences

pytestmark = pytest.mark.slow

SGD = {'type': 'SGD', 'lr': 0.05}  # Adam would hide a gradient that is wrong by a factor
#: without batch norm, whose statistics are those of one process's half
NO_NORM = {'type': 'PatchGANDiscriminator', 'num_feat': 4, 'num_layers': 2, 'norm': 'none'}


def option_file(folder, batch=1, **changes):
    none = dict.fromkeys(('train__d_reg_opt', 'train__gan_weight_opt'))
    changes = {
        'total_iter': 6,
        'network_d': NO_NORM,
        'train__optim_g': SGD,
        'train__optim_d': SGD,
        'datasets__train__batch_size_per_gpu': batch,
        **none,
        **changes,
    }
    path = paired(folder, **changes)
    for kind in ('gt', 'lq'):  # an even number, which two processes shuffle as one does
        (folder / 'data' / kind / '6.png').unlink()
    return path


@pytest.fixture(scope='module')
def two(tmp_path_factory):
    """The option file and the results of two uninterrupted processes."""
    path = option_file(tmp_path_factory.mktemp('two'))
    codes, output = train_ranks(path)
    assert codes == [0, 0], output
    return path, results(path.parent, 6)


def test_two_processes_train_like_one_with_the_whole_batch(two, tmp_path):
    path = option_file(tmp_path, batch=2)
    code, output = train(path)
    assert code == 0, output
    expected, found = results(tmp_path, 6), two[1]
    for name in ('net_g_6.pth', 'net_d_6.pth'):
        for key, value in expected[name]['params'].items():
            torch.testing.assert_close(found[name]['params'][key], value, rtol=1e-4, atol=1e-6)


def test_they_take_total_iter_steps_and_report_the_size_of_a_step(two):
    output = output_of(two[0])
    assert 'Images in a step: 2' in output
    assert 'iter:       6' in output
    assert 'iter:       7' not in output


def test_a_warning_of_both_is_printed_by_the_first(two):
    assert output_of(two[0]).count('warning: path.pretrain_network_g: a GAN from random weights') == 1
    assert 'warning: ' not in (two[0].parent / 'output1.txt').read_text()


def test_they_resume_to_the_same_bits(two, tmp_path):
    path = option_file(tmp_path)
    assert train_ranks(path, die_after=5)[0] == [9, 9]
    codes, output = train_ranks(path, '--auto_resume')
    assert codes == [0, 0], output
    assert 'iter: 4.' in output
    assert 'not exactly' not in output
    assert differences(two[1], results(tmp_path, 6)) == []


DAMAGES = {'missing': lambda file: file.unlink(), 'half': lambda file: file.write_bytes(file.read_bytes()[:500])}


@pytest.mark.parametrize('damage', DAMAGES)
def test_a_checkpoint_without_the_part_of_one_process_is_skipped_by_all(damage, tmp_path):
    path = option_file(tmp_path, total_iter=4, logger__save_checkpoint_freq=2)
    assert train_ranks(path)[0] == [0, 0]
    states = tmp_path / 'experiments/gan_x4/training_states'
    DAMAGES[damage](states / '4.rank1')
    given = ('--force_yml', f'path:resume_state={states}/4.state', 'train:total_iter=6')
    codes, output = train_ranks(path, *given)
    assert codes == [1, 1], output
    assert f'error: {states}/4.state is damaged: ' in output
    assert (tmp_path / 'output1.txt').read_text().count('error: ') == 0
    codes, output = train_ranks(path, '--auto_resume')
    assert codes == [0, 0], output
    assert f'{states}/4.state is damaged: ' in output
    assert '4.rank1' in output
    assert 'iter: 2.' in output


def test_with_another_number_of_processes_their_parts_are_not_needed(two, tmp_path):
    path = Path(shutil.copytree(two[0].parent, tmp_path / 'copy')) / two[0].name
    (path.parent / 'experiments/gan_x4/training_states/6.rank1').unlink()
    code, output = train(path, '--auto_resume', '--force_yml', 'train:total_iter=7')
    assert code == 0, output
    assert 'iter: 6.' in output
    assert 'not exactly as without a stop: processes was 2 and is 1' in output


def test_another_number_of_processes_resumes_with_a_warning(tmp_path):
    path = option_file(tmp_path, total_iter=4)
    assert train_ranks(path)[0] == [0, 0]
    code, output = train(path, '--auto_resume', '--force_yml', 'train:total_iter=6')
    assert code == 0, output
    assert 'not exactly as without a stop: processes was 2 and is 1' in output
    assert 'iter:       6' in output
    codes, output = train_ranks(path, '--auto_resume', '--force_yml', 'train:total_iter=8')
    assert codes == [0, 0], output
    assert 'processes was 1 and is 2' in output


def test_a_signal_to_one_of_them_stops_and_saves_all(tmp_path):
    path = option_file(tmp_path, total_iter=100000, logger__save_checkpoint_freq=100000)
    processes = start_ranks(path)
    wait_for(path, 'iter:       3', processes[0])
    os.kill(processes[1].pid, signal.SIGTERM)
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [143, 143], output_of(path)
    assert output_of(path).splitlines()[-1].startswith('stopped after iteration ')
    assert 'stopped' not in (tmp_path / 'output1.txt').read_text()
    state, rank = sorted(
        (tmp_path / 'experiments/gan_x4/training_states').iterdir(), key=lambda p: p.suffix == '.rank1'
    )
    assert (state.suffix, rank.suffix, rank.stem) == ('.state', '.rank1', state.stem)
    assert 'Traceback' not in output_of(path)


def test_one_that_dies_ends_the_other_with_a_sentence(tmp_path):
    path = option_file(tmp_path, total_iter=100000)
    processes = start_ranks(path)
    wait_for(path, 'iter:       3', processes[0])
    processes[1].kill()
    processes[0].join(60)
    assert processes[0].exitcode == 1, output_of(path)
    assert 'error: another of the processes has ended' in output_of(path)
    assert 'Traceback' not in output_of(path)


def test_a_generator_with_buffers_and_without_average_validates_without_a_hang(tmp_path):
    """DistributedDataParallel would wait for the buffers of the other process, which does not validate."""
    own = tmp_path / 'own.py'
    own.write_text(
        'import torch\nfrom basicsr.utils.registry import ARCH_REGISTRY\n\n\n@ARCH_REGISTRY.register()\n'
        'class NormedNet(torch.nn.Sequential):\n'
        '    def __init__(self):\n'
        '        up = torch.nn.Upsample(scale_factor=4)\n'
        '        super().__init__(torch.nn.Conv2d(3, 3, 3, 1, 1), torch.nn.BatchNorm2d(3), up)\n'
    )
    path = option_file(tmp_path, total_iter=4)
    opt = yaml.safe_load(path.read_text())
    opt.update(imports=['own.py'], network_g={'type': 'NormedNet'})
    opt['train']['ema_decay'] = 0
    path.write_text(yaml.safe_dump(opt))
    codes, output = train_ranks(path)
    assert codes == [0, 0], output
    assert output.count('# psnr') == 2


# ---------------------------------------------------------------- launchers


@pytest.fixture
def scontrol(tmp_path, monkeypatch):
    """Slurm's command, which names the hosts of a list of nodes."""
    command = tmp_path / 'bin/scontrol'
    command.parent.mkdir()
    command.write_text('#!/bin/sh\n[ "$*" = "show hostname node[3-4]" ] && printf "127.0.0.1\\n127.0.0.2\\n"\n')
    command.chmod(0o755)
    monkeypatch.setenv('PATH', str(command.parent), prepend=os.pathsep)


def in_slurm(path, rank, port):
    """Start one of two processes as srun does."""
    places = {'SLURM_PROCID': str(rank), 'SLURM_NTASKS': '2', 'SLURM_LOCALID': str(rank)}
    flags = ('--launcher', 'slurm', '--force_yml', f'dist_params:port={port}')
    return start(path, *flags, output=f'output{rank or ""}.txt', env={**places, 'SLURM_NODELIST': 'node[3-4]'})


@pytest.mark.usefixtures('scontrol')
def test_slurm_starts_two_processes_that_train_together(two, tmp_path):
    path, port = option_file(tmp_path), free_port()
    processes = [in_slurm(path, rank, port) for rank in range(2)]
    for process in processes:
        process.join(100)
    assert [process.exitcode for process in processes] == [0, 0], output_of(path)
    assert differences(two[1], results(tmp_path, 6)) == []


@pytest.mark.parametrize(
    ('launcher', 'environment', 'expected'),
    [
        ('pytorch', {}, '--launcher pytorch requires torchrun: torchrun --nproc_per_node 2'),
        ('slurm', {}, '--launcher slurm requires srun'),
        ('slurm', {'SLURM_PROCID': '0', 'SLURM_NTASKS': '2', 'SLURM_NODELIST': 'n5'}, 'which hosts n5 are; use torchr'),
    ],
)
@pytest.mark.usefixtures('scontrol')
def test_a_missing_launcher_is_one_sentence(launcher, environment, expected, tmp_path):
    path = option_file(tmp_path)
    process = start(path, '--launcher', launcher, env=environment)
    process.join(60)
    assert process.exitcode == 1
    assert expected in output_of(path)
    assert 'Traceback' not in output_of(path)


@pytest.mark.parametrize('flag', ['--local_rank', '--local-rank'])
def test_the_flag_of_old_launchers_is_accepted_in_both_spellings(flag, tmp_path):
    code, output = train(option_file(tmp_path, total_iter=1, val=None), f'{flag}=0')
    assert code == 0, output
