"""Train what an option file describes, with BasicSR's flags; the same as python -m basicsr_ganzoo.train."""

from basicsr_ganzoo.train import add_arguments, run

__all__ = ['add_arguments', 'run']
