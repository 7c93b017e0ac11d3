"""A training run: loop, data loaders, resume, log, experiment folder and signals."""

from basicsr_ganzoo.trainer.console import TerminalBar
from basicsr_ganzoo.trainer.evaluate import run_evaluation
from basicsr_ganzoo.trainer.observer import Observer
from basicsr_ganzoo.trainer.run import train

__all__ = ['Observer', 'TerminalBar', 'run_evaluation', 'train']
