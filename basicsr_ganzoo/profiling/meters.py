"""A model of the bench: its costs are counted, then its steps are timed."""

import contextlib
import copy
import time

import torch
from basicsr.models import build_model

from basicsr_ganzoo.engine.cost import FlopCounter, LiveBytes
from basicsr_ganzoo.profiling.bench_models import batches
from basicsr_ganzoo.profiling.mock_weights import random_vgg, without_cuda

WARM_UP = 2  # steps in which a model is compiled


class BenchModel:
    """Counts FLOPs and bytes of the second step, without ``compile``; :meth:`timed_step` then measures further steps.

    Args:
        options: what ``build_model`` takes.
    """

    def __init__(self, options):
        self.on_gpu, train = options['num_gpu'] > 0, options['train']
        self.batches = batches(options)
        self.iteration = train.get('net_d_init_iters', 0)
        self.iteration += -(self.iteration + 1) % train.get('net_d_iters', 1)  # the next step updates G
        live, flops = LiveBytes(), FlopCounter()
        with live:
            self.model = self._build({**options, 'train': {**train, 'compile': None}})
            self._step()  # creates the states of the optimizers
            live.peak = live.now
            with flops:
                self._step()
        self.measured = {'cpu_s': [], 'wall_s': [], 'flops': [flops.total], 'peak_bytes': [live.peak]}
        if train.get('compile'):
            self.model = self._build(options)
            for _ in range(WARM_UP):
                self._step()

    def timed_step(self):
        """Take a step and keep its CPU time and wall time."""
        self._wait()
        cpu, wall = time.process_time(), time.perf_counter()
        self._step()
        self._wait()
        self.measured['cpu_s'].append(time.process_time() - cpu)
        self.measured['wall_s'].append(time.perf_counter() - wall)

    def record(self):
        """All measurements, as a record of :mod:`.report`."""
        return {'type': type(self.model).__name__, **self.measured}

    def _build(self, options):
        torch.manual_seed(0)
        with random_vgg(options), contextlib.nullcontext() if self.on_gpu else without_cuda():
            return build_model(copy.deepcopy(options))

    def _step(self):
        self.iteration += 1
        self.model.feed_data(next(self.batches))
        self.model.optimize_parameters(self.iteration)
        self.model.get_current_log()

    def _wait(self):
        if self.on_gpu:
            torch.cuda.synchronize()
