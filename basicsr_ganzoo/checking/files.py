"""Files: the data sets open and hold enough, pairs lie on each other, and checkpoints fit their networks."""

import cv2
import numpy as np
from basicsr.data import build_dataset
from basicsr.utils.registry import ARCH_REGISTRY

from basicsr_ganzoo._options import OptionError, build
from basicsr_ganzoo._pipeline import repaired_build_dataset
from basicsr_ganzoo.checking import error, get, warning
from basicsr_ganzoo.checking.shapes import is_positive
from basicsr_ganzoo.checkpoints import load_checkpoint

PAIRS_LOOKED_AT = 8
LARGEST_SHIFT = 0.75  # pixels of LQ


def check(opt):
    """Findings about data sets and checkpoints. Reads them; writes nothing, and fetches nothing."""
    for name, block in (opt.get('datasets') or {}).items():
        if isinstance(block, dict) and 'type' in block and is_positive(opt.get('scale', 1)):
            yield from _dataset(opt, name, block)
    for which in 'gd':
        yield from _checkpoint(opt, which)


def _dataset(opt, name, block):
    key = f'datasets.{name}'
    block = {**block, 'phase': name.split('_')[0], **({'scale': opt['scale']} if 'scale' in opt else {})}
    if block.get('dataset_enlarge_ratio') in ('auto', None):
        block.pop('dataset_enlarge_ratio', None)
    try:
        dataset = repaired_build_dataset(build_dataset)(block)
        shifts = list(_shifts(dataset)) if block['phase'] == 'train' else []
    except OptionError as mistake:
        yield error(key, str(mistake).removeprefix(f'datasets.{block["phase"]}: '))
        return
    if shifts and np.median(shifts) > LARGEST_SHIFT:
        yield warning(
            key, f'lq and gt lie {np.median(shifts):.1f} pixels of lq apart; align the pairs, or G learns to blur'
        )


def _shifts(dataset):
    """How far the first pairs lie apart, in pixels of LQ, by phase correlation; unclear ones are left out."""
    for index in range(min(len(dataset), PAIRS_LOOKED_AT)):
        sample = dataset[index]
        if 'lq' not in sample:
            return
        lq, gt = (sample[name].mean(dim=0).numpy().astype(np.float64) for name in ('lq', 'gt'))
        reduced = cv2.resize(gt, lq.shape[::-1], interpolation=cv2.INTER_AREA)
        (x, y), response = cv2.phaseCorrelate(reduced, lq, cv2.createHanningWindow(lq.shape[::-1], cv2.CV_64F))
        if response > 0.3:
            yield float(np.hypot(x, y))


def _checkpoint(opt, which):
    key, network = f'path.pretrain_network_{which}', f'network_{which}'
    path, block = get(opt, key), get(opt, network)
    if not path or not isinstance(block, dict):
        return
    if '://' in str(path):
        yield warning(key, f'{path} is fetched when training starts; it was not looked at')
        return
    try:
        net = build(ARCH_REGISTRY, block, network)
        param_key = get(opt, f'path.param_key_{which}', 'params')
        load_checkpoint(net, path, param_key, get(opt, f'path.strict_load_{which}', True), network)
    except OptionError as mistake:
        yield error(key, mistake)
