"""The keys that make a step faster or smaller: batches that cannot be parted, and where they do not do all they say."""

from basicsr.utils.registry import LOSS_REGISTRY
from torch.nn.modules.batchnorm import _BatchNorm

from basicsr_ganzoo.checking.findings import adversaries, error, get, warning
from basicsr_ganzoo.checking.shapes import network_without_numbers
from basicsr_ganzoo.checking.values import is_positive
from basicsr_ganzoo.config.build import build
from basicsr_ganzoo.engine.compile import read_compile
from basicsr_ganzoo.engine.speed_options import has_body
from basicsr_ganzoo.errors import OptionError

ALONE = 'see one part of a batch at a time with train.accumulate, so that training is not that of the batch'


def check(opt):
    """Findings about amp, compile, accumulate and grad_checkpoint."""
    for rule in (_compile, _parts, _body, _penalties, _fp16_on_a_cpu, _compile_on_a_cpu):
        yield from rule(opt)


def _compile(opt):
    try:
        read_compile(get(opt, 'train', {}))
    except OptionError as mistake:
        where, _, told = str(mistake).partition(' ')
        yield error(where.rstrip(':'), told)


def _parts(opt):
    parts, batch = get(opt, 'train.accumulate', 1), get(opt, 'datasets.train.batch_size_per_gpu')
    if not (is_positive(parts) and is_positive(batch)) or parts == 1:
        return
    if batch % parts:
        told = f'a batch of {batch} cannot be parted into {parts} of one size; take a number that divides it'
        yield error('train.accumulate', told)
    for adversary in adversaries(opt):
        yield from _what_sees_parts(adversary)


def _what_sees_parts(adversary):
    pairing = getattr(_built(adversary, 'gan_opt'), 'pairing', 'plain')
    if pairing in ('average', 'batch_average'):
        yield warning(adversary.where('gan_opt'), f'the means of pairing: {pairing} {ALONE}')
    if isinstance(adversary.get('network_d'), dict):
        net = network_without_numbers(adversary.get('network_d'), adversary.where('network_d'))[0]
        if net is not None and any(isinstance(module, _BatchNorm) for module in net.modules()):
            yield warning(adversary.where('network_d'), f'its batch norms {ALONE}')
    if any(block.get('type') == 'LeCamRegularizer' for block in _regularizers(adversary)):
        yield warning(adversary.where('d_reg_opt'), f'the averages of LeCamRegularizer {ALONE}')


def _body(opt):
    block = opt.get('network_g')
    if get(opt, 'train.grad_checkpoint') is not True or not isinstance(block, dict) or 'type' not in block:
        return
    net = network_without_numbers(block, 'network_g')[0]
    if net is not None and not has_body(net):
        told = f'{type(net).__name__} has no body of blocks, as RRDBNet and MSRResNet have; remove the key'
        yield error('train.grad_checkpoint', told)


def _penalties(opt):
    """Gradient penalties in each step leave D nothing of mixed precision."""
    if get(opt, 'train.amp') not in ('bf16', 'fp16'):
        return
    for adversary in adversaries(opt):
        for block in _regularizers(adversary):
            try:
                regularizer = build(LOSS_REGISTRY, block, adversary.where('d_reg_opt'))
            except OptionError:
                continue
            if getattr(regularizer, 'full_precision', False) and regularizer.interval == 1:
                told = f'{type(regularizer).__name__} is due in each step, so that D runs in float32 throughout; '
                yield warning(adversary.where('d_reg_opt'), f'{told}a larger interval leaves it more of train.amp')


def _fp16_on_a_cpu(opt):
    if get(opt, 'train.amp') == 'fp16' and opt.get('num_gpu') == 0:
        yield warning('train.amp', 'fp16 is many times slower than float32 on a CPU; take bf16')


def _compile_on_a_cpu(opt):
    if get(opt, 'train.compile') and opt.get('num_gpu') == 0:
        yield warning('train.compile', 'this is for GPUs; on a CPU steps take longer with it, so remove the key')


def _regularizers(adversary):
    blocks = adversary.get('d_reg_opt', {})
    return [block for block in blocks.values() if isinstance(block, dict)] if isinstance(blocks, dict) else []


def _built(adversary, key):
    try:
        return build(LOSS_REGISTRY, adversary.get(key), adversary.where(key))
    except OptionError:
        return None
