"""``train.compile``: networks run through torch.compile, and as they are where it cannot."""

import contextlib
import time

import torch
from basicsr.utils import get_root_logger
from torch.nn.parallel import DataParallel

from basicsr_ganzoo.config.build import did_you_mean
from basicsr_ganzoo.errors import OptionError

ARGUMENTS = ('backend', 'mode', 'dynamic', 'fullgraph', 'options')
#: torch.compile gives a network up after so many kinds of images; here further kinds run as they are
KINDS = 8


def read_compile(train_opt):
    """The arguments of ``torch.compile`` that ``train.compile`` gives, or None where it is off.

    Raises:
        OptionError: it is neither true, false nor a mapping, or has an argument or a value that cannot be.
    """
    value = train_opt.get('compile')
    if value in (None, False):
        return None
    if value is not True and not isinstance(value, dict):
        raise OptionError(f'train.compile needs to be true, false or a mapping such as mode: default, got {value!r}')
    given = {} if value is True else {key: argument for key, argument in value.items() if argument is not None}
    for key in given:
        _check_choice('train.compile', 'arguments', key, ARGUMENTS)
    for key in ('dynamic', 'fullgraph'):
        if not isinstance(given.get(key, False), bool):
            raise OptionError(f'train.compile.{key} needs to be true or false, got {given[key]!r}')
    if given:
        _check_inductor(given)
    return given


def _check_inductor(given):
    from torch import _dynamo, _inductor

    options, mode = given.get('options', {}), given.get('mode', 'default')
    if not isinstance(options, dict):
        raise OptionError(f"train.compile.options needs to be a mapping of inductor's options, got {options!r}")
    _check_choice('train.compile.backend', 'it', given.get('backend', 'inductor'), _dynamo.list_backends(()))
    _check_choice('train.compile.mode', 'it', mode, ['default', *_inductor.list_mode_options()])
    for key in options:
        _check_choice('train.compile.options', 'options', key, _inductor.list_options(), show=False)
    if 'mode' in given and options:
        raise OptionError('train.compile takes mode or options, not both; remove one of them')
    if given.get('backend', 'inductor') != 'inductor' and ('mode' in given or options):
        raise OptionError(f'train.compile: backend {given["backend"]} has no mode and no options; remove these')
    with_graphs = mode in ('reduce-overhead', 'max-autotune') or options.get('triton.cudagraphs')
    if with_graphs or given.get('backend') == 'cudagraphs':
        raise OptionError(
            "train.compile: under CUDA graphs D's pass on fake overwrites its logits of real, which are still needed; "
            'take mode: default or max-autotune-no-cudagraphs'
        )


def _check_choice(where, what, value, choices, show=True):
    if value not in choices:
        known = f' needs {what} to be of {", ".join(choices)},' if show else f' has no such {what.rstrip("s")}:'
        raise OptionError(f'{where}{known} got {value!r}{did_you_mean(value, choices)}')


