"""What ``val`` asks for beside BasicSR's keys, and what ``logger`` needs."""

from importlib.util import find_spec

from basicsr_ganzoo.checking.findings import error, get, warning
from basicsr_ganzoo.config.build import did_you_mean
from basicsr_ganzoo.registry import entries

LOWER_IS_BETTER = ('calculate_niqe', 'calculate_lpips', 'calculate_dists')


def check(opt):
    """Findings about the best checkpoint, and about what needs a package of its own."""
    yield from _best(opt)
    yield from _boards(opt)
    yield from _names(opt)
    for name, block in get(opt, 'val.metrics', {}).items():
        kind = block.get('type') if isinstance(block, dict) else None
        if kind in entries('metrics') and not find_spec('pyiqa'):
            yield error(
                f'val.metrics.{name}', f'{kind} needs the package pyiqa; pip install pyiqa, or remove the metric'
            )


def _best(opt):
    block = get(opt, 'val.keep_best')
    if block is None:
        return
    metric, metrics = block.get('metric'), get(opt, 'val.metrics', {})
    if metric not in metrics:
        known = ', '.join(metrics) or 'none'
        yield error(
            'val.keep_best.metric',
            f'it needs to be one of val.metrics ({known}), got {metric!r}{did_you_mean(metric, metrics)}',
        )
        return
    measure = metrics[metric] if isinstance(metrics[metric], dict) else {}
    if measure.get('type') in LOWER_IS_BETTER and not (block.get('better') or measure.get('better')):
        told = f'of {measure["type"]} a lower value is better, so that the worst would be kept; add better: lower'
        yield warning('val.keep_best.better', told)


def _names(opt):
    """By their names the pictures, the metrics and the best values of validation sets are kept."""
    seen = {}
    for key, block in get(opt, 'datasets', {}).items():
        name = (block or {}).get('name')
        if key != 'train' and isinstance(name, str) and seen.setdefault(name, key) != key:
            yield error(f'datasets.{key}.name', f'{name!r} is the name of datasets.{seen[name]} too; give it another')


def _boards(opt):
    """TensorBoard, and wandb, which BasicSR has beside it alone."""
    board, wandb = get(opt, 'logger.use_tb_logger'), get(opt, 'logger.wandb.project')
    if wandb and not board:
        yield error('logger.wandb', 'BasicSR wants use_tb_logger: true beside it; set that, or remove wandb')
    for key, package, wanted in (('use_tb_logger', 'tensorboard', board), ('wandb', 'wandb', board and wandb)):
        if wanted and not find_spec(package):
            yield error(f'logger.{key}', f'it needs the package {package}; pip install {package}, or remove the key')
