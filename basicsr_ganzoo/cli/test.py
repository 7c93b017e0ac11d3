"""Measure a generator on the validation sets of an option file; the same as python -m basicsr_ganzoo.test."""

from basicsr_ganzoo.test import add_arguments, run

__all__ = ['add_arguments', 'run']
