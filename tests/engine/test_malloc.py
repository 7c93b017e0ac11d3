"""A process that keeps what it frees is not given the same pages again and again."""

import pytest

COUNT = """
import resource, torch
from basicsr_ganzoo.engine.malloc import keep_freed_memory
torch.set_num_threads(1)

def count():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def faults():
    for turn in range(6):
        start = count()
        maps = [torch.zeros(16, 64, 128, 128) for _ in range(2)]
        del maps
    return count() - start

given_back = faults()
print(given_back, faults() if keep_freed_memory() else 'the C library cannot')
"""


@pytest.mark.slow
def test_freed_memory_serves_the_next_step(fresh_python):
    done = fresh_python(COUNT)
    assert done.returncode == 0, done.stderr
    given_back, kept = done.stdout.splitlines()[-1].split(maxsplit=1)
    if kept == 'the C library cannot':
        pytest.skip(kept)
    assert int(kept) * 10 < int(given_back)


def test_without_glibc_nothing_is_set(monkeypatch):
    from basicsr_ganzoo.engine import malloc

    monkeypatch.setattr(malloc.sys, 'platform', 'win32')
    assert not malloc.keep_freed_memory()


@pytest.mark.parametrize(('gpus', 'times'), [(0, 1), (1, 0)])
def test_training_keeps_it_on_a_cpu(gpus, times, monkeypatch):
    from basicsr_ganzoo.trainer import run

    calls = []
    monkeypatch.setattr(run, 'keep_freed_memory', lambda: calls.append(1))
    monkeypatch.setattr(run, 'state_to_resume', lambda opt: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run._train({'num_gpu': gpus}, None)
    assert len(calls) == times
