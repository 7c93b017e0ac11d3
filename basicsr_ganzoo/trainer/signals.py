"""Stops a run on SIGINT or SIGTERM, after the current step is finished and saved."""

import signal
import time

from basicsr_ganzoo.errors import BrokenOff

#: torchrun forwards a Ctrl-C that its processes have already received: within this time both count as one
SAME = 2.0  # seconds


class StopRequest:
    """Notes SIGINT (Ctrl-C) and SIGTERM while it is entered; a second Ctrl-C stops at once.

    A signal that is ignored stays so, as SIGINT is in what a shell script starts in the background.

    Args:
        forwarded: a launcher may hand on signals, so that one comes twice.
    """

    def __init__(self, forwarded=False):
        self.number = 0
        self.same = SAME if forwarded else 0.0
        self._before, self._since = {}, 0.0

    def __enter__(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is signal.SIG_IGN:
                continue
            try:
                self._before[number] = signal.signal(number, self._note)
            except ValueError:  # not the main thread, which has the signals
                break
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _note(self, number, frame):
        if self.number and number == signal.SIGINT and time.monotonic() - self._since >= self.same:
            raise KeyboardInterrupt
        if not self.number:
            self.number, self._since = number, time.monotonic()


class InterruptibleLoader:
    """A loader that raises ``BrokenOff`` once a :class:`StopRequest` has received a signal."""

    def __init__(self, loader, stop):
        self.loader, self.stop = loader, stop

    def __len__(self):
        return len(self.loader)

    def __getattr__(self, name):
        return getattr(self.loader, name)

    def __iter__(self):
        for data in self.loader:
            if self.stop.number:
                raise BrokenOff
            yield data


def ignore_signals():
    """For workers of a data loader: Ctrl-C reaches all processes, but the last step still needs its data."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
