"""Keys: those that are missing, those that nobody reads, and numbers that YAML took for text."""

import difflib
import inspect
import re

from basicsr.utils.registry import DATASET_REGISTRY, MODEL_REGISTRY

from basicsr_ganzoo.adversarial.options import HOMES
from basicsr_ganzoo.checking.findings import error, get, warning
from basicsr_ganzoo.config.build import did_you_mean, lookup
from basicsr_ganzoo.data.folder_dataset import PIPELINE_KEYS, FolderDataset
from basicsr_ganzoo.degradations.second_order import KEYS as DEGRADATION_KEYS
from basicsr_ganzoo.engine.speed_options import KEYS as SPEED_KEYS
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.models.realesrgan_zoo_model import OTHER_KEYS, DegradingModel
from basicsr_ganzoo.registry import entries

#: what BasicSR's pipeline reads without asking whether it is there
NEEDED = (
    'name',
    'model_type',
    'num_gpu',
    'datasets.train.type',
    'datasets.train.batch_size_per_gpu',
    'datasets.train.num_worker_per_gpu',
    'network_g.type',
    'path',
    'train.total_iter',
    'logger.print_freq',
    'logger.save_checkpoint_freq',
)
NEEDED_WITH_VAL = ('val.val_freq', 'val.save_img')
TOP = (
    *('name', 'model_type', 'scale', 'num_gpu', 'manual_seed', 'datasets', 'network_g', 'network_d', 'path', 'train'),
    *('val', 'logger', 'dist_params', 'find_unused_parameters', 'imports', 'adversaries'),
)
KNOWN = {
    'path': (
        *('pretrain_network_g', 'param_key_g', 'strict_load_g', 'pretrain_network_d', 'param_key_d', 'strict_load_d'),
        *('resume_state', 'ignore_resume_networks', 'experiments_root'),
    ),
    'train': (
        *('ema_decay', 'optim_g', 'optim_d', 'scheduler', 'total_iter', 'warmup_iter', 'net_d_iters'),
        *('net_d_init_iters', 'pixel_opt', 'perceptual_opt', 'ldl_opt', 'ldl_detach_map', 'grad_clip_g'),
        *('max_bad_steps', 'health_opt', *SPEED_KEYS),
        *(key for key, home in HOMES.items() if home == 'train.'),
    ),
    'val': ('val_freq', 'save_img', 'metrics', 'pbar', 'suffix', 'tile', 'preview', 'keep_best'),
    'val.keep_best': ('metric', 'better'),
    'logger': ('print_freq', 'save_checkpoint_freq', 'keep_last', 'use_tb_logger', 'wandb'),
    'logger.wandb': ('project', 'resume_id'),
    'dist_params': ('backend', 'port'),
}
#: how the source of a dataset reads its options: opt['gt_size'], self.opt.get('gt_size'), 'mean' in opt
READ = re.compile(r"""opt(?:\[|\.get\()['"](\w+)['"]|['"](\w+)['"] in (?:self\.)?opt\b""")
#: packages of base classes that read no option; the source of ``typing.Generic`` cannot be had from Python 3.12 on
WITHOUT_KEYS = ('builtins', 'torch', 'typing')
NUMBER = re.compile(r'[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?')


def check(opt):
    """Findings about keys."""
    needed = (*NEEDED, *(NEEDED_WITH_VAL if opt.get('val') else ()))
    yield from (error(key, 'this key is missing') for key in needed if get(opt, key) is None)
    if opt.get('model_type') in entries('models'):
        yield from _unknown(opt, '', _top_keys(opt['model_type']))
        for block, known in KNOWN.items():
            further = _further_losses(get(opt, block, {}), known) if block == 'train' else ()
            yield from _unknown(get(opt, block, {}), f'{block}.', (*known, *further))
        for name, block in get(opt, 'adversaries', {}).items():
            yield from _unknown(block, f'adversaries.{name}.', HOMES)
    for name, block in get(opt, 'datasets', {}).items():
        yield from _dataset(name, block or {})
    yield from _numbers_as_text(opt)


def _top_keys(model_type):
    model = dict(iter(MODEL_REGISTRY))[model_type]
    if issubclass(model, DegradingModel):
        return (*TOP, *model.switches, *OTHER_KEYS, 'degradation', *DEGRADATION_KEYS)
    return TOP


def _further_losses(block, known):
    """Keys that end with _opt are losses of their own, unless they look like a slip of one that has a meaning."""
    stems = [key.removesuffix('_opt') for key in known if key.endswith('_opt')]
    for key in block:
        stem = str(key).removesuffix('_opt')
        if stem != key and not difflib.get_close_matches(stem, stems, 1, cutoff=0.75):
            yield key


def _unknown(block, prefix, known):
    for key in block if isinstance(block, dict) else ():
        if key not in known:
            yield error(f'{prefix}{key}', f'nobody reads this key{did_you_mean(key, known)}')


def _dataset(name, block):
    if str(name).split('_')[0] not in ('train', 'val'):
        yield error(f'datasets.{name}', f'training knows train, val, val_2, ...{did_you_mean(name, ["train", "val"])}')
    known = _keys_of_dataset(block.get('type'))
    for key in block if known else ():
        hint = did_you_mean(key, known)
        if key not in known and hint:
            yield error(f'datasets.{name}.{key}', f'nobody reads this key{hint}')
        elif key not in known:
            yield warning(f'datasets.{name}.{key}', f'{block["type"]} does not read this key')


def _keys_of_dataset(name):
    """What a dataset takes, told from its source; nothing for the folder datasets, which check it themselves."""
    try:
        entry = lookup(DATASET_REGISTRY, name)
        bases = [base for base in entry.__mro__ if base.__module__.split('.')[0] not in WITHOUT_KEYS]
        source = ''.join(map(inspect.getsource, bases))
    except (OptionError, OSError, TypeError):
        return ()
    if issubclass(entry, FolderDataset):
        return ()
    return {*PIPELINE_KEYS, 'dataset_enlarge_ratio', *(key for keys in READ.findall(source) for key in keys if key)}


def _numbers_as_text(value, key=''):
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _numbers_as_text(item, f'{key}.{name}' if key else str(name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _numbers_as_text(item, f'{key}[{index}]')
    elif isinstance(value, str) and NUMBER.fullmatch(value) and key != 'name':
        yield error(key, f'{value!r} is text, not a number; YAML wants a dot in it and no quotes: 0.0001 or 1.0e-4')
