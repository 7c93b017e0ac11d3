"""Copies of tensors and of random generators that can be put back."""

import torch


class Snapshot:
    """Copies of tensors, such as the buffers of networks, and of the states of random generators.

    Args:
        tensors: those to copy; one that comes twice is copied once.
        generators: ``torch.Generator`` objects.
    """

    def __init__(self, tensors, generators=()):
        self.tensors = list({id(tensor): tensor for tensor in tensors}.values())
        self.copies = [tensor.detach().clone() for tensor in self.tensors]
        self.states = [(generator, generator.get_state()) for generator in generators]

    def update(self):
        """Replace the copies of the tensors by what they are now."""
        copy_all(self.copies, self.tensors)

    def restore(self):
        """Put everything back as it was copied."""
        copy_all(self.tensors, self.copies)
        for generator, state in self.states:
            generator.set_state(state)


def buffers_of(*modules):
    """All buffers of modules."""
    return [buffer for module in modules for buffer in module.buffers()]


@torch.no_grad()
def copy_all(targets, sources):
    """Copy tensors into others, in one call."""
    if targets:
        torch._foreach_copy_(targets, sources)
