"""Networks that are built to be inspected: on the meta device where that is possible, and within bounds."""

import contextlib

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch.nn.modules import module as hooks

from basicsr_ganzoo.config.build import lookup
from basicsr_ganzoo.errors import OptionError

MOST_PARAMETERS = 10**10
MOST_LAYERS = 10_000


def meta_network(block):
    """The network that ``block`` describes, on the meta device, or with memory if that fails.

    Raises:
        OptionError: it is too large. Whatever else its class raises is passed on.
    """
    try:
        with _bounded(MOST_PARAMETERS), torch.device('meta'):
            return _build(block)
    except (OptionError, ValueError):
        raise
    except Exception:  # a network of another package may read its weights while it is built
        return allocated_network(block)


def allocated_network(block):
    """The network that ``block`` describes; raises as :func:`meta_network`."""
    with _bounded(MOST_PARAMETERS // 10):
        return _build(block)


def _build(block):
    options = {name: value for name, value in block.items() if name != 'type'}
    return lookup(ARCH_REGISTRY, block['type'])(**options).eval()


@contextlib.contextmanager
def _bounded(most_parameters):
    """Stop the building of a network that gets too large, before it takes the memory or for ever."""
    counts = {'parameters': 0, 'layers': 0}

    def count(kind, number, most):
        counts[kind] += number
        if counts[kind] > most:
            raise OptionError(f'this network has more than {most:,} {kind}, too many to train; give smaller values')

    def parameter(module, name, value):
        if value is not None:
            count('parameters', value.numel(), most_parameters)

    def layer(module, name, value):
        count('layers', 1, MOST_LAYERS)

    handles = [
        hooks.register_module_parameter_registration_hook(parameter),
        hooks.register_module_module_registration_hook(layer),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
