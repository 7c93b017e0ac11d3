"""Prefetching of batches to a GPU: order, end, and synchronization."""

import contextlib
from types import SimpleNamespace

import pytest
import torch
from _training import write_pairs

from basicsr_ganzoo.trainer import loaders
from basicsr_ganzoo.trainer.prefetch import SideStream, prefetched


class Copies:
    """A copier that records its events."""

    def __init__(self):
        self.events = []

    def __call__(self, batch):
        self.events.append(f'copy {batch}')

        def wait():
            self.events.append(f'wait {batch}')
            return batch

        return wait


@pytest.mark.parametrize('count', [0, 1, 2, 5])
def test_all_batches_come_once_and_in_order(count):
    assert list(prefetched(range(count), Copies())) == list(range(count))


def test_the_copy_of_the_next_batch_begins_before_the_step_does():
    copies = Copies()
    for batch in prefetched(range(3), copies):
        copies.events.append(f'step {batch}')
    expected = 'copy 0, copy 1, wait 0, step 0, copy 2, wait 1, step 1, wait 2, step 2'
    assert ', '.join(copies.events) == expected


def test_batches_loaded_before_a_failure_are_yielded_first():
    def batches():
        yield from range(2)
        raise OSError('no such picture')

    ahead = prefetched(batches(), Copies())
    assert [next(ahead), next(ahead)] == [0, 1]
    with pytest.raises(OSError, match='no such picture'):
        next(ahead)


def test_a_step_that_fails_ends_the_loading():
    loading = []

    def batches():
        try:
            yield from range(9)
        finally:
            loading.append('ended')

    ahead = prefetched(batches(), Copies())
    next(ahead)
    ahead.close()
    del ahead
    assert loading == ['ended']


@pytest.fixture
def fake_gpu(monkeypatch):
    """CUDA's streams, as they are called: a list of (stream, call)."""
    calls = []

    class Stream:
        def __init__(self, name):
            self.name, self.count = name, 0

        def record_event(self):
            self.count += 1
            return f'{self.name} {self.count}'

        def wait_event(self, event):
            calls.append((self.name, 'waits for', event))

    main = Stream('main')
    cuda = SimpleNamespace(
        Stream=lambda device: Stream('side'),
        stream=lambda stream: contextlib.nullcontext(),
        current_stream=lambda device: main,
    )
    for name, value in vars(cuda).items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(torch.Tensor, 'record_stream', lambda t, stream: calls.append((stream.name, 'uses', len(t))))
    return calls


def test_a_step_waits_only_for_its_own_copy_and_keeps_its_memory(fake_gpu):
    batches = [{'lq': torch.zeros(n), 'gt': torch.zeros(n), 'lq_path': ['x']} for n in (1, 2)]
    taken = list(prefetched(batches, SideStream(torch.device('cpu'))))
    assert [batch['lq_path'] for batch in taken] == [['x'], ['x']]
    assert [len(batch['gt']) for batch in taken] == [1, 2]
    first, second = ([('main', 'waits for', f'side {n}'), *[('main', 'uses', n)] * 2] for n in (1, 2))
    assert fake_gpu == [*first, *second]


def training_data(folder, num_gpu, **keys):
    write_pairs(folder, count=4)
    block = {'name': 'n', 'type': 'PairedFolderDataset', 'phase': 'train', 'scale': 4, 'gt_size': 32}
    block |= {'dataroot_gt': f'{folder}/gt', 'dataroot_lq': f'{folder}/lq', 'batch_size_per_gpu': 2, **keys}
    block |= {'num_worker_per_gpu': 0}
    opt = {'datasets': {'train': block}, 'num_gpu': num_gpu, 'world_size': 1, 'rank': 0, 'manual_seed': 0}
    return loaders.TrainingData(opt)


PINNED = [(1, {}, True), (1, {'pin_memory': False}, False), (0, {}, False)]


@pytest.mark.parametrize(('num_gpu', 'given', 'pinned'), PINNED)
def test_memory_is_pinned_for_a_gpu_unless_disabled(num_gpu, given, pinned, tmp_path):
    assert training_data(tmp_path, num_gpu, **given)._loader([]).pin_memory is pinned


def test_gpu_batches_equal_cpu_batches(tmp_path, fake_gpu, monkeypatch):
    monkeypatch.setattr(loaders.torch, 'device', lambda name: 'cpu')
    data, other = (training_data(tmp_path / str(n), n, pin_memory=False) for n in (0, 1))
    for batch, other_batch in zip(data.batches(data.start(), 5), other.batches(other.start(), 5), strict=True):
        assert torch.equal(batch['gt'], other_batch['gt'])
    assert len(fake_gpu) == 3 * 5
