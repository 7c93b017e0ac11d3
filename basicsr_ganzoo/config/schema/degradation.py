"""Keys of Real-ESRGAN's degradation: those of the model at the top level, and the blur kernels of the dataset."""

from typing import Annotated, Literal

from pydantic import Field

from basicsr_ganzoo.config.schema.base import (
    DEGRADING,
    REALESRGAN,
    REALESRNET,
    Keys,
    Numbers,
    Preset,
    Range,
    Side,
    Size,
    key,
)
from basicsr_ganzoo.config.types import Share

KERNELS = ('GTFolderDataset', 'RealESRGANDataset')
KernelKinds = list[Literal['iso', 'aniso', 'generalized_iso', 'generalized_aniso', 'plateau_iso', 'plateau_aniso']]
KernelSide = Annotated[int, Field(ge=7, le=21), 'an odd number of pixels up to 21']


class ModelDegradation(Keys):
    """What the model draws. `degradation` stands for all numbers; those that are given win over it."""

    degradation: Preset = key(None, 'preset for all numbers of the degradation', DEGRADING[::2])
    high_order_degradation: bool = key(True, 'make LQ from GT while training; false trains on pairs', DEGRADING)
    gt_size: Side = key(None, 'side in pixels of the GT crops that the model trains on', DEGRADING)
    queue_size: Size = key(180, 'pairs in the pool that mixes the degradations of many batches', DEGRADING)
    l1_gt_usm: bool = key(True, 'pixel_opt compares with the sharpened GT', REALESRGAN)
    percep_gt_usm: bool = key(True, 'perceptual_opt compares with the sharpened GT', REALESRGAN)
    gan_gt_usm: bool = key(False, 'the discriminator sees the sharpened GT', REALESRGAN)
    gt_usm: bool = key(True, 'GT is sharpened, as the target and before the degradation', REALESRNET)
    resize_prob: Numbers = key(None, 'shares of enlarging, reducing and keeping the size, first stage', DEGRADING)
    resize_range: Range = key(None, 'factors of the first resize', DEGRADING)
    gaussian_noise_prob: Share = key(None, 'probability of Gaussian rather than Poisson noise', DEGRADING)
    noise_range: Range = key(None, 'sigma of the Gaussian noise in 1/255', DEGRADING)
    poisson_scale_range: Range = key(None, 'scale of the Poisson noise', DEGRADING)
    gray_noise_prob: Share = key(None, 'probability that the noise is grey', DEGRADING)
    jpeg_range: Range = key(None, 'JPEG quality, from 0 to 100', DEGRADING)
    second_blur_prob: Share = key(None, 'probability of a blur in the second stage', DEGRADING)
    resize_prob2: Numbers = key(None, 'as resize_prob, second stage', DEGRADING)
    resize_range2: Range = key(None, 'as resize_range, second stage', DEGRADING)
    gaussian_noise_prob2: Share = key(None, 'as gaussian_noise_prob, second stage', DEGRADING)
    noise_range2: Range = key(None, 'as noise_range, second stage', DEGRADING)
    poisson_scale_range2: Range = key(None, 'as poisson_scale_range, second stage', DEGRADING)
    gray_noise_prob2: Share = key(None, 'as gray_noise_prob, second stage', DEGRADING)
    jpeg_range2: Range = key(None, 'as jpeg_range, second stage', DEGRADING)


class KernelDegradation(Keys):
    """What the dataset draws: blur kernels of both stages, and the final sinc filter."""

    degradation: Preset = key('real', 'preset for all numbers of the kernels', datasets=KERNELS[:1])
    blur_kernel_size: KernelSide = key(21, 'side to which kernels are padded', datasets=KERNELS)
    kernel_list: KernelKinds = key(None, 'kinds of kernels, first stage', datasets=KERNELS)
    kernel_prob: Numbers = key(None, 'one share for each entry of kernel_list', datasets=KERNELS)
    sinc_prob: Share = key(None, 'probability of a sinc kernel', datasets=KERNELS)
    blur_sigma: Range = key(None, 'sigma of the blur in pixels', datasets=KERNELS)
    betag_range: Range = key(None, 'shape of generalized Gaussian kernels', datasets=KERNELS)
    betap_range: Range = key(None, 'shape of plateau kernels', datasets=KERNELS)
    blur_kernel_size2: KernelSide = key(21, 'as blur_kernel_size, second stage', datasets=KERNELS)
    kernel_list2: KernelKinds = key(None, 'as kernel_list, second stage', datasets=KERNELS)
    kernel_prob2: Numbers = key(None, 'as kernel_prob, second stage', datasets=KERNELS)
    sinc_prob2: Share = key(None, 'as sinc_prob, second stage', datasets=KERNELS)
    blur_sigma2: Range = key(None, 'as blur_sigma, second stage', datasets=KERNELS)
    betag_range2: Range = key(None, 'as betag_range, second stage', datasets=KERNELS)
    betap_range2: Range = key(None, 'as betap_range, second stage', datasets=KERNELS)
    final_sinc_prob: Share = key(None, 'probability of the final sinc filter', datasets=KERNELS)
