"""How far a training stage is: a bar in a terminal, a line now and then elsewhere."""

import contextlib
import time

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LINES = 5  # for each stage, where there is no terminal


@contextlib.contextmanager
def stage_progress(console, title, total):
    """Give a function ``update(iteration, loss)`` that shows the progress of ``total`` iterations."""
    if not console.is_terminal:
        yield _lines(console, title, total)
        return
    loss_column = TextColumn('L1 loss {task.fields[loss]:.4f}, ETA')
    columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), loss_column, TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=total, loss=float('nan'))
        yield lambda iteration, loss: bar.update(task, completed=iteration, loss=loss)


def _lines(console, title, total):
    start, every = time.monotonic(), -(-total // LINES)

    def update(iteration, loss):
        if iteration % every == 0 or iteration == total:
            left = (time.monotonic() - start) / iteration * (total - iteration)
            console.print(f'{title}: {iteration}/{total}, L1 loss {loss:.4f}, ETA {left:.0f} s', highlight=False)

    return update
