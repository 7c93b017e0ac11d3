"""What ``val`` asks for beside BasicSR's keys, and what ``logger`` needs."""

from importlib.util import find_spec

from basicsr_ganzoo.config.findings import error, warning
from basicsr_ganzoo.errors import did_you_mean, shown
from basicsr_ganzoo.registry import entries

LOWER_IS_BETTER = ('calculate_niqe', 'calculate_lpips', 'calculate_dists')


def check(plan):
    """Findings about the best checkpoint, and about what needs a package of its own."""
    yield from _best(plan)
    yield from _boards(plan)
    yield from _names(plan)
    for name, block in plan.get('val.metrics', {}).items():
        if block['type'] in entries('metrics') and not find_spec('pyiqa'):
            message = f'{block["type"]} needs the package pyiqa; pip install pyiqa, or remove the metric'
            yield error(f'val.metrics.{name}', message)


def _best(plan):
    metric, metrics = plan.get('val.keep_best.metric'), plan.get('val.metrics', {})
    if metric is None:
        return
    if not plan.has(f'val.metrics.{metric}'):
        known = ', '.join(metrics) or 'none'
        message = f'it needs to be one of val.metrics ({known}), got {shown(metric)}{did_you_mean(metric, metrics)}'
        yield error('val.keep_best.metric', message)
        return
    measure = metrics.get(metric, {})
    if measure.get('type') in LOWER_IS_BETTER and not (plan.get('val.keep_best.better') or measure.get('better')):
        message = f'of {measure["type"]} a lower value is better, so that the worst would be kept; add better: lower'
        yield warning('val.keep_best.better', message)


def _names(plan):
    """The images, the metrics and the best values of validation sets are kept by their names."""
    seen = {}
    for key, block in plan.get('datasets', {}).items():
        name = block.get('name')
        if key != 'train' and name and seen.setdefault(name, key) != key:
            yield error(f'datasets.{key}.name', f'{name!r} is the name of datasets.{seen[name]} too; give it another')


def _boards(plan):
    """TensorBoard, and wandb, which BasicSR has beside it alone."""
    board, wandb = plan.get('logger.use_tb_logger'), plan.get('logger.wandb.project')
    if wandb and not plan.has('logger.use_tb_logger'):
        yield error('logger.wandb', 'BasicSR requires use_tb_logger: true beside it; set that, or remove wandb')
    for key, package, wanted in (('use_tb_logger', 'tensorboard', board), ('wandb', 'wandb', board and wandb)):
        if wanted and not find_spec(package):
            yield error(f'logger.{key}', f'it needs the package {package}; pip install {package}, or remove the key')
