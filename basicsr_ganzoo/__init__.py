"""Discriminators, GAN losses and GAN models for BasicSR.

``import basicsr_ganzoo`` makes BasicSR importable on current torchvision and registers everything in BasicSR's
registries. The ``ganzoo`` command registers only in the verbs that need it, so that ``ganzoo --help`` is instant.
"""

from basicsr_ganzoo import _compat, _registry

__version__ = '0.1.0'

_compat.install()
if not _compat.started_as_command():
    _registry.import_submodules()
