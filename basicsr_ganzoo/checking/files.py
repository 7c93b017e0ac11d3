"""Files: the datasets open and hold enough, pairs lie on each other, and checkpoints fit their networks."""

import copy
import inspect
from os.path import exists, expanduser, isdir, isfile

import cv2
import numpy as np
from basicsr.data import build_dataset
from basicsr.utils.registry import ARCH_REGISTRY, METRIC_REGISTRY

from basicsr_ganzoo.basicsr_patches import repaired_build_dataset
from basicsr_ganzoo.config.build import build, lookup
from basicsr_ganzoo.config.findings import error, warning
from basicsr_ganzoo.config.runtime import leave_auto_to_the_dataset
from basicsr_ganzoo.data.folder_dataset import FolderDataset
from basicsr_ganzoo.data.measure import measure, refuse, size_text
from basicsr_ganzoo.data.sources import LazyImage
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.models.realesrgan_zoo_model import DegradingModel
from basicsr_ganzoo.models.validating_model import ValidatingModel
from basicsr_ganzoo.weights import load_checkpoint

PAIRS_LOOKED_AT = 8
LARGEST_SHIFT = 0.75  # pixels of LQ


def check(plan):
    """Findings about datasets and checkpoints, unless there is an error about these already.

    Reads them; writes nothing, and fetches nothing.
    """
    for name, block in plan.get('datasets', {}).items():
        if not plan.is_wrong('scale', f'datasets.{name}'):
            yield from _dataset(plan, name, block)
    of_g = ('network_g', 'path.pretrain_network_g', 'path.param_key_g', 'path.strict_load_g')
    of_d = ('network_d', 'pretrain_network_d', 'param_key_d', 'strict_load_d')
    for keys in (of_g, *(map(adversary.where, of_d) for adversary in plan.adversaries)):
        yield from _checkpoint(plan, *keys)
    state, root = plan.get('path.resume_state'), plan.get('path.experiments_root')
    if state and not isfile(expanduser(state)):
        yield error('path.resume_state', f'{state} is no file; correct the path, or train with --auto_resume')
    if root and exists(expanduser(root)) and not isdir(expanduser(root)):
        yield error('path.experiments_root', f'{root} is no folder; name another, or remove the key')


def _dataset(plan, name, block):
    key, opt = f'datasets.{name}', plan.opt
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
    if block['phase'] != 'train' or not plan.is_wrong('high_order_degradation'):
        yield from _sample(plan, key, block, sample)
    if shifts and np.median(shifts) > LARGEST_SHIFT:
        yield warning(
            key, f'lq and gt lie {np.median(shifts):.1f} pixels of lq apart; align the pairs, or G learns to blur'
        )


def _measure_stock(dataset, block):
    """Look at all images of one of BasicSR's datasets, which opens none before it trains.

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


def _sample(plan, key, block, sample):
    """Whether the model finds in a sample what it needs, and the metrics of validation too."""
    degrades = _is_a(plan.model, DegradingModel) and plan.opt.get('high_order_degradation', True)
    training = block['phase'] == 'train'
    if training and degrades and 'kernel1' not in sample:
        yield error(f'{key}.type', f'{block["type"]} draws no kernels to degrade with; use GTFolderDataset')
    elif not (training and degrades) and 'lq' not in sample:
        way_out = 'PairedFolderDataset' if training else 'PairedFolderDataset, or LQFolderDataset where there is no gt'
        yield error(f'{key}.type', f'{block["type"]} has no lq images, which are needed here; use {way_out}')
    yield from _channels(plan, sample)
    for metric, options in plan.get('val.metrics', {}).items() if not training and 'gt' not in sample else ():
        if _compares(options) and not _may_be_left_out(plan):
            yield error(
                f'val.metrics.{metric}', f'it compares with gt, which {key} does not have; remove one of the two'
            )


def _is_a(model, cls):
    return isinstance(model, type) and issubclass(model, cls)


def _may_be_left_out(plan):
    """Whether the model leaves metrics out where there is no gt, and another dataset may have one."""
    return len(set(plan.names('datasets')) - {'train'}) > 1 and _is_a(plan.model, ValidatingModel)


def _channels(plan, sample):
    """Whether the generator takes and makes images such as a dataset gives; lq made from gt is like gt."""
    pictures = {'num_in_ch': sample.get('lq', sample.get('gt')), 'num_out_ch': sample.get('gt')}
    for argument, picture in pictures.items():
        wanted = plan.get(f'network_g.{argument}')
        if picture is not None and wanted and wanted != len(picture):
            message = f'it is {wanted}, but the images have {len(picture)} channels; make it {len(picture)}'
            yield error(f'network_g.{argument}', message)


def _compares(metric):
    return 'img2' in inspect.signature(lookup(METRIC_REGISTRY, metric['type'])).parameters


def _shifts(dataset):
    """How far the first pairs lie apart, in pixels of LQ, by phase correlation; unclear ones are left out."""
    whole = copy.copy(dataset)
    whole.opt = {**dataset.opt, 'phase': 'val'}  # no crops, flips and turns, which hide misaligned pairs
    for index in range(min(len(dataset), PAIRS_LOOKED_AT)):
        sample = whole[index]
        lq, gt = (sample[name].mean(dim=0).numpy().astype(np.float64) for name in ('lq', 'gt'))
        reduced = cv2.resize(gt, lq.shape[::-1], interpolation=cv2.INTER_AREA)
        (x, y), response = cv2.phaseCorrelate(reduced, lq, cv2.createHanningWindow(lq.shape[::-1], cv2.CV_64F))
        if response > 0.3:
            yield float(np.hypot(x, y))


def _checkpoint(plan, network, file, param_key, strict):
    """Findings about the file of a network; the arguments are dotted keys."""
    path, block = plan.get(file), plan.get(network)
    if not path or not block or plan.is_wrong(network, file):
        return
    if path.startswith(('http://', 'https://', 'file://')):
        yield warning(file, f'{path} is fetched when training starts; it was not looked at')
        return
    try:
        net = build(ARCH_REGISTRY, block, network)
        load_checkpoint(net, path, plan.get(param_key, 'params'), plan.get(strict, True), network)
    except OptionError as mistake:
        yield error(file, mistake)
