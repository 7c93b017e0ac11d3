"""What is there but does nothing: weights of 0, and what comes after the end of the training."""

from basicsr.utils.registry import LOSS_REGISTRY

from basicsr_ganzoo.checking.findings import adversaries, get, paths, warning
from basicsr_ganzoo.config.build import build, is_number
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.models.content_losses import further_losses

FREQUENCIES = {
    'val.val_freq': 'so that validation comes at the end alone',
    'logger.save_checkpoint_freq': 'so that nothing is saved before the end',
    'logger.print_freq': 'so that the log never tells how it goes',
}


def check(opt):
    """Findings about what has no effect."""
    total = get(opt, 'train.total_iter')
    total = total if is_number(total) else float('inf')
    yield from _losses(opt)
    yield from _frequencies(opt, total)
    for adversary in adversaries(opt):
        yield from _views(adversary)
        yield from _regularizers(adversary, total)


def perceptual_losses(opt):
    """The blocks of perceptual losses by their dotted keys: ``perceptual_opt``, and those under keys of their own."""
    keys = ('train.perceptual_opt', *(f'train.{key}' for key in further_losses(get(opt, 'train', {}))))
    blocks = {key: get(opt, key) for key in keys}
    return {
        key: block
        for key, block in blocks.items()
        if isinstance(block, dict) and (key == keys[0] or block.get('type') == 'PerceptualLoss')
    }


def _losses(opt):
    further = (f'train.{key}' for key in further_losses(get(opt, 'train', {})))
    of_adversaries = (*paths(opt, 'gan_opt'), *paths(opt, 'feature_matching_opt'))
    for key in ('train.pixel_opt', 'train.ldl_opt', *of_adversaries, *further):
        if get(opt, f'{key}.loss_weight') == 0:
            yield warning(f'{key}.loss_weight', 'with a weight of 0 this loss has no effect')
    for key, block in perceptual_losses(opt).items():
        if not block.get('perceptual_weight', 1.0) and not block.get('style_weight', 0):
            yield warning(key, 'with both weights 0 this loss has no effect')


def _frequencies(opt, total):
    for key, consequence in FREQUENCIES.items():
        frequency = get(opt, key)
        if is_number(frequency) and frequency > total:
            yield warning(key, f'{frequency} is more than total_iter {total}, {consequence}; give a smaller number')


def _views(adversary):
    views = adversary.get('views', [])
    for index, block in enumerate(views if isinstance(views, list) else []):
        if isinstance(block, dict) and block.get('gain') == 0:
            told = 'with a gain of 0 the discriminator sees nothing of the pictures; give 1 or more'
            yield warning(f'{adversary.where("views")}[{index}].gain', told)


def _regularizers(adversary, total):
    blocks = adversary.get('d_reg_opt', {})
    for name, block in blocks.items() if isinstance(blocks, dict) else ():
        where = f'{adversary.where("d_reg_opt")}.{name}'
        try:
            yield from _regularizer(where, build(LOSS_REGISTRY, block, where), total)
        except OptionError:  # which .games reports
            continue


def _regularizer(where, regularizer, total):
    if getattr(regularizer, 'loss_weight', 1) == 0:
        yield warning(f'{where}.loss_weight', 'with a weight of 0 this regularizer has no effect')
    for key, what in (('interval', 'is due for the first time'), ('start', 'begins')):
        first = getattr(regularizer, key, 0)
        if is_number(first) and first > total:
            told = f'this regularizer {what} in iteration {first}, after total_iter {total}; give a smaller number'
            yield warning(f'{where}.{key}', told)
