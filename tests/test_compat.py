"""BasicSR on a torchvision without ``functional_tensor``, errors about broken installations, the command's start."""

import importlib
import importlib.machinery
import multiprocessing
import os
import sys
from pathlib import Path

import pytest
from _training import run_python
from torchvision.transforms import functional

from basicsr_ganzoo import compat
from basicsr_ganzoo.compat import FUNCTIONAL_TENSOR
from basicsr_ganzoo.errors import DependencyError

ROOT = Path(__file__).parents[1]
COUNT_FINDERS = "sum(type(finder).__name__ == '_FunctionalTensorFinder' for finder in sys.meta_path)"


# ------------------------------------------------------------------ torchvision.transforms.functional_tensor


def test_installing_again_adds_no_second_finder_and_the_finder_stands_last():
    before = list(sys.meta_path)
    compat.install()
    assert sys.meta_path == before
    assert sum(isinstance(finder, compat._FunctionalTensorFinder) for finder in sys.meta_path) == 1


def test_finder_supplies_the_dropped_module_and_nothing_else():
    finder = compat._FunctionalTensorFinder()
    for name in ('torchvision.transforms', 'torchvision.transforms.functional', 'functional_tensor', 'basicsr'):
        assert finder.find_spec(name) is None
    module = importlib.util.module_from_spec(finder.find_spec(FUNCTIONAL_TENSOR))
    finder.exec_module(module)
    assert module.rgb_to_grayscale is functional.rgb_to_grayscale


@pytest.mark.slow
def test_import_of_basicsr_works_where_torchvision_dropped_the_module(fresh_python):
    code = f"""
import importlib.machinery, sys, torchvision.transforms
search = importlib.machinery.PathFinder.find_spec
# On an old torchvision the module is there; make it missing.
importlib.machinery.PathFinder.find_spec = lambda name, *args: (
    None if name == {FUNCTIONAL_TENSOR!r} else search(name, *args)
)
try:
    import {FUNCTIONAL_TENSOR}
except ModuleNotFoundError:
    print('really missing')
from basicsr_ganzoo import compat
importlib.reload(compat).install()
print('finders', {COUNT_FINDERS})
import basicsr
from basicsr.data import degradations
from torchvision.transforms import functional
print('same function', degradations.rgb_to_grayscale is functional.rgb_to_grayscale)
"""
    done = fresh_python(code)
    assert done.stdout.splitlines() == ['really missing', 'finders 1', 'same function True'], done.stderr


@pytest.mark.slow
def test_finder_is_not_asked_where_torchvision_has_the_module(fresh_python, tmp_path):
    (tmp_path / 'functional_tensor.py').write_text('def rgb_to_grayscale(image): return "of torchvision"\n')
    code = f"""
import sys, torchvision.transforms
torchvision.transforms.__path__.append({str(tmp_path)!r})
import basicsr_ganzoo
from {FUNCTIONAL_TENSOR} import rgb_to_grayscale
print(rgb_to_grayscale(None), sys.modules[{FUNCTIONAL_TENSOR!r}].__file__)
"""
    done = fresh_python(code)
    assert done.stdout.split('\n')[0] == f'of torchvision {tmp_path / "functional_tensor.py"}', done.stderr


# ------------------------------------------------------------------ missing or broken packages


@pytest.fixture
def basicsr_raises(monkeypatch):
    """Call with an error to let ``import basicsr`` raise it."""

    class Finder(importlib.machinery.PathFinder):
        error = None

        @classmethod
        def find_spec(cls, name, path=None, target=None):
            if name == 'basicsr':
                raise cls.error

    def let_raise(error):
        Finder.error = error
        monkeypatch.delitem(sys.modules, 'basicsr')
        monkeypatch.setattr(sys, 'meta_path', [Finder, *sys.meta_path])

    return let_raise


def no_module(name):
    return ModuleNotFoundError(f'No module named {name!r}', name=name)


