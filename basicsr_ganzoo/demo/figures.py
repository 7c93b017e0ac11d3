"""The two pictures that the demo draws."""

import cv2
import matplotlib
import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from basicsr_ganzoo.files import whole_file

CROP, ZOOM, GAP, LINE = 80, 3, 8, 22
TITLES = {'lq': 'LQ', 'bicubic': 'bicubic', 'l1': 'L1', 'gan': 'GAN', 'gt': 'GT'}


def draw_comparison(pictures, scores, scale, path):
    """Draw a row of crops for each held-out picture, enlarged by repeating pixels.

    Args:
        pictures: name of the picture -> what is in ``TITLES`` -> BGR image (H, W, 3).
        scores: name of the picture -> method -> dict with psnr and hf, for the captions.
        scale: of LQ.
        path: of the PNG file.
    """
    tile = CROP * ZOOM
    sheet = Image.new('RGB', ((tile + GAP) * len(TITLES) + GAP, (tile + GAP + 2 * LINE) * len(pictures) + GAP), 'white')
    draw, font = ImageDraw.Draw(sheet), _font(15)
    for row, (name, images) in enumerate(pictures.items()):
        y, x = best_corner(images['gt'], scale)
        top = GAP + row * (tile + GAP + 2 * LINE)
        for column, method in enumerate(TITLES):
            left = GAP + column * (tile + GAP)
            sheet.paste(_enlarged(images[method], y, x, scale if method == 'lq' else 1), (left, top + LINE))
            draw.text((left, top), TITLES[method], 'black', font)
            draw.text(
                (left, top + LINE + tile + 2), _caption(method, f'{name}, x{scale}', scores[name]), 'black', _font(12)
            )
    with whole_file(path) as part:
        sheet.save(part, optimize=True)


def best_corner(gt, scale):
    """The corner (y, x) of the crop with the most detail in GT (variance of its Laplacian), in its central two thirds.

    It lies on the pixels of LQ.
    """
    detail = cv2.Laplacian(cv2.cvtColor(gt, cv2.COLOR_BGR2GRAY).astype(np.float32), cv2.CV_32F) ** 2
    energy = cv2.integral(detail)
    height, width = gt.shape[:2]
    candidates = [
        (y - y % scale, x - x % scale)
        for y in range(height // 6, height * 5 // 6 - CROP + 1, 8)
        for x in range(width // 6, width * 5 // 6 - CROP + 1, 8)
    ]
    return max(
        candidates,
        key=lambda c: (
            energy[c[0] + CROP, c[1] + CROP] - energy[c[0], c[1] + CROP] - energy[c[0] + CROP, c[1]] + energy[c]
        ),
    )


def _enlarged(image, y, x, scale):
    crop = image[y // scale : (y + CROP) // scale, x // scale : (x + CROP) // scale, ::-1]
    return Image.fromarray(np.ascontiguousarray(crop)).resize((CROP * ZOOM, CROP * ZOOM), Image.Resampling.NEAREST)


def _caption(method, title, scores):
    if method == 'lq':
        return title
    if method == 'gt':
        return f'NIQE {scores["gt"]["niqe"]:.2f}'
    numbers = scores[method]
    return f'{numbers["psnr"]:.2f} dB, NIQE {numbers["niqe"]:.2f}, HF {numbers["hf"]:.0%}'


def _font(size):
    return ImageFont.truetype(f'{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf', size)


def draw_curves(logs, path):
    """Draw the losses of both stages and rho over the iterations; ``logs`` as from ``training.train``, by stage."""
    figure = Figure(figsize=(12, 6), layout='constrained')
    panels = (
        ('l1', ['l_g_pix'], 'L1 stage: L1 loss'),
        ('gan', ['l_g_pix'], 'GAN stage: L1 loss'),
        ('gan', ['rho'], 'GAN stage: rho, |GAN gradient| / |L1 gradient|'),
        ('gan', ['l_g_gan'], 'GAN stage: GAN loss of G, weighted'),
        ('gan', ['l_d_real', 'l_d_fake'], 'GAN stage: losses of D'),
        ('gan', ['out_d_real', 'out_d_fake'], 'GAN stage: mean logits of D'),
    )
    for axes, (stage, names, title) in zip(figure.subplots(2, 3).flat, panels, strict=True):
        _plot(axes, logs[stage], names, title)
    with whole_file(path) as part:
        figure.savefig(part, dpi=100)


def _plot(axes, log, names, title):
    iterations = [row['iter'] for row in log]
    for index, name in enumerate(names):
        values, style = [row[name] for row in log], {'color': f'C{index}', 'linestyle': '--' if index else '-'}
        axes.plot(iterations, values, linewidth=0.8, alpha=0.3, **style)
        axes.plot(iterations, _running_mean(values), label=name, **style)
    axes.set_title(title, fontsize=10)
    axes.set_xlabel('iteration')
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def _running_mean(values, width=9):
    """The mean over a window of ``width`` values, cut off at both ends."""
    half = width // 2
    return [np.mean(values[max(i - half, 0) : i + half + 1]) for i in range(len(values))]
