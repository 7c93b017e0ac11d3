"""The random generators of one process, seeded, saved and restored, and the files of its part of a checkpoint."""

import hashlib
import random
from pathlib import Path

import numpy as np
import torch

from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.weights import read_file


def own_generator(device, *seeds):
    """A random generator on a device, seeded from any values that can be printed."""
    digest = hashlib.sha256(repr(seeds).encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:8], 'big') >> 1)


def random_states(device):
    """The states of the global random generators, as a checkpoint can hold them."""
    name, keys, *rest = np.random.get_state()
    states = {
        'python': random.getstate(),
        'numpy': (name, torch.from_numpy(keys.astype(np.int64)), *rest),
        'torch': torch.get_rng_state(),
    }
    if device.type == 'cuda':
        states['cuda'] = torch.cuda.get_rng_state(device)
    return states


def restore_random_states(states, device):
    """Put the states of :func:`random_states` back."""
    name, keys, *rest = states['numpy']
    random.setstate(states['python'])
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(states['torch'])
    if device.type == 'cuda' and 'cuda' in states:
        torch.cuda.set_rng_state(states['cuda'], device)


def rank_file(folder, iteration, rank):
    """The file of a rank above 0 in a checkpoint; ``folder`` is that of the training states."""
    return Path(folder) / f'{iteration}.rank{rank}'


def plain_numbers(value):
    """``value``, a number, a string or a mapping of them, with Python numbers for those of NumPy and torch."""
    if isinstance(value, dict):
        return {key: plain_numbers(item) for key, item in value.items()}
    return value if isinstance(value, (str, int, float)) and type(value) in (str, int, float) else float(value)


def load_file(path):
    """Read a file of a checkpoint to the CPU, without running code that may be in it.

    Raises:
        OptionError: it does not exist, cannot be read, or is damaged.
    """
    if not Path(path).is_file():
        raise OptionError(f'there is no {path}')
    try:
        return read_file(path)
    except OptionError as error:
        reason = str(error).removeprefix(f'{path} ')
        raise OptionError(error if reason.startswith('cannot') else f'{path} is damaged: it {reason}') from error
