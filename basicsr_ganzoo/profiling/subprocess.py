"""Each contestant in a process of its own, as a training is, with what its trainer asks the system for."""

import contextlib
import copy
import io
import logging
import multiprocessing
import signal
import sys
from pathlib import Path

import torch

from basicsr_ganzoo.errors import OptionError

SMALLER = 'take a smaller batch: --force_yml datasets:train:batch_size_per_gpu=1'


class Apart:
    """A contestant in another process, which takes a step when it is told to.

    Args:
        name: of the contestant, for messages.
        options: what ``build_model`` takes.
        imports: what the option file imports, and the folder in which it lies.
        keeps_memory: as our trainer has it on a CPU, and BasicSR's has not.
    """

    def __init__(self, name, options, imports=((), '.'), keeps_memory=False):
        self.name = name
        context = multiprocessing.get_context('spawn')
        self._pipe, theirs = context.Pipe()
        arguments = (theirs, name, options, imports, keeps_memory, torch.get_num_threads())
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        with _deaf_to_the_keyboard():
            self._process.start()
        theirs.close()

    def wait(self):
        """Wait until the contestant is built, or has taken its step.

        Raises:
            OptionError: it cannot be built or take a step, or its process has ended.
        """
        return self._receive()

    def take_timed_step(self):
        """Let it take a step by the clocks, while nobody else does."""
        self._pipe.send('step')
        self._receive()

    def result(self):
        """What was measured, a dict; the process ends."""
        self._pipe.send('result')
        return self._receive()

    def end(self):
        """End the process, if it has not ended."""
        self._process.terminate()
        self._process.join()

    def _receive(self):
        try:
            kind, content = self._pipe.recv()
        except EOFError:
            self._process.join()
            code = self._process.exitcode
            why = 'the reason is above' if code == 1 else f'if the memory was too small, {SMALLER}'
            raise OptionError(f'the process of {self.name} has ended with code {code}; {why}') from None
        if kind == 'mistake':
            raise OptionError(content)
        return content


def _serve(pipe, name, options, imports, keeps_memory, threads):
    """The other process: build the contestant, then do as it is told."""
    torch.set_num_threads(threads)
    if keeps_memory:
        from basicsr_ganzoo.engine.malloc import keep_freed_memory

        keep_freed_memory()
    try:
        with silence():
            contestant = _enter(name, options, *imports)
            contestant.settle()
        pipe.send(('ready', None))
        while pipe.recv() == 'step':
            contestant.take_timed_step()
            pipe.send(('done', None))
        pipe.send(('result', _record(contestant)))
    except OptionError as error:
        pipe.send(('mistake', str(error)))
    except (MemoryError, torch.cuda.OutOfMemoryError) as error:
        told = ' '.join(str(error).split())
        pipe.send(('mistake', f'{name}: the memory is too small; {SMALLER} ({told})'))
    except (EOFError, ConnectionError):  # the first process is gone
        sys.exit(1)


@contextlib.contextmanager
def _deaf_to_the_keyboard():
    """A process that is started inside ``with`` is left to the first one to end, from its first moment on."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _enter(name, options, imports, folder):
    from basicsr.models import build_model

    from basicsr_ganzoo import registry
    from basicsr_ganzoo.config.read import import_plugins
    from basicsr_ganzoo.profiling.bench_models import batches
    from basicsr_ganzoo.profiling.meters import Contestant
    from basicsr_ganzoo.profiling.mock_weights import cuda_is_the_device, random_vgg

    registry.import_submodules()
    import_plugins(list(imports), Path(folder))

    def build():
        torch.manual_seed(0)
        device = torch.device('cuda' if options['num_gpu'] else 'cpu')
        with random_vgg(options), cuda_is_the_device(device):
            return build_model(copy.deepcopy(options))

    first = options['train'].get('net_d_init_iters', 0) + 1
    first += -first % options['train'].get('net_d_iters', 1)
    return Contestant(name, build, batches(options), first)


def _record(contestant):
    return {
        'name': contestant.name,
        'model': type(contestant.model).__name__,
        'cpu': contestant.cpu,
        'wall': contestant.wall,
        'flops': contestant.flops,
        'bytes': contestant.bytes,
        'losses': contestant.losses[0],
        'compile_failed': contestant.compiled and contestant.compiled.failure,
    }


@contextlib.contextmanager
def silence():
    """Keep the descriptions of networks that BasicSR logs and prints out of the report."""
    logger = logging.getLogger('basicsr')
    before, logger.disabled = logger.disabled, True
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.disabled = before
