"""Helpers for the logits of a discriminator: one tensor, or a list with one per scale."""

import torch


def as_list(pred):
    """The logits as a list with one tensor per scale."""
    return list(pred) if isinstance(pred, (list, tuple)) else [pred]


def detached(pred):
    """The logits, detached from the graph."""
    return [p.detach() for p in pred] if isinstance(pred, (list, tuple)) else pred.detach()


def at_least_float32(x):
    """``x``, converted to float32 if it is in half precision."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def mean_logit(pred):
    """The mean logit of each sample, over its map and then over the scales: (N,), in float32 or float64."""
    means = [at_least_float32(p).flatten(1).mean(dim=1) for p in as_list(pred)]
    return torch.stack(means).mean(dim=0)


def share_above(x, boundary):
    """The fraction of the logits ``x`` above ``boundary``, in 0..1; those equal to it count half. 0-dim."""
    return ((x > boundary).float().mean() + (x >= boundary).float().mean()) / 2


def mean_pair_accuracy(real, fake):
    """The fraction of positions at which the real logit is above the fake one, averaged over the scales. 0-dim."""
    pairs = zip(as_list(real), as_list(fake), strict=True)
    return torch.stack([share_above(r.float() - f.float(), 0) for r, f in pairs]).mean()


@torch.no_grad()
def statistics(loss, real_pred, fake_pred):
    """Metrics of D's logits: their means, the shares that D judges correctly, and the largest magnitude."""
    real, fake = ([at_least_float32(p) for p in as_list(pred)] for pred in (real_pred, fake_pred))
    correct = torch.stack([torch.stack(loss.accuracy(r, f)) for r, f in zip(real, fake, strict=True)]).mean(dim=0)
    return {
        'out_d_real': torch.stack([r.mean() for r in real]).mean(),
        'out_d_fake': torch.stack([f.mean() for f in fake]).mean(),
        'acc_d_real': correct[0],
        'acc_d_fake': correct[1],
        'acc_pair': mean_pair_accuracy(real, fake),
        'gap': torch.stack([r.mean() - f.mean() for r, f in zip(real, fake, strict=True)]).mean(),
        'max_logit': torch.stack([x.abs().max() for x in (*real, *fake)]).max(),
    }
