"""What this package puts into BasicSR's registries, and how."""

import importlib
import pkgutil
import sys

from basicsr_ganzoo import compat

#: kind -> name of BasicSR's registry. A kind is also the sub-package that holds its entries.
KINDS = {
    'archs': 'ARCH_REGISTRY',
    'losses': 'LOSS_REGISTRY',
    'regularizers': 'LOSS_REGISTRY',
    'views': 'ARCH_REGISTRY',
    'gan_weights': 'LOSS_REGISTRY',
    'models': 'MODEL_REGISTRY',
    'data': 'DATASET_REGISTRY',
    'metrics': 'METRIC_REGISTRY',
}


def import_submodules():
    """Import the folder of every kind, which registers its entries. Calling it again changes nothing."""
    compat.import_basicsr()
    for kind in KINDS:
        importlib.import_module(f'basicsr_ganzoo.{kind}')


def import_entries(kind):
    """Import every module of a kind's folder.

    Returns:
        The classes and functions that these modules register, by name: what the folder's ``__init__`` exports.
    """
    package = sys.modules[f'basicsr_ganzoo.{kind}']
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f'{package.__name__}.{module.name}')
    return entries(kind)


def register(registry):
    """Class decorator: register under the class's own name, so that a reloaded module replaces its former self.

    Raises:
        KeyError: the name belongs to somebody else's class.
    """

    def add(entry):
        taken = dict(iter(registry)).get(entry.__name__)
        if taken is not None and taken.__module__ != entry.__module__:
            raise KeyError(
                f'{entry.__name__} of {entry.__module__} cannot be registered: '
                f'{taken.__module__} has taken this name; rename one of them'
            )
        registry._obj_map.pop(entry.__name__, None)
        return registry.register()(entry)

    return add


def registry_of(kind):
    """BasicSR's registry for a kind of :data:`KINDS`."""
    return getattr(importlib.import_module('basicsr.utils.registry'), KINDS[kind])


def entries(kind):
    """What this package registered of one kind, as a dict from name to class, sorted by name."""
    prefix = f'basicsr_ganzoo.{kind}.'
    return dict(sorted((name, entry) for name, entry in registry_of(kind) if entry.__module__.startswith(prefix)))
