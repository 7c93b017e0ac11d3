"""The progress of a training on a terminal; files receive the log alone."""

import io
import os
import pty
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
from _training import write_option_file
from rich.console import Console

from basicsr_ganzoo.trainer.console import TerminalBar, key_metrics, rate_texts

LOG = {'l_g_pix': 0.01234, 'acc_d_real': 0.98, 'acc_d_fake': 0.951, 'rho': 0.3217, 'l_d_real': 0.5}
WARNING = 'discriminator overfits (texture)'


def shown(bar, width):
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(bar)
    return console.file.getvalue().splitlines()


def started(total=400000):
    bar = TerminalBar()
    bar.on_start({'train': {'total_iter': total}}, 0)
    return bar


def bar_after(iteration=12345, verdict='healthy', log=LOG, seconds=0.437, data_seconds=0.05):
    bar = started()
    bar.on_log(iteration, log)
    bar.on_step(iteration, SimpleNamespace(health=SimpleNamespace(status=verdict)), seconds, data_seconds)
    bar.on_validation(iteration, 'Set5', {'psnr': 24.512})
    return bar


def test_80_columns_show_everything():
    progress, health = shown(bar_after(), 80)
    assert progress.startswith('12,345/400,000 ')
    assert progress.endswith(' 2.3 it/s, 11% waiting for data, ETA 47:03:25')
    assert health == 'healthy | D real 98% fake 95% | rho 0.32 | psnr 24.51 | l_g_pix 0.0123'


def test_60_columns_leave_out_the_least_important():
    progress, health = shown(bar_after(), 60)
    assert progress.endswith(' 2.3 it/s, 11% waiting, ETA 47:03:25')
    assert health == 'healthy | D real 98% fake 95% | rho 0.32 | psnr 24.51'


MANY = {**LOG, **{f'acc_d_{kind}_{name}': 0.5 for kind in ('real', 'fake') for name in ('unet', 'texture', 'edges')}}
BARS = {
    'at the start': lambda: started(),
    'before the first log': lambda: bar_after(1, log={}, verdict=''),
    'usual': bar_after,
    'a warning': lambda: bar_after(verdict=WARNING),
    'three discriminators': lambda: bar_after(log=MANY, verdict=WARNING),
    'very slow and long': lambda: bar_after(seconds=1234.5, data_seconds=1234),
    'at the end': lambda: bar_after(400000),
    'no iterations': lambda: started(0),
}


@pytest.mark.parametrize('width', [120, 80, 60, 40, 20])
@pytest.mark.parametrize('name', BARS)
def test_two_lines_are_never_wider_than_the_terminal(name, width):
    lines = shown(BARS[name](), width)
    assert len(lines) == 2
    assert max(map(len, lines)) <= width


def test_a_warning_replaces_healthy_and_is_never_left_out():
    assert shown(bar_after(verdict=WARNING), 60)[1].startswith(f'{WARNING} | D real 98%')
    assert shown(bar_after(verdict=WARNING), 32)[1] == WARNING


@pytest.mark.parametrize(
    ('log', 'metrics', 'expected'),
    [
        ({}, {}, []),
        ({'l_g_percep': 1.5, 'l_g_pix': 0.25}, {}, ['l_g_pix 0.25']),
        ({'l_g_percep': 1.5}, {'lpips': 0.1234, 'psnr': 20}, ['lpips 0.1234', 'l_g_percep 1.5']),
        ({'l_d_real': 0.5, 'l_d_fake': 0.25}, {}, ['l_d_real 0.5', 'l_d_fake 0.25']),  # a model of BasicSR
        (
            {'acc_d_real_unet': 1.0, 'acc_d_fake_unet': 0.5, 'rho': 2e-4},
            {},
            ['D unet real 100% fake 50%', 'rho 0.0002'],
        ),
    ],
)
def test_the_key_metrics_come_from_the_log_and_the_last_validation(log, metrics, expected):
    assert key_metrics(log, metrics) == expected


def test_before_the_first_step_there_is_no_rate():
    assert rate_texts(0, 0, 0) == ['']
    assert rate_texts(2.0, 1.0, 60)[0] == '2.0 s/it, 50% waiting for data, ETA 0:01:00'


def run_on_terminal(path, columns):
    """Train with a terminal of this width as stderr and a file as stdout. Returns the output of each."""
    terminal, child = pty.openpty()
    environment = {**os.environ, 'COLUMNS': str(columns), 'LINES': '24', 'TERM': 'xterm'}
    command = [sys.executable, '-m', 'basicsr_ganzoo', 'train', '-opt', str(path)]
    with (path.parent / 'stdout.txt').open('w') as stdout:
        process = subprocess.Popen(command, stdout=stdout, stderr=child, cwd=path.parent, env=environment)
    os.close(child)
    read = b''
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # on Linux: the other end is closed
            break
        if not part:
            break
        read += part
    os.close(terminal)
    assert process.wait(60) == 0, read.decode()
    return read.decode(), (path.parent / 'stdout.txt').read_text()


@pytest.mark.slow
def test_a_training_shows_two_lines_on_a_terminal_and_files_get_neither(tmp_path):
    terminal, stdout = run_on_terminal(write_option_file(tmp_path, total_iter=4), 80)
    plain = re.sub(r'\x1b\[[0-9;?]*[A-Za-z]', '', terminal)
    last = [line for line in re.split(r'[\r\n]+', plain) if line.startswith('4/4 ')][-1]
    assert re.search(r'^4/4 \S+ +\d+\.\d (it/s|s/it), \d+% waiting for data, ETA 0:00:00', last)
    assert re.search(r'D real \d+% fake \d+% \| rho \S+ \| l_g_pix \S+', plain)
    assert 'iter:       4' in plain
    (log,) = (tmp_path / 'experiments/gan_x4').glob('train_gan_x4_*.log')
    for file in (log.read_text(), stdout):
        assert '\x1b' not in file
        assert 'waiting for data, ETA' not in file
        assert '4/4' not in file
    assert 'iter:       4' in log.read_text()
