"""The only file that knows about versions of BasicSR, torch and torchvision. It looks for features, not for numbers."""

import importlib
import importlib.abc
import importlib.machinery
import inspect
import multiprocessing
import re
import sys
from pathlib import PurePath

from basicsr_ganzoo.errors import PYPI_NAMES, DependencyError, missing_library

FUNCTIONAL_TENSOR = 'torchvision.transforms.functional_tensor'


class _FunctionalTensorFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Supplies the module that torchvision dropped in 0.17 and that BasicSR 1.4.2 still imports.

    It stands last in ``sys.meta_path``: where torchvision still has the module, this is never asked.
    """

    def find_spec(self, fullname, path=None, target=None):
        return importlib.machinery.ModuleSpec(fullname, self) if fullname == FUNCTIONAL_TENSOR else None

    def exec_module(self, module):
        module.rgb_to_grayscale = importlib.import_module('torchvision.transforms.functional').rgb_to_grayscale


def install():
    """Make ``import basicsr`` work from now on. Costs nothing until somebody imports it; safe to call again."""
    if not any(type(finder).__name__ == _FunctionalTensorFinder.__name__ for finder in sys.meta_path):
        sys.meta_path.append(_FunctionalTensorFinder())


def started_as_command():
    """Whether this process was started as ``ganzoo`` or as ``python -m basicsr_ganzoo...``, and is no worker of it."""
    if multiprocessing.parent_process() is not None:
        return False
    if sys.argv and sys.argv[0] == '-m':  # what the interpreter leaves there while it looks for the module
        return _module_argument(sys.orig_argv).split('.')[0] == 'basicsr_ganzoo'
    return bool(sys.argv) and PurePath(sys.argv[0]).name in {'ganzoo', 'ganzoo.exe', 'ganzoo-script.py'}


def _module_argument(argv):
    """The module of ``python -m MODULE``, also as ``-mMODULE`` or behind other flags as in ``-um MODULE``."""
    for index, argument in enumerate(argv[1:], start=1):
        found = re.match(r'-[a-bd-ln-zA-VYZ]*m(.*)', argument)
        if found:
            return found[1] or ''.join(argv[index + 1 : index + 2])
    return ''


def import_basicsr():
    """Import and return BasicSR.

    Raises:
        DependencyError: BasicSR, a package or a library that it needs is missing, or torch and torchvision are of
            different builds.
    """
    try:
        return importlib.import_module('basicsr')
    except ModuleNotFoundError as error:
        raise DependencyError(_missing(error)) from error
    except (ImportError, OSError, RuntimeError) as error:
        if missing_library(error):
            raise DependencyError(missing_library(error)) from error
        if not re.search(r'torchvision::\w+|undefined symbol.*(c10|torch)', str(error)):
            raise
        raise DependencyError(
            f'torchvision cannot work with the installed torch, because they are different builds ({error}); '
            'install a matching pair: pip install --force-reinstall torch torchvision'
        ) from error


def ddp_that_leaves_buffers_alone():
    """Arguments that keep ``DistributedDataParallel`` from broadcasting buffers in forward, as torch names them."""
    from torch.nn.parallel import DistributedDataParallel

    known = inspect.signature(DistributedDataParallel).parameters
    return {'forward_sync_buffers' if 'forward_sync_buffers' in known else 'broadcast_buffers': False}


def _missing(error):
    name = error.name or ''
    old = sys.version_info < (3, 13)
    basicsr = '"basicsr>=1.4.2"' if old else 'my-basicsr==1.4.2'
    if name.startswith('basicsr.'):
        return (
            f'BasicSR is incomplete: it lacks {name}, as a clone does that was never installed; '
            f'run pip install -e . in the clone, or pip install {basicsr}'
        )
    if name != 'basicsr':
        return f'BasicSR needs the package {name!r}, which is not installed; pip install {PYPI_NAMES.get(name, name)}'
    why = '' if old else ' (the same code; pip cannot build the package basicsr on Python 3.13 or later)'
    return f'BasicSR is not installed; pip install {basicsr}{why}'
