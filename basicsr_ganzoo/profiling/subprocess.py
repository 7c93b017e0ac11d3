"""Each model of the bench in a process of its own, as in a training."""

import logging
import multiprocessing
import os
import signal
import sys
from pathlib import Path

import torch

from basicsr_ganzoo import registry
from basicsr_ganzoo.config import import_plugins
from basicsr_ganzoo.engine.malloc import keep_freed_memory
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.profiling.meters import BenchModel

SMALLER = 'take a smaller batch: --force_yml datasets:train:batch_size_per_gpu=1'


class BenchProcess:
    """Builds a :class:`~.meters.BenchModel` in another process; the first :meth:`receive` waits for it.

    Args:
        name: of the model, for messages.
        options: what ``build_model`` takes.
        imports: files that the option file imports, and its folder.
        keep_memory: keep freed memory, as our trainer does on a CPU.
    """

    def __init__(self, name, options, imports=((), '.'), keep_memory=False):
        self.name = name
        context = multiprocessing.get_context('spawn')
        self._pipe, other = context.Pipe()
        arguments = (other, name, options, imports, keep_memory, torch.get_num_threads())
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited: on Ctrl-C this process ends the other
        self._process.start()
        signal.signal(signal.SIGINT, before)
        other.close()

    def call(self, method):
        """Call a method of the model and return its result. Raises as :meth:`receive`."""
        self._pipe.send(method)
        return self.receive()

    def receive(self):
        """Receive the result of a call.

        Raises:
            OptionError: the model cannot be built or take a step, or the process has ended.
        """
        try:
            result = self._pipe.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            code = self._process.exitcode
            reason = 'see the error above' if code == 1 else f'if it ran out of memory, {SMALLER}'
            raise OptionError(f'the process of {self.name} ended with code {code}; {reason}') from None
        if isinstance(result, OptionError):
            raise result
        return result

    def end(self):
        """End the process, if it is still running."""
        self._process.terminate()
        self._process.join()


def _serve(pipe, name, options, imports, keep_memory, threads):
    """In the other process: build the model, then call its methods by name."""
    sys.stdout = open(os.devnull, 'w')  # noqa: SIM115
    logging.disable(logging.INFO)
    torch.set_num_threads(threads)
    if keep_memory:
        keep_freed_memory()
    try:
        registry.import_submodules()
        import_plugins(imports[0], Path(imports[1]))
        model = BenchModel(options)
        pipe.send(None)
        while True:
            pipe.send(getattr(model, pipe.recv())())
    except OptionError as error:
        pipe.send(OptionError(str(error)))
    except (MemoryError, torch.cuda.OutOfMemoryError) as error:
        pipe.send(OptionError(f'{name}: out of memory; {SMALLER} ({" ".join(str(error).split())})'))
