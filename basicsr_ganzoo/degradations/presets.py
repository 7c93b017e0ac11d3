"""Parameters of the degradation: three presets, which an option file's own keys override."""

import difflib

from basicsr_ganzoo.config.build import is_number
from basicsr_ganzoo.errors import OptionError, did_you_mean

KERNEL_KINDS = ('iso', 'aniso', 'generalized_iso', 'generalized_aniso', 'plateau_iso', 'plateau_aniso')
KERNEL_SHARES = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)

#: Real-ESRGAN's published parameters (arXiv:2107.10833, Sec. 4.1, and its option files). Sigmas of blurs are in pixels,
#: of noise in 1/255; probabilities of resizes are (up, down, keep); JPEG qualities are from 0 (worst) to 100.
REAL = {
    # drawn by the dataset: the blur kernels of both stages, and the final sinc filter
    'kernel_list': KERNEL_KINDS,
    'kernel_prob': KERNEL_SHARES,
    'sinc_prob': 0.1,
    'blur_sigma': (0.2, 3),
    'betag_range': (0.5, 4),
    'betap_range': (1, 2),
    'kernel_list2': KERNEL_KINDS,
    'kernel_prob2': KERNEL_SHARES,
    'sinc_prob2': 0.1,
    'blur_sigma2': (0.2, 1.5),
    'betag_range2': (0.5, 4),
    'betap_range2': (1, 2),
    'final_sinc_prob': 0.8,
    # drawn by the model, first stage
    'resize_prob': (0.2, 0.7, 0.1),
    'resize_range': (0.15, 1.5),
    'gaussian_noise_prob': 0.5,
    'noise_range': (1, 30),
    'poisson_scale_range': (0.05, 3),
    'gray_noise_prob': 0.4,
    'jpeg_range': (30, 95),
    # second stage
    'second_blur_prob': 0.8,
    'resize_prob2': (0.3, 0.4, 0.3),
    'resize_range2': (0.3, 1.2),
    'gaussian_noise_prob2': 0.5,
    'noise_range2': (1, 25),
    'poisson_scale_range2': (0.05, 2.5),
    'gray_noise_prob2': 0.4,
    'jpeg_range2': (30, 95),
}

#: Our choice: about half the strength, for images that were compressed and resized once, not several times.
MEDIUM = REAL | {
    'blur_sigma': (0.2, 2),
    'blur_sigma2': (0.2, 1),
    'final_sinc_prob': 0.5,
    'resize_range': (0.4, 1.3),
    'noise_range': (1, 15),
    'poisson_scale_range': (0.05, 1.5),
    'jpeg_range': (50, 95),
    'second_blur_prob': 0.5,
    'resize_range2': (0.5, 1.15),
    'noise_range2': (1, 12),
    'poisson_scale_range2': (0.05, 1.2),
    'jpeg_range2': (50, 95),
}

#: Our choice: clean images of a good camera, saved with high quality.
MILD = MEDIUM | {
    'blur_sigma': (0.2, 1),
    'blur_sigma2': (0.2, 0.6),
    'final_sinc_prob': 0.2,
    'resize_range': (0.7, 1.15),
    'noise_range': (1, 5),
    'poisson_scale_range': (0.05, 0.5),
    'jpeg_range': (75, 95),
    'second_blur_prob': 0.2,
    'resize_range2': (0.8, 1.1),
    'noise_range2': (1, 4),
    'poisson_scale_range2': (0.05, 0.4),
    'jpeg_range2': (75, 95),
}

PRESETS = {'mild': MILD, 'medium': MEDIUM, 'real': REAL}

#: other keys, which are not reported as misspelt though they resemble a key of the degradation
OTHER_KEYS = ('blur_kernel_size', 'blur_kernel_size2', 'gt_usm', 'l1_gt_usm', 'percep_gt_usm', 'gan_gt_usm')


def settings(opt, keys):
    """The values of ``keys`` from ``opt``, and for absent or null keys from the preset ``opt['degradation']``.

    Raises:
        OptionError: there is no such preset, a key is missing or misspelt, or a value is out of range.
    """
    name = opt.get('degradation')
    if name is not None and name not in PRESETS:
        raise OptionError(
            f'degradation needs to be one of {", ".join(PRESETS)}, got {name!r}{did_you_mean(name, PRESETS)}'
        )
    check_spelling(opt, keys)
    values = PRESETS.get(name, {}) | {key: opt[key] for key in keys if opt.get(key) is not None}
    for key in keys:
        if key not in values:
            raise OptionError(f'the degradation lacks {key}; set it, or a preset, such as degradation: real')
        check_value(key, values[key])
    return {key: values[key] for key in keys}


def check_spelling(opt, keys):
    """Raise ``OptionError`` if ``opt`` has an unknown key that is close to one of ``keys``."""
    for key in opt:
        if key not in REAL and key not in OTHER_KEYS and key not in keys:
            near = difflib.get_close_matches(str(key), keys, 1, cutoff=0.8)
            if near:
                raise OptionError(f'the degradation has no option {key}{did_you_mean(key, near)}')


def check_value(key, value):
    """Raise ``OptionError`` unless ``value`` has the form and the range that ``key`` requires."""
    form, fits = _rule(key)
    if not fits(value):
        raise OptionError(f'the degradation needs {key} to be {form}, got {value!r}')


def _rule(key):
    stem = key.rstrip('2')
    if stem == 'kernel_list':
        return f'a list of {", ".join(KERNEL_KINDS)}', lambda v: _is_list(v) and v and all(k in KERNEL_KINDS for k in v)
    if stem == 'kernel_prob':
        return 'a list of probabilities, one for each of kernel_list', _are_probabilities
    if stem == 'resize_prob':
        return 'three probabilities: up, down and keep', lambda v: _are_probabilities(v) and len(v) == 3
    if stem.endswith('_prob'):
        return 'a number from 0 to 1', lambda v: is_number(v) and 0 <= v <= 1
    return _range_rule(stem)


def _range_rule(stem):
    if stem in ('resize_range', 'betag_range', 'betap_range'):
        return '[low, high] with 0 < low <= 1 <= high', lambda v: _ascends(v) and 0 < v[0] <= 1 <= v[1]
    if stem == 'jpeg_range':
        return '[low, high] with 0 < low < 100', lambda v: _ascends(v) and 0 < v[0] < 100 and v[1] <= 100
    if stem == 'blur_sigma':
        return '[low, high] with 0 < low < high', lambda v: _ascends(v) and 0 < v[0] < v[1]
    return '[low, high] with 0 <= low <= high', lambda v: _ascends(v) and v[0] >= 0


def _is_list(value):
    return isinstance(value, (list, tuple))


def _are_probabilities(value):
    return _is_list(value) and all(is_number(v) and v >= 0 for v in value) and sum(value) > 0


def _ascends(value):
    return _is_list(value) and len(value) == 2 and all(map(is_number, value)) and value[0] <= value[1]
