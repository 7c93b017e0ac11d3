"""Batches that are on the GPU when a step wants them."""

import torch


def copied_ahead(batches, copy):
    """Yield batches, of each of which the copy begins before the one before it is handed out.

    Where loading fails, what was loaded before comes first.

    Args:
        batches: an iterable.
        copy: begins to copy a batch, and returns a function that waits for the copy and gives it.
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
    """Copies batches, dicts of tensors and other things, to a GPU while it computes.

    Args:
        device: the GPU.
    """

    def __init__(self, device):
        self.device = device
        self.stream = torch.cuda.Stream(device)

    def __call__(self, batch):
        with torch.cuda.stream(self.stream):
            copied = {key: self._to_device(value) for key, value in batch.items()}
            done = self.stream.record_event()  # of this copy: waiting for the stream would wait for the next one too
        return lambda: self._wait(copied, done)

    def _to_device(self, value):
        return value.to(self.device, non_blocking=True) if isinstance(value, torch.Tensor) else value

    def _wait(self, copied, done):
        stream = torch.cuda.current_stream(self.device)
        stream.wait_event(done)
        for value in copied.values():
            if isinstance(value, torch.Tensor):
                value.record_stream(stream)  # else its memory could be given to a later copy while it is in use
        return copied
