"""The ``ganzoo`` command: its verbs, their output, exit codes and the time they take."""

import importlib
import inspect
import json
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from _training import run_python, write_option_file
from _zoo import GAN_LOSSES
from basicsr.utils.registry import ARCH_REGISTRY, LOSS_REGISTRY

from basicsr_ganzoo.cli import VERBS, main
from basicsr_ganzoo.config.build import build
from basicsr_ganzoo.registry import KINDS, entries

NAMES = [(kind, name) for kind in KINDS for name in entries(kind)]


OWN_KEYS = {'FeatureMatchingLoss': 'feature_matching_opt', 'LRConsistencyLoss': 'lr_consistency_opt'}


@pytest.fixture(autouse=True)
def unchanged_interpreter(monkeypatch):
    """``ganzoo run`` sets what the interpreter sets for a script."""
    monkeypatch.setattr(sys, 'path', sys.path.copy())
    monkeypatch.setattr(sys, 'argv', sys.argv.copy())


def ganzoo(capsys, *args):
    """Run ``ganzoo ARGS`` in this process. Returns the exit code, stdout and stderr."""
    with pytest.raises(SystemExit) as stopped:
        main(list(map(str, args)))
    captured = capsys.readouterr()
    return stopped.value.code or 0, captured.out, captured.err


@pytest.mark.slow
def test_help_names_every_verb_and_imports_neither_torch_nor_pydantic(tmp_path):
    code = "import sys; sys.argv = ['ganzoo', '--help']; from basicsr_ganzoo.cli import main\n"
    code += "try:\n    main()\nfinally:\n    print(*({'torch', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert len(VERBS) >= 11
    assert all(verb in done.stdout for verb in VERBS)
    assert done.stdout.splitlines()[-1] == ''


@pytest.mark.slow
def test_help_takes_less_than_a_third_of_a_second_of_cpu_time(tmp_path):
    command = Path(sys.executable).with_name('ganzoo')
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([command, '--help'], cwd=tmp_path, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) < 0.3


@pytest.mark.slow
def test_list_json_names_everything_with_its_cost(capsys):
    code, out, _ = ganzoo(capsys, 'list', '--json')
    infos = json.loads(out)
    assert code == 0
    assert [(info['kind'], info['name']) for info in infos] == NAMES
    assert all(info['summary'] for info in infos)
    for info in infos:
        if info['kind'] == 'archs':
            assert info['paper'].startswith('arXiv:')
            assert info['parameters'] > 0
            assert info['gflops'] > 0
            assert info['output']
    unet = next(info for info in infos if info['name'] == 'UNetSNDiscriminator')
    assert (unet['parameters'], unet['output'], unet['receptive_field']) == (4376897, [[1, 256, 256]], 64)


@pytest.mark.slow
def test_list_cuts_no_name_short_where_a_terminal_has_no_room_for_it(monkeypatch, capsys):
    code, out, _ = ganzoo(capsys, 'list')
    assert code == 0
    assert [name for _, name in NAMES if name not in out] == []
    monkeypatch.setenv('COLUMNS', '50')
    code, out, _ = ganzoo(capsys, 'list', 'archs')
    assert code == 0
    assert '\N{HORIZONTAL ELLIPSIS}' not in out


def test_list_of_one_kind_shows_no_other(capsys):
    code, out, _ = ganzoo(capsys, 'list', 'losses', '--json')
    assert code == 0
    assert {info['kind'] for info in json.loads(out)} == {'losses'}


