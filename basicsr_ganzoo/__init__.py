"""Discriminators, GAN losses and GAN models for BasicSR.

``import basicsr_ganzoo`` makes BasicSR importable on current torchvision and registers everything in BasicSR's
registries. The ``ganzoo`` command registers only in the verbs that need it, so that ``ganzoo --help`` is instant.
"""

from basicsr_ganzoo import compat, registry

__version__ = '0.1.0'

compat.install()
if not compat.started_as_command():
    registry.import_submodules()
