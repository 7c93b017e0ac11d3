"""Makes BasicSR importable for all test modules, whatever they import first, and runs code in fresh processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import basicsr_ganzoo  # noqa: F401

# One thread for each process: the networks are tiny, and threads of several processes would fight for few cores.
torch.set_num_threads(1)
os.environ['OMP_NUM_THREADS'] = '1'


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
