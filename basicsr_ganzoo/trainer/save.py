"""Checkpoints of models that save as BasicSR's do, which write to the files' real names and go on after errors."""

import os
from pathlib import Path

import torch

from basicsr_ganzoo.files import PART, flush, unsaved


class _NotSaved(BaseException):
    """Passes the ``except Exception`` with which BasicSR's models try three times, warn, and go on."""


class WholeCheckpoint:
    """Inside ``with``, what ``torch.save`` writes is all there in the end or not at all.

    The files get their names at the end, once all are on the disk, ``.state`` files last. Those of ``save_whole``,
    which sees to that itself, pass through.

    Args:
        loop_state: is put into the mappings of ``.state`` files, as ``loop``.

    Raises:
        OptionError: a file cannot be written.
    """

    def __init__(self, loop_state):
        self.loop_state = loop_state
        self.parts = {}

    def __enter__(self):
        self._torch_save, torch.save = torch.save, self._save
        return self

    def __exit__(self, kind, error, _):
        torch.save = self._torch_save
        try:
            if error is None:
                self._give_names()
        finally:
            for part in self.parts.values():
                part.unlink(missing_ok=True)
        if kind is _NotSaved:
            raise unsaved(*error.args) from error.args[1]

    def _save(self, content, f, *args, **kwargs):
        path = Path(f) if isinstance(f, (str, os.PathLike)) else None
        if path is None or path.name.startswith(PART):
            self._torch_save(content, f, *args, **kwargs)
            return
        if path.suffix == '.state' and isinstance(content, dict):
            content = {**content, 'loop': self.loop_state}
        part = self.parts[path] = path.with_name(f'{PART}{path.name}')
        try:
            self._torch_save(content, part, *args, **kwargs)
            flush(part)
        except (OSError, RuntimeError) as error:
            raise _NotSaved(path, error) from error

    def _give_names(self):
        for path in sorted(self.parts, key=lambda path: path.suffix == '.state'):
            os.replace(self.parts[path], path)
            flush(path.parent)