@pytest.mark.slow
@pytest.mark.parametrize(('kind', 'name'), NAMES)
def test_show_prints_a_block_that_builds(kind, name, capsys):
    code, out, _ = ganzoo(capsys, 'show', name)
    assert code == 0
    block = yaml.safe_load(out.split('In an option file:\n')[1].split('\nWith its defaults')[0].split('\nFLOPs of')[0])
    if kind == 'models':
        assert block == {'model_type': name}
    elif kind == 'data':  # built, with pictures, in test_data.py
        assert [block['type'] for block in block['datasets'].values()] == [name]
    elif kind == 'metrics':
        (metric,) = block['val']['metrics'].values()
        assert (metric['type'], metric['better']) == (name, 'lower')
    elif kind == 'archs':
        assert type(build(ARCH_REGISTRY, block['network_d'], 'network_d')).__name__ == name
        assert 'GFLOPs' in out
    elif kind == 'regularizers':
        ((_, regularizer),) = block['train']['d_reg_opt'].items()
        assert type(build(LOSS_REGISTRY, regularizer, 'train.d_reg_opt')).__name__ == name
        assert re.search(r"FLOPs of the discriminator's part of a step, .*: \d\.\d\dx", out)
    elif kind == 'views':
        (view,) = block['train']['views']
        assert type(build(ARCH_REGISTRY, view, 'train.views')).__name__ == name
    else:
        (key,) = block['train']
        assert key == OWN_KEYS.get(name, {'losses': 'gan_opt', 'gan_weights': 'gan_weight_opt'}.get(kind))
        assert build(LOSS_REGISTRY, block['train'][key], f'train.{key}') is not None


@pytest.mark.parametrize('name', GAN_LOSSES)
def test_show_explains_every_argument_of_a_loss(name, capsys):
    _, out, _ = ganzoo(capsys, 'show', name)
    for argument in inspect.signature(GAN_LOSSES[name]).parameters:
        assert f'\n    {argument}: ' in out.split('In an option file:')[0]


def test_show_counts_the_cost_at_the_size_that_is_asked_for(capsys):
    _, small, _ = ganzoo(capsys, 'show', 'PatchGANDiscriminator', '--size', '64')
    _, wide, _ = ganzoo(capsys, 'show', 'PatchGANDiscriminator', '--size', '64x128')
    assert '1x6x6' in small
    assert '1x6x14' in wide


