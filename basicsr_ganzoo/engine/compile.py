"""``train.compile``: training steps through torch.compile, and eagerly from the first one that fails compiled."""

import contextlib
import inspect

import torch
from basicsr.utils import get_root_logger
from torch.nn.parallel import DataParallel

from basicsr_ganzoo.engine.ema import VECTORS
from basicsr_ganzoo.engine.guard import not_finite
from basicsr_ganzoo.engine.random_state import random_states, restore_random_states
from basicsr_ganzoo.engine.snapshot import Snapshot
from basicsr_ganzoo.errors import OptionError, did_you_mean

ARGUMENTS = ('backend', 'mode', 'dynamic', 'fullgraph', 'options')


def read_compile(train_opt):
    """The arguments of ``torch.compile`` that ``train.compile`` gives, or None where it is off.

    Raises:
        OptionError: it is neither true, false nor a mapping, has an unknown argument or value, or torch is too old.
    """
    value = train_opt.get('compile')
    if value in (None, False):
        return None
    if value is not True and not isinstance(value, dict):
        raise OptionError(f'train.compile needs to be true, false or a mapping such as mode: default, got {value!r}')
    if not hasattr(torch.compiler, 'set_stance'):
        raise OptionError(f'train.compile requires torch 2.6 or later, got {torch.__version__}; upgrade or remove it')
    given = {} if value is True else {key: argument for key, argument in value.items() if argument is not None}
    if given:
        _check(given)
    return given


def _check(given):
    backend, options = given.get('backend', 'inductor'), given.get('options', {})
    if not isinstance(options, dict):
        raise OptionError(f"train.compile.options needs to be a mapping of inductor's options, got {options!r}")
    _check_choices('', given, ARGUMENTS)
    _check_choices('.backend', [backend], torch.compiler.list_backends(()))
    _check_choices('.mode', [given.get('mode', 'default')], ['default', *torch._inductor.list_mode_options()])
    _check_choices('.options', options, torch._inductor.list_options())
    for key in ('dynamic', 'fullgraph'):
        if not isinstance(given.get(key, False), bool):
            raise OptionError(f'train.compile.{key} needs to be true or false, got {given[key]!r}')
    if ('mode' in given) + bool(options) > (backend == 'inductor'):
        raise OptionError('train.compile takes either mode or options, and only with backend: inductor; remove one')
    with_graphs = given.get('mode') in ('reduce-overhead', 'max-autotune') or options.get('triton.cudagraphs')
    if with_graphs or backend == 'cudagraphs':
        raise OptionError(
            "train.compile: under CUDA graphs D's pass on fake overwrites its logits of real, which are still needed; "
            'use mode: default or max-autotune-no-cudagraphs'
        )


def _check_choices(key, values, choices):
    for value in values:
        if value not in choices:
            known = f'; known are {", ".join(choices)}' if len(choices) < 12 else ''
            raise OptionError(f'train.compile{key} has no {value!r}{did_you_mean(value, choices)}{known}')


class CompiledSteps:
    """Runs training steps with compiled networks, and eagerly from the first one that fails compiled.

    A network is compiled when a step first calls it. Outside steps everything is eager.

    Args:
        arguments: of ``torch.compile``; None compiles nothing.
        device: of the training.
    """

    def __init__(self, arguments=None, device='cpu'):
        self.enabled = arguments is not None
        self._device, self._networks, self._inside = torch.device(device), set(), False
        if self.enabled:
            # Otherwise all networks together would have the 8 versions that torch compiles of a piece of code.
            isolated = 'isolate_recompiles' in inspect.signature(torch.compile).parameters
            self._arguments = {'dynamic': False, **({'isolate_recompiles': True} if isolated else {}), **arguments}
            torch.compiler.set_stance('force_eager')
            config = getattr(torch.compiler, 'config', None)
            if hasattr(config, 'cache_key_tag'):  # inductor's cache gives code for AVX512 to AVX2: results are wrong
                config.cache_key_tag = config.cache_key_tag or torch.backends.cpu.get_cpu_capability()
            get_root_logger().info(
                'train.compile: the first steps take minutes; spectral norm and gradient penalties stay eager'
            )

    def call(self, net, image, twice=False):
        """The output of ``net``, compiled inside a step unless it is differentiated ``twice``."""
        if not self._inside:
            return net(image)
        bare = getattr(net, 'module', net)
        if bare not in self._networks:
            self._networks.add(bare)
            self._compile(net, bare)
        with torch.compiler.set_stance('force_eager') if twice else contextlib.nullcontext():
            return net(image)

    def _compile(self, net, bare):
        if isinstance(net, DataParallel):
            raise RuntimeError('several GPUs in one process would share a compiled network; use torchrun, a GPU each')
        # A compiled pass may save a vector of spectral norm for its gradient and then overwrite it (torch 2.14).
        if not any(name.endswith(VECTORS) for name, _ in bare.named_buffers()):
            bare.compile(**self._arguments)

    def run(self, step, buffers, generators=(), check_finite=True):
        """The metrics of ``step()``, which computes a step's gradients and can be repeated.

        Args:
            step: returns metrics, floats by name, the same on all ranks.
            buffers: a :class:`Snapshot` of those that the step changes.
            generators: random generators of the step beside the global ones.
            check_finite: also repeat a step that is not finite, and stay eager if it is then.
        """
        random_state, own_states, failure = random_states(self._device), Snapshot((), generators), None
        try:
            with self._compiling():
                metrics = step()
        except OptionError:
            raise
        except Exception as error:  # compilers raise anything
            failure = _reason(error)
        if not failure and not (check_finite and not_finite(metrics)):
            return metrics
        if failure and torch.distributed.is_initialized():  # the other processes wait in the middle of the step
            raise OptionError(f'train.compile: a compiled step failed: {failure}; remove the key')
        buffers.restore()
        own_states.restore()
        restore_random_states(random_state, self._device)
        metrics = step()
        if failure or not not_finite(metrics):
            self.enabled, reason = False, failure or 'its losses or gradients are not finite, those of eager mode are'
            get_root_logger().warning(
                f'train.compile: a compiled step failed, training continues eagerly from this step: {reason}'
            )
        return metrics

    @contextlib.contextmanager
    def _compiling(self):
        # G's and D's losses go through one graph of D, so the first backward pass must not free what the second needs.
        reusable = torch._functorch.config.patch(donated_buffer=False)
        self._inside = True
        try:
            with torch.compiler.set_stance('default'), reusable:
                yield
        finally:
            self._inside = False


def _reason(error):
    while getattr(error, 'inner_exception', None) is not None:
        error = error.inner_exception
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f'{type(error).__name__}: {lines[0].rstrip(".:")}' if lines else type(error).__name__
