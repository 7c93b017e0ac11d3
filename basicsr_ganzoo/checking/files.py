"""Files: the data sets open and hold enough, pairs lie on each other, and checkpoints fit their networks."""

import copy
import inspect
from pathlib import Path

import cv2
import numpy as np
from basicsr.data import build_dataset
from basicsr.utils.registry import ARCH_REGISTRY, METRIC_REGISTRY, MODEL_REGISTRY

from basicsr_ganzoo.basicsr_patches import repaired_build_dataset
from basicsr_ganzoo.checking.findings import adversaries, error, get, is_wrong, warning
from basicsr_ganzoo.checking.values import is_positive
from basicsr_ganzoo.config.build import build, lookup
from basicsr_ganzoo.config.runtime import leave_auto_to_the_dataset
from basicsr_ganzoo.data.folder_dataset import FolderDataset
from basicsr_ganzoo.data.measure import measure, refuse, size_text
from basicsr_ganzoo.data.sources import LazyImage
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.models.realesrgan_zoo_model import DegradingModel
from basicsr_ganzoo.models.validating_model import ValidatingModel
from basicsr_ganzoo.weights.load import load_checkpoint

PAIRS_LOOKED_AT = 8
LARGEST_SHIFT = 0.75  # pixels of LQ


def check(opt, found):
    """Findings about data sets and checkpoints, unless ``found`` has an error about these.

    Reads them; writes nothing, and fetches nothing.
    """
    for name, block in (opt.get('datasets') or {}).items():
        readable = isinstance(block, dict) and 'type' in block and is_positive(opt.get('scale', 1))
        if readable and not is_wrong(found, f'datasets.{name}'):
            yield from _dataset(opt, name, block, is_wrong(found, 'high_order_degradation'))
    of_g = ('network_g', 'path.pretrain_network_g', 'path.param_key_g', 'path.strict_load_g')
    of_d = ('network_d', 'pretrain_network_d', 'param_key_d', 'strict_load_d')
    for keys in (of_g, *(map(adversary.where, of_d) for adversary in adversaries(opt))):
        yield from _checkpoint(opt, found, *keys)
    state = get(opt, 'path.resume_state')
    if isinstance(state, str) and not Path(state).is_file():
        yield error('path.resume_state', f'{state} is no file; correct the path, or train with --auto_resume')


def _dataset(opt, name, block, is_mode_wrong):
    key = f'datasets.{name}'
    block = {**block, 'phase': name.split('_')[0], **({'scale': opt['scale']} if 'scale' in opt else {})}
    try:
        leave_auto_to_the_dataset(block)
        dataset = repaired_build_dataset(build_dataset)(block)
        _measure_stock(dataset, block)
        sample = copy.deepcopy(dataset)[0]
        shifts = list(_shifts(dataset)) if 'lq' in sample and 'gt' in sample else []
    except OptionError as mistake:
        yield error(key, str(mistake).removeprefix(f'datasets.{block["phase"]}').lstrip(': '))
        return
    if not (is_mode_wrong and block['phase'] == 'train'):
        yield from _sample(opt, key, block, sample)
    if shifts and np.median(shifts) > LARGEST_SHIFT:
        yield warning(
            key, f'lq and gt lie {np.median(shifts):.1f} pixels of lq apart; align the pairs, or G learns to blur'
        )


def _measure_stock(dataset, block):
    """Look at all pictures of one of BasicSR's datasets, which opens none before it trains.

    Raises:
        OptionError: some cannot be used, or do not fit.
    """
    paths = getattr(dataset, 'paths', None)
    on_disk = (block.get('io_backend') or {}).get('type') == 'disk'
    if isinstance(dataset, FolderDataset) or not on_disk or not isinstance(paths, list):
        return
    groups = [tuple(map(LazyImage, item.values() if isinstance(item, dict) else [item])) for item in paths]
    checked, sizes = measure(groups)
    if block['phase'] == 'train':
        scale, named = block.get('scale', 1), zip(checked, sizes, strict=True)
        misfits = [_names(pictures, sides) for pictures, sides in named if not _fit(sides, scale)]
        refuse(misfits, len(checked), f'pairs do not fit scale {scale}', f'cut GT to {scale} times LQ')


