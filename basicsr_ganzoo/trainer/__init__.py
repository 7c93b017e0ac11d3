"""A training run: loop, data loaders, resume, log, experiment folder and signals."""

from basicsr_ganzoo.trainer.console import TerminalBar
from basicsr_ganzoo.trainer.observer import Observer
from basicsr_ganzoo.trainer.run import train
from basicsr_ganzoo.trainer.test_run import test_pipeline

__all__ = ['Observer', 'TerminalBar', 'test_pipeline', 'train']
