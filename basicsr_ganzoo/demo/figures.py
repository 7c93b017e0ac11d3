"""The two figures of the demo: a comparison of crops, and the curves of the training."""

import cv2
import numpy as np
from matplotlib.figure import Figure

from basicsr_ganzoo.files import whole_file

CROP = 80  # pixels
TITLES = {'lq': 'LQ', 'bicubic': 'bicubic', 'l1': 'L1', 'gan': 'GAN', 'gt': 'GT'}
PANELS = (
    ('l1', ['l_g_pix'], 'L1 stage: L1 loss'),
    ('gan', ['l_g_pix'], 'GAN stage: L1 loss'),
    ('gan', ['rho'], 'GAN stage: rho, |GAN gradient| / |L1 gradient|'),
    ('gan', ['l_g_gan'], 'GAN stage: GAN loss of G, weighted'),
    ('gan', ['l_d_real', 'l_d_fake'], 'GAN stage: losses of D'),
    ('gan', ['out_d_real', 'out_d_fake'], 'GAN stage: mean logits of D'),
)


def draw_comparison(pictures, scores, scale, path):
    """Draw a row of enlarged crops with their scores for each held-out image.

    Args:
        pictures: name of the image -> key of ``TITLES`` -> BGR image (H, W, 3).
        scores: name of the image -> method -> dict with psnr, niqe and hf.
        scale: of LQ.
        path: of the PNG file.
    """
    figure = Figure(figsize=(12.5, 2.85 * len(pictures)), layout='constrained')
    for cells, (name, images) in zip(figure.subplots(len(pictures), len(TITLES)), pictures.items(), strict=True):
        y, x = best_corner(images['gt'], scale)
        for axes, (method, title) in zip(cells, TITLES.items(), strict=True):
            factor = scale if method == 'lq' else 1
            rows, columns = (slice(start // factor, (start + CROP) // factor) for start in (y, x))
            axes.imshow(images[method][rows, columns, ::-1], interpolation='nearest')
            axes.set_title(title)
            axes.set_xlabel(f'{name}, x{scale}' if method == 'lq' else _caption(scores[name][method]))
            axes.set(xticks=[], yticks=[])
    _save(figure, path)


def _caption(scores):
    fidelity = f'{scores["psnr"]:.2f} dB, HF {scores["hf"]:.0%}, ' if 'psnr' in scores else ''
    return f'{fidelity}NIQE {scores["niqe"]:.2f}'


def best_corner(gt, scale):
    """The corner (y, x) of the crop with the most detail (energy of the Laplacian) in the central two thirds of GT.

    Both are multiples of ``scale``.
    """
    detail = cv2.Laplacian(cv2.cvtColor(gt, cv2.COLOR_BGR2GRAY).astype(np.float64), cv2.CV_64F) ** 2
    sums = cv2.integral(detail)
    energy = sums[CROP:, CROP:] - sums[:-CROP, CROP:] - sums[CROP:, :-CROP] + sums[:-CROP, :-CROP]
    top, left = (side // 6 for side in gt.shape[:2])
    central = energy[top : energy.shape[0] - top, left : energy.shape[1] - left]
    y, x = (int(place) for place in np.unravel_index(central.argmax(), central.shape))
    return (top + y) // scale * scale, (left + x) // scale * scale


def draw_curves(logs, path):
    """Draw losses and rho over the iterations; ``logs`` is the log of each stage, a list of dicts."""
    figure = Figure(figsize=(12, 6), layout='constrained')
    for axes, (stage, names, title) in zip(figure.subplots(2, 3).flat, PANELS, strict=True):
        iterations = [row['iter'] for row in logs[stage]]
        for name, style in zip(names, ('C0-', 'C1--'), strict=False):
            values = np.array([row[name] for row in logs[stage]])
            axes.plot(iterations, values, style, linewidth=0.8, alpha=0.3)
            axes.plot(iterations, _running_mean(values), style, label=name)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel('iteration')
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    _save(figure, path)


def _running_mean(values, half=4):
    """The mean of up to ``half`` values on both sides."""
    return [values[max(i - half, 0) : i + half + 1].mean() for i in range(len(values))]


def _save(figure, path):
    with whole_file(path) as part:
        figure.savefig(part, dpi=100)