def _names(pictures, sizes):
    return ' and '.join(f'{picture.path} ({size_text(size)})' for picture, size in zip(pictures, sizes, strict=True))


def _fit(sizes, scale):
    return len(sizes) != 2 or all(max(sides) == scale * min(sides) for sides in zip(*sizes, strict=True))


def _sample(opt, key, block, sample):
    """Whether the model finds in a sample what it needs, and the metrics of validation too."""
    model = dict(iter(MODEL_REGISTRY)).get(opt.get('model_type'))
    degrades = isinstance(model, type) and issubclass(model, DegradingModel) and opt.get('high_order_degradation', True)
    training = block['phase'] == 'train'
    if training and degrades and 'kernel1' not in sample:
        yield error(f'{key}.type', f'{block["type"]} draws no kernels to degrade with; use GTFolderDataset')
    elif not (training and degrades) and 'lq' not in sample:
        way_out = 'PairedFolderDataset' if training else 'PairedFolderDataset, or LQFolderDataset where there is no gt'
        yield error(f'{key}.type', f'{block["type"]} has no lq pictures, which are needed here; use {way_out}')
    yield from _channels(opt, sample)
    for metric, options in get(opt, 'val.metrics', {}).items() if not training and 'gt' not in sample else ():
        if _compares(options) and not _may_be_left_out(opt, model):
            yield error(
                f'val.metrics.{metric}', f'it compares with gt, which {key} does not have; remove one of the two'
            )


def _may_be_left_out(opt, model):
    """Whether the model leaves metrics out where there is no gt, and another data set may have one."""
    others = sum(str(name).startswith('val') for name in opt['datasets']) > 1
    return others and isinstance(model, type) and issubclass(model, ValidatingModel)


def _channels(opt, sample):
    """Whether the generator takes and makes pictures such as a data set gives; lq made from gt is like gt."""
    pictures = {'num_in_ch': sample.get('lq', sample.get('gt')), 'num_out_ch': sample.get('gt')}
    for argument, picture in pictures.items():
        wanted = get(opt, f'network_g.{argument}')
        if picture is not None and is_positive(wanted) and wanted != len(picture):
            told = f'it is {wanted}, but the pictures have {len(picture)} channels; make it {len(picture)}'
            yield error(f'network_g.{argument}', told)


def _compares(metric):
    try:
        return 'img2' in inspect.signature(lookup(METRIC_REGISTRY, metric['type'])).parameters
    except (KeyError, OptionError, TypeError):
        return False


def _shifts(dataset):
    """How far the first pairs lie apart, in pixels of LQ, by phase correlation; unclear ones are left out."""
    whole = copy.copy(dataset)
    whole.opt = {**dataset.opt, 'phase': 'val'}  # no crops, flips and turns, which lessen what can be told
    for index in range(min(len(dataset), PAIRS_LOOKED_AT)):
        sample = whole[index]
        lq, gt = (sample[name].mean(dim=0).numpy().astype(np.float64) for name in ('lq', 'gt'))
        reduced = cv2.resize(gt, lq.shape[::-1], interpolation=cv2.INTER_AREA)
        (x, y), response = cv2.phaseCorrelate(reduced, lq, cv2.createHanningWindow(lq.shape[::-1], cv2.CV_64F))
        if response > 0.3:
            yield float(np.hypot(x, y))


def _checkpoint(opt, found, network, file, param_key, strict):
    """Findings about the file of a network; the arguments are dotted keys."""
    path, block = get(opt, file), get(opt, network)
    if not path or not isinstance(block, dict) or is_wrong(found, network) or is_wrong(found, file):
        return
    if '://' in str(path):
        yield warning(file, f'{path} is fetched when training starts; it was not looked at')
        return
    try:
        net = build(ARCH_REGISTRY, block, network)
        load_checkpoint(net, path, get(opt, param_key, 'params'), get(opt, strict, True), network)
    except OptionError as mistake:
        yield error(file, mistake)
