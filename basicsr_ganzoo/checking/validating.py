"""What ``val`` asks for beside BasicSR's keys."""

from basicsr_ganzoo._options import did_you_mean
from basicsr_ganzoo.checking import error, get


def check(opt):
    """Findings about the best checkpoint."""
    yield from _best(opt)


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
