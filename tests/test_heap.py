"""A process that keeps what it frees is not given the same pages again and again."""

import pytest

COUNT = """
import resource, torch
from basicsr_ganzoo.training.heap import keep_freed_memory
{before}
torch.set_num_threads(1)
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for turn in range(6):
    start = faults()
    maps = [torch.zeros(16, 64, 128, 128) for _ in range(2)]
    del maps
print(faults() - start)
"""


def test_freed_memory_serves_the_next_step(fresh_python):
    if fresh_python(COUNT.format(before='raise SystemExit(not keep_freed_memory())')).returncode:
        pytest.skip('the C library cannot')
    given_back = fresh_python(COUNT.format(before=''))
    kept = fresh_python(COUNT.format(before='keep_freed_memory()'))
    assert int(kept.stdout) * 10 < int(given_back.stdout), (kept.stderr, given_back.stderr)


def test_without_glibc_nothing_is_asked_for(monkeypatch):
    from basicsr_ganzoo.training import heap

    monkeypatch.setattr(heap.sys, 'platform', 'win32')
    assert not heap.keep_freed_memory()
