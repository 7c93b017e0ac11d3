"""The metrics of the demo."""

import numpy as np
from basicsr.metrics import calculate_niqe, calculate_psnr, calculate_ssim
from basicsr.metrics.metric_util import to_y_channel

METHOD = (
    'PSNR (dB) and SSIM on RGB, NIQE (lower is better) and HF on Y, each without a border of scale pixels; '
    'HF: energy above the Nyquist frequency of LQ, divided by that of GT'
)


def score(image, gt, scale):
    """PSNR, SSIM, NIQE and HF of an 8-bit BGR image (H, W, 3), rounded to 4 digits; only NIQE for GT itself."""
    values = {'niqe': calculate_niqe(image, crop_border=scale)}
    if image is not gt:
        values['psnr'] = calculate_psnr(image, gt, crop_border=scale)
        values['ssim'] = calculate_ssim(image, gt, crop_border=scale)
        values['hf'] = high_frequency_energy(image, scale) / high_frequency_energy(gt, scale)
    return {name: round(float(value), 4) for name, value in values.items()}


def high_frequency_energy(image, scale):
    """Energy of the luminance at frequencies that LQ cannot represent, without a border of ``scale`` pixels.

    The sum of the squared magnitude of the Fourier transform where the horizontal or the vertical frequency is above
    1 / (2 * scale) cycles per pixel; a Hann window hides the discontinuity between opposite sides.
    """
    y = to_y_channel(image)[scale:-scale, scale:-scale, 0].astype(np.float64)
    height, width = y.shape
    window = np.hanning(height)[:, None] * np.hanning(width)
    energy = np.abs(np.fft.fft2((y - y.mean()) * window)) ** 2
    nyquist = 1 / (2 * scale)
    above = (np.abs(np.fft.fftfreq(height))[:, None] > nyquist) | (np.abs(np.fft.fftfreq(width)) > nyquist)
    return energy[above].sum() / (height * width)
