"""What a running training shows: on a terminal two lines below those of the log, elsewhere the lines of the log alone.

The first says how far it is, how fast, and what it waits for; the second how the GAN does.
"""

import contextlib
import logging
import math
import sys

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

SHORTEST_BAR = 6  # columns
HEALTHY = 'healthy'


class Display:
    """The two lines, which never need more columns than the terminal has.

    ``log`` has the numbers of the last line of the log, ``metrics`` those of the last validation, and ``verdict`` is
    what the health report says.

    Args:
        total: the last iteration.
        done: the iteration that a resumed run begins behind.
    """

    def __init__(self, total, done=0):
        self.total, self.iteration = total, done
        self.seconds = self.data_seconds = 0.0
        self.log, self.metrics, self.verdict = {}, {}, ''

    def step(self, iteration, seconds, data_seconds):
        """Take note of a step; the times are means of one step, in seconds."""
        self.iteration, self.seconds, self.data_seconds = iteration, seconds, data_seconds

    def __rich_console__(self, console, options):
        yield self._progress(options.max_width)
        yield self._health(options.max_width)

    def _progress(self, width):
        done, rates = f'{self.iteration:,}/{self.total:,} ', rate_texts(self.seconds, self.data_seconds, self._left)
        room = width - len(done) - SHORTEST_BAR
        rate = next((f' {text}' for text in rates if len(text) < room), f' {rates[-1]}')
        line = Table.grid()
        bar = ProgressBar(total=max(self.total, 1), completed=self.iteration, width=max(width - len(done + rate), 0))
        line.add_row(_line(done), bar, _line(rate))
        return line

    @property
    def _left(self):
        return self.seconds * max(self.total - self.iteration, 0)

    def _health(self, width):
        line = Text(self.verdict, 'green' if self.verdict == HEALTHY else 'bold yellow', **ONE_LINE)
        for number in numbers_that_matter(self.log, self.metrics):
            text = f' | {number}' if line else number
            if len(line) + len(text) <= width:
                line.append(text, 'default')
        return line


ONE_LINE = {'no_wrap': True, 'overflow': 'ellipsis'}


def _line(text):
    return Text(text, **ONE_LINE)


def rate_texts(seconds, data_seconds, seconds_left):
    """The rate of steps, the share of waiting for pictures in it, and the time that is left, the longest text first."""
    if not seconds:
        return ['']
    rate = f'{1 / seconds:.1f} it/s' if seconds < 1 else f'{seconds:.1f} s/it'
    share = f'{min(data_seconds / seconds, 1):.0%} waiting'
    minutes, rest = divmod(round(seconds_left), 60)
    eta = f'ETA {minutes // 60}:{minutes % 60:02}:{rest:02}'
    return [f'{rate}, {share} for data, {eta}', f'{rate}, {share}, {eta}', f'{rate}, {eta}', eta]


def numbers_that_matter(log, metrics):
    """Texts, those first that may not be left out: how D judges, rho, a metric of the last validation, a loss."""
    texts = []
    for key in log:
        if key.startswith('acc_d_real'):
            suffix = key.removeprefix('acc_d_real')
            name, fake = suffix.replace('_', ' ', 1), log.get(f'acc_d_fake{suffix}', math.nan)
            texts.append(f'D{name} real {log[key]:.0%} fake {fake:.0%}')
    if not texts:
        texts += [f'{key} {log[key]:.3g}' for key in ('l_d_real', 'l_d_fake') if key in log]
    texts += [f'rho {log["rho"]:.2g}'] if 'rho' in log else []
    texts += [f'{name} {value:.4g}' for name, value in list(metrics.items())[:1]]
    texts += [f'{key} {log[key]:.3g}' for key in ['l_g_pix', *log] if key in log and key.startswith('l_g_')][:1]
    return texts


@contextlib.contextmanager
def progress_bar(total, done, visible=True):
    """Give a :class:`Display`, which is shown if there is a terminal and ``visible``: in the first process."""
    display = Display(total, done)
    if not (visible and sys.stderr.isatty()):
        yield display
        return
    # A stdout that is no terminal stays as it is: rich would send it to this one.
    redirect = sys.stdout.isatty()
    live = Live(display, console=Console(stderr=True), refresh_per_second=2, redirect_stdout=redirect)
    with live, _log_above():
        yield display


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
