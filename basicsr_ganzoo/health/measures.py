"""The numbers of the health report that come from pictures and from weights."""

import torch
from torch.nn import functional as F

CHANNELS = 'rgb'


@torch.no_grad()
def colour_drift(sr, lq, gt):
    """How far the colours of SR are from LQ's, beyond what GT's are: by channel, in 1/255.

    The mean of SR reduced to LQ's size is its mean, so that nothing is reduced. Pairs whose GT was graded otherwise
    than LQ cancel out.

    Args:
        sr, lq, gt: images (N, C, H, W); lq may be of another size.

    Returns:
        ``drift_r``, ``drift_g``, ``drift_b`` (``drift_0`` and so on if C is not 3), 0-dim.
    """
    sr, lq, gt = (image.float().mean(dim=(0, 2, 3)) for image in (sr, lq, gt))
    drift = ((sr - lq) - (gt - lq)) * 255
    names = CHANNELS if len(drift) == len(CHANNELS) else range(len(drift))
    return {f'drift_{name}': value for name, value in zip(names, drift, strict=True)}


@torch.no_grad()
def consistency_psnr(sr, lq):
    """PSNR in dB of SR, reduced to LQ's size by antialiased bicubic interpolation, against LQ. 0-dim."""
    reduced = F.interpolate(sr.float(), size=lq.shape[-2:], mode='bicubic', antialias=True)
    return -10 * (reduced - lq.float()).square().mean().clamp_min(1e-10).log10()


@torch.no_grad()
def high_frequency_ratio(sr, gt):
    """Energy of SR above a 3x3 mean, over that of GT. 0-dim; 1 is as much fine detail as GT has."""
    return _detail(sr) / _detail(gt).clamp_min(1e-12)


def _detail(image):
    image = image.float()
    return (image - F.avg_pool2d(image, 3, 1, 1, count_include_pad=False)).square().mean()


class Movement:
    """How far the weights of a network have moved since the last look, from a sample of them.

    Args:
        net: the network.
        sample: weights looked at in each tensor.
    """

    def __init__(self, net, sample=16):
        self.parameters = [p for p in net.parameters() if p.requires_grad]
        self.sample = sample
        self.before = self._look()

    def _look(self):
        return torch.cat([p.detach().flatten()[: self.sample].float() for p in self.parameters])

    def measure(self):
        """The norm of the change over the norm of the weights. 0-dim."""
        now = self._look()
        moved = (now - self.before).norm() / self.before.norm().clamp_min(1e-12)
        self.before = now
        return moved


class SpectralNorms:
    """The true largest singular values of the layers that spectral norm is to hold at 1.

    Args:
        net: the network. Its layers with ``torch.nn.utils.spectral_norm`` are those that have it now.
    """

    def __init__(self, net):
        self.layers = {name: module for name, module in net.named_modules() if hasattr(module, 'weight_orig')}

    def largest(self):
        """The name of the layer with the largest value, and the value: (str, float), or (None, 0.0)."""
        values = {name: self._sigma(module) for name, module in self.layers.items()}
        worst = max(values, key=values.get, default=None)
        return worst, values.get(worst, 0.0)

    @torch.no_grad()
    def _sigma(self, module):
        if not hasattr(module, 'weight_orig'):  # somebody has taken the norm off
            return _largest_singular_value(module.weight)
        weight = module.weight_orig.flatten(1)
        estimate = torch.dot(module.weight_u, weight @ module.weight_v)
        return _largest_singular_value(weight) / max(abs(float(estimate)), 1e-12)


def _largest_singular_value(weight):
    weight = weight.detach().flatten(1).double().cpu()
    gram = weight @ weight.T if weight.shape[0] <= weight.shape[1] else weight.T @ weight
    return float(torch.linalg.eigvalsh(gram)[-1].clamp_min(0).sqrt())
