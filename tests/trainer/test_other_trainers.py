"""Shipped option files in other training scripts: the pipelines of BasicSR, as it is installed, and of Real-ESRGAN."""

import importlib
import multiprocessing
import os
import sys
import traceback
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import yaml
from _training import OPTIONS, run_python, write_narrowed, write_option_file

pytestmark = pytest.mark.nightly

FILES = sorted(OPTIONS.rglob('*.yml'))
REAL = [path for path in FILES if yaml.safe_load(path.read_text())['model_type'].startswith('RealESR')]
needs_realesrgan = pytest.mark.skipif(
    find_spec('realesrgan') is None, reason='realesrgan is not installed: pip install --no-deps realesrgan'
)


def test_there_are_option_files_for_both():
    assert len(FILES) > len(REAL) > 0


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_basicsrs_pipeline_trains_with_every_shipped_file(path, tmp_path, narrow_vgg19):
    assert_two_iterations('basicsr.train', write_narrowed(path, tmp_path))


@needs_realesrgan
@pytest.mark.parametrize('path', REAL, ids=lambda path: path.stem)
def test_realesrgans_pipeline_trains_with_every_file_for_its_models(path, tmp_path, narrow_vgg19):
    assert_two_iterations('realesrgan.train', write_narrowed(path, tmp_path))


@needs_realesrgan
def test_ganzoo_run_takes_realesrgans_script_and_a_file_of_its_own_folder(tmp_path):
    script = tmp_path / 'clone/realesrgan/train.py'
    script.parent.mkdir(parents=True)
    script.write_text((Path(find_spec('realesrgan').origin).parent / 'train.py').read_text())
    path = write_narrowed(OPTIONS / 'train/RealESRGAN/realesrnet_x4plus.yml', tmp_path)  # it needs no VGG19
    done = run_python('-m', 'basicsr_ganzoo', 'run', script, '-opt', path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert_saved(tmp_path / 'clone/experiments/realesrnet_x4plus', ['g'])


def test_auto_is_one_sentence_in_basicsrs_script(tmp_path):
    changes = {'type': 'PairedFolderDataset', 'dataset_enlarge_ratio': 'auto'}
    path = write_option_file(
        tmp_path, num_gpu=0, **{f'datasets__train__{key}': value for key, value in changes.items()}
    )
    done = run_python('-m', 'basicsr_ganzoo', 'run', '-m', 'basicsr.train', '-opt', path, cwd=tmp_path)
    assert done.returncode == 1
    assert 'Traceback' not in done.stderr
    assert 'remove the key, which has the same effect' in done.stderr.splitlines()[-1]


def assert_two_iterations(module, path):
    """``train_pipeline`` of ``module`` takes an option file to its end, with two iterations, and validates."""
    opt = yaml.safe_load(path.read_text())
    code, output = train_elsewhere(module, path)
    assert code == 0, output
    assert 'End of training.' in output
    measured = [block['name'] for key, block in opt['datasets'].items() if key != 'train' and 'metrics' in opt['val']]
    assert [name for name in measured if f'Validation {name}\n' not in output] == []
    adversaries = [f'd_{name}' for name in opt.get('adversaries', {})] or ['d'] * ('network_d' in opt)
    assert_saved(path.parent / 'experiments' / opt['name'], ['g', *adversaries])


def train_elsewhere(module, path):
    """Call ``train_pipeline`` of ``module`` in a process of its own, below the folder of an option file.

    Returns the exit code and what it has printed.
    """
    importlib.import_module('torch.utils.tensorboard')  # here once, which takes seconds, and not in each process
    output = path.parent / 'output.txt'
    process = multiprocessing.get_context('fork').Process(target=_train_pipeline, args=(module, path, output))
    process.start()
    process.join(200)
    return process.exitcode, output.read_text()


def _train_pipeline(module, path, output):
    os.chdir(path.parent)
    with output.open('w', buffering=1) as stream:
        sys.stdout = sys.stderr = stream
        sys.argv = ['train.py', '-opt', str(path)]
        try:
            importlib.import_module(module).train_pipeline(str(path.parent))
        except BaseException:
            traceback.print_exc()
            raise


def assert_saved(home, names):
    """Both iterations are saved; the second has changed every network, and its weights are finite."""
    expected = {f'net_{name}_{when}.pth' for name in names for when in (1, 2, 'latest')}
    assert {path.name for path in (home / 'models').iterdir()} == expected
    for name in names:
        first, second = (torch.load(home / f'models/net_{name}_{i}.pth', weights_only=True)['params'] for i in (1, 2))
        assert all(tensor.isfinite().all() for tensor in second.values())
        assert any(not torch.equal(first[key], second[key]) for key in first), name
    assert torch.load(home / 'training_states/2.state', weights_only=True)['iter'] == 2
