"""What is there but does nothing: weights of 0, and what comes after the end of the training."""

from basicsr_ganzoo.config.build import is_number
from basicsr_ganzoo.config.findings import warning
from basicsr_ganzoo.models.content_losses import further_losses

FREQUENCIES = {
    'val.val_freq': 'so that validation comes at the end alone',
    'logger.save_checkpoint_freq': 'so that nothing is saved before the end',
    'logger.print_freq': 'so that the log never tells how it goes',
}


def check(plan):
    """Findings about what has no effect."""
    total = plan.get('train.total_iter', float('inf'))
    yield from _losses(plan)
    yield from _frequencies(plan, total)
    for adversary in plan.adversaries:
        yield from _views(adversary)
        for where, regularizer in plan.regularizers(adversary).items():
            yield from _regularizer(where, regularizer, total)


def perceptual_losses(plan):
    """The blocks of perceptual losses by their dotted keys: ``perceptual_opt``, and those under keys of their own."""
    train = plan.get('train', {})
    keys = [key for key in ('perceptual_opt', *further_losses(train)) if train.get(key)]
    return {f'train.{key}': train[key] for key in keys if train[key]['type'] == 'PerceptualLoss'}


def _losses(plan):
    own = [a.where(key) for a in plan.adversaries for key in ('gan_opt', 'feature_matching_opt')]
    for key in (*(f'train.{name}' for name in ('pixel_opt', 'ldl_opt', *further_losses(plan.get('train', {})))), *own):
        if plan.get(f'{key}.loss_weight') == 0:
            yield warning(f'{key}.loss_weight', 'with a weight of 0 this loss has no effect')
    for key, block in perceptual_losses(plan).items():
        if not block.get('perceptual_weight', 1.0) and not block.get('style_weight', 0):
            yield warning(key, 'with both weights 0 this loss has no effect')


def _frequencies(plan, total):
    for key, consequence in FREQUENCIES.items():
        frequency = plan.get(key, 0)
        if frequency > total:
            yield warning(key, f'{frequency} is more than total_iter {total}, {consequence}; give a smaller number')


def _views(adversary):
    for index, block in enumerate(adversary.get('views', [])):
        if block.get('gain') == 0:
            message = 'with a gain of 0 the discriminator sees nothing of the images; give 1 or more'
            yield warning(f'{adversary.where("views")}[{index}].gain', message)


def _regularizer(where, regularizer, total):
    if getattr(regularizer, 'loss_weight', 1) == 0:
        yield warning(f'{where}.loss_weight', 'with a weight of 0 this regularizer has no effect')
    for key, what in (('interval', 'is due for the first time'), ('start', 'begins')):
        first = getattr(regularizer, key, 0)
        if is_number(first) and first > total:
            message = f'this regularizer {what} in iteration {first}, after total_iter {total}; give a smaller number'
            yield warning(f'{where}.{key}', message)