@pytest.mark.parametrize(
    'error',
    [
        RuntimeError('operator torchvision::nms does not exist'),
        RuntimeError("Couldn't load custom C++ ops: torchvision::nms"),
        OSError('/x/torchvision/_C.so: undefined symbol: _ZN3c106detail14torchCheckFailEPKcS2_jRKSs'),
        ImportError('/x/torchvision/_C.so: undefined symbol: _ZN5torch8autograd'),
    ],
    ids=str,
)
def test_torchvision_of_another_build_is_named_with_the_command_that_mends_it(error, basicsr_raises):
    basicsr_raises(error)
    with pytest.raises(DependencyError, match='pip install --force-reinstall torch torchvision') as caught:
        compat.import_basicsr()
    assert str(error) in str(caught.value)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    'error',
    [
        RuntimeError('CUDA error: out of memory'),
        ImportError("cannot import name 'trapz' from 'numpy'"),
        OSError('/x/libcudart.so.13: cannot open shared object file: No such file or directory'),
        ImportError('libcudnn.so.9: cannot open shared object file: No such file or directory'),
        ImportError('/x/cv2.so: undefined symbol: png_set_longjmp_fn'),
        ValueError('numpy.dtype size changed'),
    ],
    ids=str,
)
def test_other_errors_at_the_import_of_basicsr_pass_through_unchanged(error, basicsr_raises):
    basicsr_raises(error)
    with pytest.raises(type(error)) as caught:
        compat.import_basicsr()
    assert caught.value is error


@pytest.mark.parametrize(
    ('version', 'command'),
    [
        ((3, 12, 1), 'pip install "basicsr>=1.4.2"'),
        ((3, 13, 0), 'pip install my-basicsr==1.4.2 '),
        ((3, 14, 0), 'pip install my-basicsr==1.4.2 '),
    ],
)
def test_missing_basicsr_is_named_with_the_command_that_mends_it(version, command, basicsr_raises, monkeypatch):
    basicsr_raises(no_module('basicsr'))
    monkeypatch.setattr(sys, 'version_info', version)
    with pytest.raises(DependencyError, match='BasicSR is not installed') as caught:
        compat.import_basicsr()
    assert command in str(caught.value)


@pytest.mark.parametrize(
    ('module', 'package'),
    [
        ('torch', 'torch'),
        ('torchvision', 'torchvision'),
        ('addict', 'addict'),
        ('lmdb', 'lmdb'),
        ('cv2', 'opencv-python'),
        ('yaml', 'pyyaml'),
        ('PIL', 'pillow'),
        ('skimage', 'scikit-image'),
    ],
)
def test_package_that_basicsr_misses_is_named_with_the_command_that_installs_it(module, package, basicsr_raises):
    basicsr_raises(no_module(module))
    with pytest.raises(DependencyError) as caught:
        compat.import_basicsr()
    assert repr(module) in str(caught.value)
    assert str(caught.value).lower().endswith(f'pip install {package}')


def test_missing_part_of_basicsr_is_not_taken_for_a_package_to_install(basicsr_raises):
    """A clone of BasicSR that was never installed lacks ``basicsr/version.py``."""
    basicsr_raises(no_module('basicsr.version'))
    with pytest.raises(ImportError) as caught:
        compat.import_basicsr()
    assert 'pip install basicsr.version' not in str(caught.value)


@pytest.mark.slow
def test_import_of_the_package_without_basicsr_says_how_to_install_it(fresh_python):
    done = fresh_python("import sys; sys.modules['basicsr'] = None; import basicsr_ganzoo")
    assert done.returncode == 1
    assert 'DependencyError: BasicSR is not installed' in done.stderr.splitlines()[-1]


@pytest.mark.slow
def test_import_of_the_package_with_a_mismatched_torchvision_says_how_to_mend_it(fresh_python, tmp_path):
    package = tmp_path / 'torchvision'
    package.mkdir()
    (package / '__init__.py').write_text('raise RuntimeError("operator torchvision::nms does not exist")\n')
    done = fresh_python('import basicsr_ganzoo', tmp_path)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert 'DependencyError: torchvision cannot work with the installed torch' in last
    assert 'pip install --force-reinstall torch torchvision' in last


OPENCV_LIBRARIES = ('libGL.so.1', 'libgthread-2.0.so.0', 'libglib-2.0.so.0', 'libxcb.so.1', 'libX11.so.6')


@pytest.fixture
def opencv_without(tmp_path):
    """Call with a library for a folder whose ``cv2`` is as on a machine that lacks it."""

    def make(library):
        sentence = f'{library}: cannot open shared object file: No such file or directory'
        (tmp_path / 'cv2.py').write_text(f'raise ImportError({sentence!r})\n')
        return tmp_path

    return make


@pytest.mark.parametrize('library', OPENCV_LIBRARIES)
def test_a_library_that_opencv_lacks_is_named_with_the_commands_that_mend_it(library, basicsr_raises):
    basicsr_raises(ImportError(f'{library}: cannot open shared object file: No such file or directory', name='cv2'))
    with pytest.raises(DependencyError) as caught:
        compat.import_basicsr()
    for part in (f'lacks {library};', 'opencv-python-headless', 'apt-get install libgl1 libglib2.0-0'):
        assert part in str(caught.value)


