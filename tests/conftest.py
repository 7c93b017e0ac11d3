"""Makes BasicSR importable for all test modules, whatever they import first, and runs code in fresh processes."""

import importlib.util
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torchvision.models import vgg

import basicsr_ganzoo  # noqa: F401

# One thread for each process: the networks are tiny, and threads of several processes would fight for few cores.
torch.set_num_threads(1)
os.environ['OMP_NUM_THREADS'] = '1'


@pytest.fixture(autouse=True)
def fresh_logger():
    """BasicSR's logger keeps the streams, the files and the level of the first run of a process."""
    from basicsr.utils.logger import initialized_logger

    def forget():
        logger = logging.getLogger('basicsr')
        logger.handlers.clear()
        logger.setLevel(logging.NOTSET)
        logger.propagate = True
        initialized_logger.clear()

    forget()
    yield
    forget()


@pytest.fixture(scope='session')
def fresh_python(tmp_path_factory):
    """Call with code (and more folders of modules) to run it in a new interpreter, away from the repository."""
    root = Path(__file__).parents[1]

    def run(code, *folders):
        path = [*map(str, folders), str(root), os.environ.get('PYTHONPATH', '')]
        return subprocess.run(
            [sys.executable, '-c', code],
            cwd=tmp_path_factory.mktemp('elsewhere'),
            env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': os.pathsep.join(filter(None, path))},
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


@pytest.fixture(scope='session')
def realesrgan():
    """The folder of Real-ESRGAN's package, which requires ``basicsr`` by name; pip cannot build that on Python 3.13."""
    spec = importlib.util.find_spec('realesrgan')
    if spec is None and sys.version_info >= (3, 13):
        pytest.skip('realesrgan is not installed; pip install --no-deps realesrgan')
    return Path(spec.origin).parent


@pytest.fixture
def float64():
    """Double precision: Adam makes steps of its own size out of what rounding leaves of a gradient that is nearly 0."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def vgg19_without_weights(monkeypatch):
    """The perceptual network as BasicSR builds it, but with random weights: they weigh nothing and are no download."""
    features = vgg.vgg19().features
    monkeypatch.setattr(vgg, 'vgg19', lambda pretrained: type('VGG19', (), {'features': features}))


@pytest.fixture
def narrow_vgg19(monkeypatch):
    """The perceptual network with its layers, but with 4 channels and random weights: no download, and no wait."""
    layers = [4 if isinstance(width, int) else width for width in vgg.cfgs['E']]
    features = vgg.make_layers(layers)
    monkeypatch.setattr(vgg, 'vgg19', lambda pretrained: SimpleNamespace(features=features))


@pytest.fixture
def keyboard():
    """Ctrl-C as in a terminal, whatever started the tests: a shell script ignores it in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
