"""The keys that make a step faster or smaller: batches that cannot be split, and where they do not do all they say."""

from torch.nn.modules.batchnorm import _BatchNorm

from basicsr_ganzoo.config.findings import error, warning
from basicsr_ganzoo.engine.compile import read_compile
from basicsr_ganzoo.engine.speed_options import has_body
from basicsr_ganzoo.errors import OptionError

ALONE = 'see one part of a batch at a time with train.accumulate, so that training is not that of the batch'


def check(plan):
    """Findings about amp, compile, accumulate and grad_checkpoint."""
    for rule in (_compile, _parts, _body, _penalties, _on_a_cpu):
        yield from rule(plan)


def _compile(plan):
    try:
        read_compile(plan.get('train', {}))
    except OptionError as mistake:
        where, _, message = str(mistake).partition(' ')
        yield error(where.rstrip(':'), message)


def _parts(plan):
    parts, batch = plan.get('train.accumulate', 1), plan.get('datasets.train.batch_size_per_gpu')
    if parts == 1 or not batch:
        return
    if batch % parts:
        message = f'a batch of {batch} cannot be split into {parts} of one size; take a number that divides it'
        yield error('train.accumulate', message)
    for adversary in plan.adversaries:
        yield from _what_sees_parts(plan, adversary)


def _what_sees_parts(plan, adversary):
    pairing, net = getattr(plan.loss(adversary), 'pairing', 'plain'), plan.built.get(adversary.where('network_d'))
    if pairing in ('average', 'batch_average'):
        yield warning(adversary.where('gan_opt'), f'the means of pairing: {pairing} {ALONE}')
    if net is not None and any(isinstance(module, _BatchNorm) for module in net.modules()):
        yield warning(adversary.where('network_d'), f'its batch norms {ALONE}')
    if any(type(it).__name__ == 'LeCamRegularizer' for it in plan.regularizers(adversary).values()):
        yield warning(adversary.where('d_reg_opt'), f'the averages of LeCamRegularizer {ALONE}')


def _body(plan):
    net = plan.built.get('network_g')
    if plan.get('train.grad_checkpoint') and net is not None and not has_body(net):
        message = f'{type(net).__name__} has no body of blocks, as RRDBNet and MSRResNet have; remove the key'
        yield error('train.grad_checkpoint', message)


def _penalties(plan):
    """Gradient penalties in each step leave D nothing of mixed precision."""
    for adversary in plan.adversaries if plan.get('train.amp') in ('bf16', 'fp16') else ():
        for regularizer in plan.regularizers(adversary).values():
            if getattr(regularizer, 'full_precision', False) and regularizer.interval == 1:
                message = f'{type(regularizer).__name__} is due in each step, so that D runs in float32 throughout; '
                yield warning(adversary.where('d_reg_opt'), f'{message}a larger interval leaves it more of train.amp')


def _on_a_cpu(plan):
    if plan.opt.get('num_gpu') != 0:
        return
    if plan.get('train.amp') == 'fp16':
        yield warning('train.amp', 'fp16 is many times slower than float32 on a CPU; take bf16')
    if plan.get('train.compile'):
        yield warning('train.compile', 'this is for GPUs; on a CPU steps take longer with it, so remove the key')
