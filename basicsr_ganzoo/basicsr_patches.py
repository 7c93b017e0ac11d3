"""Repairs of BasicSR: clear errors from its datasets, and tools to replace parts of it for a while."""

import contextlib
import copy
import random

import numpy as np
import torch
from basicsr.utils.registry import DATASET_REGISTRY

from basicsr_ganzoo.config.build import lookup
from basicsr_ganzoo.errors import OptionError


def repaired_build_dataset(build_dataset):
    """BasicSR's ``build_dataset`` with errors as :class:`OptionError`; it also loads the first sample."""

    def build(block):
        where = f'datasets.{block["phase"]}'
        try:
            lookup(DATASET_REGISTRY, block['type'])
            dataset = build_dataset(block)
            if not len(dataset):
                raise OptionError('its folders hold no images; correct dataroot_gt or dataroot_lq')
            if block['phase'] == 'train':
                _check_train_set(dataset, block)
            else:
                _check_first_sample(dataset)
        except KeyError as error:
            raise OptionError(f'{where} lacks {error}') from error
        except AttributeError as error:  # what BasicSR makes of a file that OpenCV cannot read
            raise OptionError(f'{where}: an image cannot be read ({error}); remove it') from error
        except (AssertionError, NotImplementedError, OSError, TypeError, ValueError) as error:
            raise OptionError(f'{where}: {one_line(error)}') from error
        return dataset

    return build


def one_line(error):
    """The message of an error on one line."""
    if isinstance(error, OSError) and error.filename:
        return f'{error.strerror}: {error.filename}'
    # BasicSR raises some errors with a message in two arguments.
    text = ''.join(error.args) if all(isinstance(arg, str) for arg in error.args) else str(error)
    return ' '.join(text.split())


def _check_train_set(dataset, block):
    batch = block['batch_size_per_gpu']
    if len(dataset) * block.get('dataset_enlarge_ratio', 1) < batch:
        ratio = -(-batch // max(len(dataset), 1))
        raise OptionError(
            f'{len(dataset)} images are fewer than a batch of {batch}; '
            f'set dataset_enlarge_ratio to {ratio} or more, or a smaller batch_size_per_gpu'
        )
    _check_first_sample(dataset)


def _check_first_sample(dataset):
    # It shows whether scale and gt_size fit. A copy loads it, so that workers open files of their own.
    with unchanged_randomness():
        copy.deepcopy(dataset)[0]


@contextlib.contextmanager
def unchanged_randomness():
    """Restore the random states of Python, NumPy and torch (CPU) at the end."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


@contextlib.contextmanager
def replaced(owner, attributes):
    """Set attributes of a module or an object inside ``with``."""
    before = {name: getattr(owner, name) for name in attributes}
    for name, value in attributes.items():
        setattr(owner, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(owner, name, value)