@pytest.mark.parametrize(
    ('args', 'expected'),
    [
        (('show', 'UNetDiscriminatorSN'), 'did you mean UNetSNDiscriminator'),
        (('show', 'PatchGANDiscriminator', '--size', '8'), 'needs H and W >= 24, got 8x8'),
        (('run', 'nowhere.py'), 'nowhere.py'),
        (('run', '-m', 'nowhere'), 'no module nowhere'),
        (('run',), 'ganzoo run SCRIPT.py'),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_1(args, expected, capsys):
    code, _, err = ganzoo(capsys, *args)
    assert code == 1
    assert expected in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize('args', [('lst',), ('list', 'arch'), ('show',), ('train',), ('show', 'X', '--size', 'big')])
def test_a_wrong_command_line_exits_with_2_and_says_how_it_is_used(args, capsys):
    code, _, err = ganzoo(capsys, *args)
    assert code == 2
    assert err.startswith('usage: ')


@pytest.mark.parametrize('size', ['0', '-5', '64x0', 'x64', '1e3', '64x64x3'])
def test_a_size_that_is_none_is_named_with_what_it_should_look_like(size, capsys):
    code, _, err = ganzoo(capsys, 'show', 'UNetSNDiscriminator', f'--size={size}')
    assert code == 2
    assert err.splitlines()[-1].endswith(f"needs to be N or HxW in pixels, such as 256 or 256x128, got '{size}'")


@pytest.mark.slow
@pytest.mark.parametrize(
    ('module', 'args', 'package'),
    [
        ('torch', ('list',), 'torch'),
        ('yaml', ('check', '-opt', 'gan_x4'), 'pyyaml'),
        ('rich', ('upscale', '-m', 'a', '-i', 'b', '-o', 'c'), 'rich'),
        ('cv2', ('run', 'script.py'), 'opencv-python'),
    ],
)
def test_a_package_that_a_verb_misses_is_one_sentence_with_the_command_that_installs_it(
    module, args, package, tmp_path
):
    (tmp_path / 'script.py').write_text(f'import {module}\n')
    code = f"""
import sys
class Missing:
    def find_spec(name, path=None, target=None):
        if name == {module!r}:
            raise ModuleNotFoundError('No module named ' + name, name=name)
sys.meta_path.insert(0, Missing)
sys.argv = ['ganzoo', *{args!r}]
from basicsr_ganzoo.cli import main
main()
"""
    done = run_python('-c', code, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith('error: ')
    assert done.stderr.endswith(f'pip install {package}\n')
    assert len(done.stderr.splitlines()) == 1


def test_a_module_that_only_a_script_of_the_user_misses_keeps_its_traceback(tmp_path):
    (tmp_path / 'script.py').write_text('import nowhere_to_be_found\n')
    with pytest.raises(ModuleNotFoundError, match='nowhere_to_be_found'):
        main(['run', str(tmp_path / 'script.py')])


@pytest.mark.slow
@pytest.mark.skipif(not Path('/dev/full').exists(), reason='needs a device that is always full')
@pytest.mark.parametrize('args', [('list', 'losses'), ('options',)])
def test_a_full_disk_is_one_sentence(args, tmp_path):
    with open('/dev/full', 'w') as full:
        command = [sys.executable, '-m', 'basicsr_ganzoo', *args]
        done = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr == 'error: cannot write: No space left on device; make room\n'


@pytest.mark.slow
@pytest.mark.parametrize('args', [('list', 'losses'), ('options',)])
def test_a_reader_that_goes_away_leaves_no_traceback(args, tmp_path):
    command = [sys.executable, '-m', 'basicsr_ganzoo', *args]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    assert process.stderr.read() == ''
    assert process.wait() == 1


@pytest.mark.slow
def test_run_gives_basicsr_own_train_script_the_zoo(tmp_path):
    script = tmp_path / 'clone' / 'basicsr' / 'train.py'
    script.parent.mkdir(parents=True)
    script.write_text(Path(importlib.import_module('basicsr.train').__file__).read_text())
    option_file = write_option_file(tmp_path, num_gpu=0, total_iter=2)
    done = run_python('-m', 'basicsr_ganzoo', 'run', script, '-opt', option_file, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert 'Model [GANZooModel] is created.' in done.stderr
    assert (tmp_path / 'clone/experiments/gan_x4/models/net_g_2.pth').is_file()


@pytest.mark.slow
def test_run_gives_a_module_its_arguments_and_the_zoo(tmp_path):
    (tmp_path / 'own_script.py').write_text(
        'import sys\n'
        'from basicsr.utils.registry import ARCH_REGISTRY\n'
        "print(__name__, sys.argv[1:], 'UNetSNDiscriminator' in ARCH_REGISTRY)\n"
    )
    done = run_python('-m', 'basicsr_ganzoo', 'run', '-m', 'own_script', '-opt', 'x', cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "__main__ ['-opt', 'x'] True"


def test_run_takes_the_two_dashes_that_end_options(tmp_path, capsys):
    (tmp_path / 'own_script.py').write_text('import sys\nprint(sys.argv[1:])\n')
    code, out, _ = ganzoo(capsys, 'run', '--', tmp_path / 'own_script.py', '--', 'x')
    assert (code, out.splitlines()[-1]) == (0, "['--', 'x']")


def test_a_loss_that_a_model_of_basicsr_cannot_use_is_one_sentence_in_its_own_train_script(
    tmp_path, monkeypatch, capsys
):
    option_file = write_option_file(tmp_path, num_gpu=0, total_iter=2, model_type='ESRGANModel')
    monkeypatch.chdir(tmp_path)
    script = tmp_path / 'basicsr' / 'train.py'  # BasicSR writes beside the folder of its script
    script.parent.mkdir()
    script.write_text(Path(importlib.import_module('basicsr.train').__file__).read_text())
    code, _, err = ganzoo(capsys, 'run', script, '-opt', option_file)
    assert code == 1
    assert 'Traceback' not in err
    assert 'use model_type: GANZooModel' in err.splitlines()[-1]


@pytest.mark.slow
def test_run_under_torchrun_reaches_every_process(tmp_path):
    script = tmp_path / 'own_script.py'
    script.write_text(
        'import os\n'
        'from pathlib import Path\n'
        'from basicsr.utils.registry import LOSS_REGISTRY\n'
        "Path('rank' + os.environ['RANK']).write_text(str('RpGANLoss' in LOSS_REGISTRY))\n"
    )
    torchrun = ('-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', 2)
    done = run_python(*torchrun, '-m', 'basicsr_ganzoo', 'run', script, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [(tmp_path / f'rank{rank}').read_text() for rank in range(2)] == ['True', 'True']


def test_a_script_that_exits_gives_its_exit_code_on(tmp_path, capsys):
    (tmp_path / 'own_script.py').write_text('raise SystemExit(3)\n')
    assert ganzoo(capsys, 'run', tmp_path / 'own_script.py')[0] == 3
