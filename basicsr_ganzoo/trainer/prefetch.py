"""Copies the next batch to the GPU while a step runs."""

import torch


def prefetched(batches, copy):
    """Yield batches; the copy of each starts before the previous one is yielded.

    If loading fails, the batches before are yielded first.

    Args:
        batches: an iterable.
        copy: starts to copy a batch; returns a function that waits for the copy and returns it.
    """
    batches, ready, failure = iter(batches), None, None
    while failure is None:
        try:
            coming = copy(next(batches))
        except Exception as error:  # StopIteration too
            coming, failure = None, error
        if ready:
            yield ready()
        ready = coming
    if not isinstance(failure, StopIteration):
        raise failure


class SideStream:
    """Copies batches (dicts of tensors and other values) to a GPU while it computes.

    Args:
        device: the GPU.
    """

    def __init__(self, device):
        self.device = device
        self.stream = torch.cuda.Stream(device)

    def __call__(self, batch):
        with torch.cuda.stream(self.stream):
            copied = {key: self._to_device(value) for key, value in batch.items()}
            done = self.stream.record_event()  # waiting for the stream would wait for the next copy too
        return lambda: self._wait(copied, done)

    def _to_device(self, value):
        return value.to(self.device, non_blocking=True) if isinstance(value, torch.Tensor) else value

    def _wait(self, copied, done):
        stream = torch.cuda.current_stream(self.device)
        stream.wait_event(done)
        for value in copied.values():
            if isinstance(value, torch.Tensor):
                value.record_stream(stream)  # otherwise a later copy could reuse its memory too early
        return copied