class Compiler:
    """Runs networks through ``torch.compile``, each kind of image after a trial.

    The trial compiles both directions, apart from the step, of which it changes nothing; if it fails, the training goes
    on without, after one warning. Networks are compiled for a pass alone, inside ``with``: what saves, copies or
    validates them finds them as they were. Passes that are differentiated twice are none for it.

    Args:
        arguments: of ``torch.compile``; None compiles nothing.
    """

    def __init__(self, arguments=None):
        self.arguments = arguments
        self.passes, self.kinds = {}, {}
        self.compiled, self.failure = 0, None
        self.told = False

    @contextlib.contextmanager
    def taking(self, net, image, twice=False):
        """Let ``net`` be called with ``image`` inside ``with``; ``twice`` if the outcome is differentiated twice."""
        of_shapes = image.device.type == 'meta'  # somebody counts what a step costs
        if self.arguments is None or twice or of_shapes:
            if not of_shapes:
                self._tell_of_penalties()
            yield
            return
        bare = getattr(net, 'module', net)
        reason = None if self._knows(bare, image) else self._try(net, bare, image)
        if not reason and self._kind(bare, image) in self.kinds.get(bare, ()):
            with _called_through(bare, self.passes[bare]):
                yield
        else:
            yield
        if reason:  # a network that does not take the image has had its say by now
            self._give_up(bare, reason)

    @contextlib.contextmanager
    def off(self):
        """Compile nothing inside ``with``."""
        arguments, self.arguments = self.arguments, None
        try:
            yield
        finally:
            self.arguments = arguments

    def _tell_of_penalties(self):
        if self.arguments is not None and not self.told:
            self.told = True
            get_root_logger().info(
                'train.compile: steps of D in which a gradient penalty is due run as they are, because compiled '
                'passes cannot be differentiated twice'
            )

    @staticmethod
    def _kind(net, image):
        grad = torch.is_grad_enabled(), image.requires_grad, net.training
        return tuple(image.shape), image.stride(), image.dtype, grad

    def _knows(self, net, image):
        kinds = self.kinds.setdefault(net, set())
        return self._kind(net, image) in kinds or len(kinds) == KINDS

    def _try(self, net, bare, image):
        """Compile ``net`` for images of this kind. Returns the reason why that is impossible, or None."""
        if isinstance(net, DataParallel):
            return (
                'several GPUs in one process share what is compiled for one; start one process for each with torchrun'
            )
        begun = time.time()
        try:
            if bare not in self.passes:
                self.passes[bare] = torch.compile(bare._call_impl, **{'dynamic': False, **self.arguments})
            _trial(bare, self.passes[bare], image)
        except Exception as error:  # whatever a compiler says, the training goes on
            return _reason(error)
        self.compiled += 1
        self.kinds[bare].add(self._kind(bare, image))
        shape = 'x'.join(map(str, image.shape))
        get_root_logger().info(f'compiled {_name(bare)} for images of {shape} in {time.time() - begun:.0f} s')
        return None

    def _give_up(self, net, reason):
        self.arguments, self.failure = None, f'{_name(net)} cannot be compiled, training goes on without: {reason}'
        get_root_logger().warning(f'train.compile: {self.failure}')


@contextlib.contextmanager
def _called_through(net, call):
    """As ``nn.Module.compile``, which stays; past ``__setattr__``, which compiled code watches."""
    vars(net)['_compiled_call_impl'] = call
    try:
        yield
    finally:
        del vars(net)['_compiled_call_impl']


def _trial(net, call, image):
    """A pass and its gradients, both ways in which a step takes them. Buffers and random numbers stay as they are."""
    trial = image.detach().clone().requires_grad_(image.requires_grad)
    with _keeping_state(net, image.device), _reusable_graphs():
        outcome = call(trial)
        leaves = [leaf for leaf in torch.utils._pytree.tree_leaves(outcome) if isinstance(leaf, torch.Tensor)]
        total = sum(leaf.float().sum() for leaf in leaves)
        if not total.requires_grad:
            return
        weights = [p for p in net.parameters() if p.requires_grad]
        with torch.autocast(image.device.type, enabled=False):
            for inputs in ([trial] if trial.requires_grad else [], weights):
                if inputs:
                    torch.autograd.grad(total, inputs, retain_graph=True, allow_unused=True)


@contextlib.contextmanager
def _keeping_state(net, device):
    """Clones stand in for the buffers, because a graph that is alive may need the real ones untouched."""
    owners = [(vars(module)['_buffers'], name) for module in net.modules() for name in vars(module)['_buffers']]
    kept = [buffers[name] for buffers, name in owners]
    for buffers, name in owners:
        buffers[name] = None if buffers[name] is None else buffers[name].clone()
    try:
        with torch.random.fork_rng([device] if device.type == 'cuda' else []):
            yield
    finally:
        for (buffers, name), value in zip(owners, kept, strict=True):
            buffers[name] = value


def _reusable_graphs():
    """G's and D's game go through one graph of D, whose tensors therefore must not be given away in the first."""
    config = torch._functorch.config
    return config.patch(donated_buffer=False) if hasattr(config, 'donated_buffer') else contextlib.nullcontext()


def _name(net):
    return type(getattr(net, 'net', net)).__name__


def _reason(error):
    while getattr(error, 'inner_exception', None) is not None:
        error = error.inner_exception
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f'{type(error).__name__}: {lines[0].rstrip(".:")}' if lines else type(error).__name__
