"""What a running training shows: on a terminal a bar below the lines of the log, elsewhere the lines alone."""

import contextlib
import logging
import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextlib.contextmanager
def progress_bar(total, done, visible=True):
    """Give a function ``update(iteration, seconds, data_seconds)``, means of one step, that moves the bar.

    Args:
        total: the last iteration.
        done: the iteration that a resumed run begins behind.
        visible: False in all processes but the first.
    """
    if not (visible and sys.stderr.isatty()):
        yield lambda iteration, seconds, data_seconds: None
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn('{task.fields[rate]}, ETA'), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=2) as bar, _log_above():
        task = bar.add_task('', total=total, completed=done, rate='')
        yield lambda iteration, *times: bar.update(task, completed=iteration, rate=rate_text(*times))


def rate_text(seconds, data_seconds):
    """Means of one step, in seconds, as a rate and the share of it that is waiting for pictures."""
    if not seconds:
        return ''
    rate = f'{1 / seconds:.1f} it/s' if seconds < 1 else f'{seconds:.1f} s/it'
    return f'{rate}, {min(data_seconds / seconds, 1):.0%} waiting for data'


@contextlib.contextmanager
def _log_above():
    """Send the lines of BasicSR's log to where rich prints them above its bar: to the present ``sys.stderr``."""
    handlers = [h for h in logging.getLogger('basicsr').handlers if type(h) is logging.StreamHandler]
    before = [handler.setStream(sys.stderr) or sys.__stderr__ for handler in handlers]
    try:
        yield
    finally:
        for handler, stream in zip(handlers, before, strict=True):
            handler.setStream(stream)
