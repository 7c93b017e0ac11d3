"""The metrics of the health report that are computed from images and from weights."""

import torch
from torch.nn import functional as F
from torch.nn.utils.parametrize import is_parametrized
from torch.nn.utils.spectral_norm import SpectralNorm

from basicsr_ganzoo.losses.logits import as_list

CHANNELS = 'rgb'


@torch.no_grad()
def colour_drift(sr, gt):
    """How far the mean colour of SR is from GT's, by channel, in 1/255.

    Compared with GT, not with LQ: a GT with other colours than LQ, and noise clipped in LQ, are no drift. Both are
    means over the batch, so that the errors of single images cancel out.

    Args:
        sr, gt: images (N, C, H, W) in 0 to 1.

    Returns:
        ``drift_r``, ``drift_g``, ``drift_b`` (``drift_0`` and so on if C is not 3), 0-dim.
    """
    drift = (sr.float().mean(dim=(0, 2, 3)) - gt.float().mean(dim=(0, 2, 3))) * 255
    names = CHANNELS if len(drift) == len(CHANNELS) else range(len(drift))
    return {f'drift_{name}': value for name, value in zip(names, drift, strict=True)}


@torch.no_grad()
def consistency_psnr(sr, lq):
    """PSNR in dB of SR, reduced to LQ's size by antialiased bicubic interpolation, against LQ. 0-dim, at most 100."""
    device = 'cpu' if sr.device.type == 'mps' else sr.device  # MPS has no such interpolation
    reduced = F.interpolate(sr.float().to(device), size=lq.shape[-2:], mode='bicubic', antialias=True)
    error = (reduced - lq.float().to(device)).square().mean()
    return (-10 * error.clamp_min(1e-10).log10()).to(sr.device)


@torch.no_grad()
def high_frequency_ratio(sr, gt):
    """Energy of SR above a 3x3 mean, over that of GT. 0-dim; 1 is as much fine detail as GT has."""
    return _detail(sr) / _detail(gt).clamp_min(1e-12)


def _detail(image):
    image = image.float()
    return (image - F.avg_pool2d(image, 3, 1, 1, count_include_pad=False)).square().mean()


@torch.no_grad()
def shares_above(real, fake):
    """For each real image, the chance that one of its logits lies above a logit of the fakes: the AUC by image.

    Unlike an accuracy it needs no boundary, so it means the same for every loss. Ties count half.

    Args:
        real, fake: logits (N, ...), or lists of them, one per scale; the numbers of images may differ.

    Returns:
        (N,), the mean over the scales.
    """
    return torch.stack([_shares_above(r, f) for r, f in zip(as_list(real), as_list(fake), strict=True)]).mean(dim=0)


def _shares_above(real, fake):
    fakes, real = fake.float().flatten().sort().values, real.float().flatten(1)
    below, up_to = (torch.searchsorted(fakes, real, right=right) for right in (False, True))
    return (below + up_to).float().mean(dim=1) / (2 * len(fakes))


class Movement:
    """How far the weights of a network have moved since the last measurement, from a sample of them.

    Args:
        net: the network.
        sample: weights of each tensor that are compared.
    """

    def __init__(self, net, sample=16):
        self.parameters = [p for p in net.parameters() if p.requires_grad]
        self.sample = sample
        self.before = self._weights()

    def _weights(self):
        return torch.cat([p.detach().flatten()[: self.sample].float() for p in self.parameters])

    def measure(self):
        """The norm of the change over the norm of the weights."""
        now = self._weights()
        moved = (now - self.before).norm() / self.before.norm().clamp_min(1e-12)
        self.before = now
        return float(moved)

    def resume(self, before):
        """Continue from a saved sample, unless it is of other weights."""
        if before is not None and before.shape == self.before.shape:
            self.before = before.to(self.before)


class SpectralNorms:
    """The true largest singular values of the layers that spectral norm should keep at 1.

    Spectral norm divides by an estimate, which is too small if its vectors u and v no longer follow the weight.

    Args:
        net: the network. Its layers with ``torch.nn.utils.spectral_norm``, in the form of a hook or of a
            parametrization, are those that have it now, whatever happens to them later.
    """

    def __init__(self, net):
        self.layers = {name: module for name, module in net.named_modules() if _norm_of(module)}

    @torch.no_grad()
    def largest(self):
        """The name of the layer with the largest value, and the value: (str, float), or (None, 0.0)."""
        values = {name: _singular_value(module) for name, module in self.layers.items()}
        worst = max(values, key=values.get, default=None)
        return worst, values.get(worst, 0.0)


def _norm_of(module):
    """(weight as a matrix, u, v) of the spectral norm of ``module``, or None if it has none."""
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, SpectralNorm):
            weight, u, v = (getattr(module, f'{hook.name}{end}') for end in ('_orig', '_u', '_v'))
            return hook.reshape_weight_to_matrix(weight), u, v
    if is_parametrized(module, 'weight'):
        for norm in module.parametrizations.weight:
            if hasattr(norm, '_u'):
                return norm._reshape_weight_to_matrix(module.parametrizations.weight.original), norm._u, norm._v
    return None


def _singular_value(module):
    norm = _norm_of(module)
    if norm is None:  # the norm was removed
        return largest_singular_value(module.weight.flatten(1))
    weight, u, v = norm
    estimate = torch.dot(u, weight @ v)
    return largest_singular_value(weight) / max(abs(float(estimate)), 1e-12)


@torch.no_grad()
def largest_singular_value(matrix):
    """The largest singular value of a 2-dim tensor, from the eigenvalues of its smaller Gram matrix, or nan."""
    matrix = matrix.float()
    gram = (matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix).cpu().double()
    if not torch.isfinite(gram).all():
        return float('nan')
    return float(torch.linalg.eigvalsh(gram)[-1].clamp_min(0).sqrt())
