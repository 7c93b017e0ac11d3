"""The progress of a training on a terminal: two lines below the log. Elsewhere the log alone is printed.

The first line shows iterations, speed and the share of waiting for data; the second shows the state of the GAN.
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

from basicsr_ganzoo.trainer.observer import Observer

SHORTEST_BAR = 6  # columns
HEALTHY = 'healthy'


class TerminalBar(Observer):
    """Shows two lines, never wider than the terminal, while a training runs; nothing if stderr is no terminal."""

    def __init__(self):
        self.total = self.iteration = 0
        self.seconds = self.data_seconds = 0.0
        self.log, self.metrics, self.verdict = {}, {}, ''
        self._shown = contextlib.ExitStack()

    def on_start(self, opt, iteration):
        self.total, self.iteration = opt['train']['total_iter'], iteration
        if sys.stderr.isatty():
            # A stdout that is no terminal is not redirected: rich would send it to this terminal.
            redirect = sys.stdout.isatty()
            live = Live(self, console=Console(stderr=True), refresh_per_second=2, redirect_stdout=redirect)
            self._shown.enter_context(live)
            self._shown.enter_context(_log_above())

    def on_step(self, iteration, model, seconds, data_seconds):
        self.iteration, self.seconds, self.data_seconds = iteration, seconds, data_seconds
        health = getattr(model, 'health', None)  # models of BasicSR have none
        self.verdict = health.status if health else ''

    def on_log(self, iteration, log):
        self.log = log

    def on_validation(self, iteration, data_set, metrics):
        self.metrics = metrics

    def on_end(self):
        self._shown.close()

    def __rich_console__(self, console, options):
        yield self._progress(options.max_width)
        yield self._health(options.max_width)

    def _progress(self, width):
        left = self.seconds * max(self.total - self.iteration, 0)
        done, rates = f'{self.iteration:,}/{self.total:,} ', rate_texts(self.seconds, self.data_seconds, left)
        room = width - len(done) - SHORTEST_BAR
        rate = next((f' {text}' for text in rates if len(text) < room), f' {rates[-1]}')
        line = Table.grid()
        bar = ProgressBar(total=max(self.total, 1), completed=self.iteration, width=max(width - len(done + rate), 0))
        line.add_row(_line(done), bar, _line(rate))
        return line

    def _health(self, width):
        line = _line(self.verdict, 'green' if self.verdict == HEALTHY else 'bold yellow')
        for metric in key_metrics(self.log, self.metrics):
            text = f' | {metric}' if line else metric
            if len(line) + len(text) <= width:
                line.append(text, 'default')
        return line


def _line(text, style=''):
    return Text(text, style, no_wrap=True, overflow='ellipsis')


def rate_texts(seconds, data_seconds, seconds_left):
    """Texts for speed, share of waiting for data and remaining time, the longest first."""
    if not seconds:
        return ['']
    rate = f'{1 / seconds:.1f} it/s' if seconds < 1 else f'{seconds:.1f} s/it'
    share = f'{min(data_seconds / seconds, 1):.0%} waiting'
    minutes, rest = divmod(round(seconds_left), 60)
    eta = f'ETA {minutes // 60}:{minutes % 60:02}:{rest:02}'
    return [f'{rate}, {share} for data, {eta}', f'{rate}, {share}, {eta}', f'{rate}, {eta}', eta]


def key_metrics(log, metrics):
    """Texts by importance: D's accuracy or losses, rho, a metric of the last validation, a loss of G."""
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
def _log_above():
    """Send BasicSR's log to the present ``sys.stderr``, through which rich prints it above the two lines."""
    handlers = [h for h in logging.getLogger('basicsr').handlers if type(h) is logging.StreamHandler]
    before = [handler.setStream(sys.stderr) or sys.__stderr__ for handler in handlers]
    try:
        yield
    finally:
        for handler, stream in zip(handlers, before, strict=True):
            handler.setStream(stream)