@pytest.mark.slow
def test_import_of_the_package_without_libgl_says_how_to_mend_it(fresh_python, opencv_without):
    done = fresh_python('import basicsr_ganzoo', opencv_without('libGL.so.1'))
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert 'DependencyError: OpenCV (cv2) cannot be imported, because this machine lacks libGL.so.1;' in last


@pytest.mark.slow
@pytest.mark.parametrize(
    'command',
    [
        ('basicsr_ganzoo', 'check', '-opt', 'gan_x4'),
        ('basicsr_ganzoo', 'train', '-opt', 'gan_x4'),
        ('basicsr_ganzoo', 'upscale', '-m', 'a.pth', '-i', 'b', '-o', 'c'),
        ('basicsr_ganzoo', 'demo'),
        ('basicsr_ganzoo.train', '-opt', 'gan_x4'),
    ],
    ids=' '.join,
)
def test_a_command_without_libgl_is_one_sentence(command, opencv_without, tmp_path, monkeypatch):
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join([str(opencv_without('libGL.so.1')), str(ROOT)]))
    done = run_python('-m', *command, cwd=tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith('error: OpenCV (cv2) cannot be imported, because this machine lacks libGL.so.1;')


# ------------------------------------------------------------------ started as a command


@pytest.mark.parametrize(
    ('argv', 'orig_argv', 'expected'),
    [
        (['/usr/bin/ganzoo', 'list'], ['python', '/usr/bin/ganzoo', 'list'], True),
        (['ganzoo.exe', 'list'], ['python.exe', 'ganzoo.exe', 'list'], True),
        (['bin/ganzoo-script.py'], ['python', 'bin/ganzoo-script.py'], True),
        (['-m', 'list'], ['python', '-m', 'basicsr_ganzoo', 'list'], True),
        (['-m', '-opt', 'x.yml'], ['python', '-u', '-m', 'basicsr_ganzoo.train', '-opt', 'x.yml'], True),
        (['-m'], ['python', '-X', 'importtime', '-m', 'basicsr_ganzoo.cli'], True),
        (['-m'], ['python', '-mbasicsr_ganzoo'], True),
        (['-m'], ['python', '-um', 'basicsr_ganzoo'], True),
        (['-m'], ['python', '-Imbasicsr_ganzoo.train'], True),
        (['-m'], ['python', '-um', 'pytest'], False),
        (['-m'], ['python', '-mpytest'], False),
        (['-m'], ['python', '-m', 'pytest'], False),
        (['-m'], ['python', '-m', 'basicsr_ganzoo_extra'], False),
        (['-m'], ['python', '-m', 'my.basicsr_ganzoo'], False),
        (['-m'], ['python', '-m', 'torch.distributed.run', '-m', 'basicsr_ganzoo.train'], False),
        (['basicsr/train.py'], ['python', 'basicsr/train.py'], False),
        (['/repo/ganzoo/train.py', '-opt', 'ganzoo'], ['python', '/repo/ganzoo/train.py', '-opt', 'ganzoo'], False),
        (['ganzoo.py'], ['python', 'ganzoo.py'], False),
        (['-c'], ['python', '-c', 'import basicsr_ganzoo'], False),
        (['-c', '-m'], ['python', '-c', 'import basicsr_ganzoo', '-m'], False),
        ([''], ['python'], False),
        ([], ['python'], False),
    ],
    ids=str,
)
def test_started_as_command(argv, orig_argv, expected, monkeypatch):
    monkeypatch.setattr(sys, 'argv', argv)
    monkeypatch.setattr(sys, 'orig_argv', orig_argv)
    assert compat.started_as_command() is expected


@pytest.mark.parametrize('argv', [['/usr/bin/ganzoo', 'demo'], ['-m', 'demo']], ids=str)
def test_worker_process_of_the_command_registers_like_any_other_process(argv, monkeypatch):
    monkeypatch.setattr(sys, 'argv', argv)
    monkeypatch.setattr(sys, 'orig_argv', ['python', '-m', 'basicsr_ganzoo', 'demo'])
    assert compat.started_as_command()
    monkeypatch.setattr(multiprocessing, 'parent_process', lambda: object())
    assert not compat.started_as_command()


@pytest.mark.slow
def test_started_as_command_the_package_imports_neither_torch_nor_basicsr(fresh_python):
    code = """
import sys
sys.argv = ['/usr/bin/ganzoo', '--help']
import basicsr_ganzoo
print([name for name in ('torch', 'torchvision', 'basicsr') if name in sys.modules], basicsr_ganzoo.__version__)
"""
    done = fresh_python(code)
    assert done.stdout.startswith('[] 0.'), done.stderr
