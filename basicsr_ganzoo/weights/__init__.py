"""Weights in files: read, find, convert, check, load, export."""

from basicsr_ganzoo.weights.load import load_checkpoint
from basicsr_ganzoo.weights.read import read_file

__all__ = ['load_checkpoint', 'read_file']
