"""Values: their kinds and bounds, where BasicSR's pipeline would crash late or do something else with others."""

from basicsr_ganzoo.checking.findings import error, get, paths
from basicsr_ganzoo.checking.keys import NUMBER
from basicsr_ganzoo.config.build import is_number
from basicsr_ganzoo.engine.precision import DTYPES

MAPPINGS = (
    'datasets',
    'path',
    'train',
    'val',
    'logger',
    'dist_params',
    'val.metrics',
    'val.keep_best',
    'logger.wandb',
    'adversaries',
)


def is_whole(value):
    """Whether ``value`` is a whole number, also one that YAML reads as 5000.0."""
    return is_number(value) and value == value // 1


def is_positive(value):
    """Whether ``value`` is a whole number above 0."""
    return isinstance(value, int) and is_number(value) and value > 0


def is_folder_name(value):
    """Whether ``value`` names a folder of its own, whose files can have longer names."""
    if not isinstance(value, str) or not value.strip() or value in ('.', '..'):
        return False
    return value.isprintable() and not set(value) & set('/\\') and len(value.encode()) <= 200


COUNT = ('a whole number above 0', lambda v: is_whole(v) and v > 0)
SIZE = ('a whole number above 0', is_positive)
NATURAL = ('a whole number from 0', lambda v: isinstance(v, int) and is_number(v) and v >= 0)
FLAG = ('true or false', lambda v: isinstance(v, bool))
TEXT = ('text', lambda v: isinstance(v, str))
NUMBER_OF_ANY_SIZE = ('a number', is_number)
FILE = ('the path of a file', lambda v: isinstance(v, str))
RULES = {
    'name': ('the name of a folder, without a slash and of at most 200 bytes', is_folder_name),
    'num_gpu': ('auto or a whole number from 0', lambda v: v == 'auto' or NATURAL[1](v)),
    'manual_seed': ('a whole number from 0 to 4294967295', lambda v: NATURAL[1](v) and v < 2**32),
    'train.total_iter': COUNT,
    'train.warmup_iter': ('a whole number, -1 for no warm-up', is_whole),
    'train.ema_decay': ('a number from 0 to below 1', lambda v: is_number(v) and 0 <= v < 1),
    'train.net_d_iters': SIZE,
    'train.net_d_init_iters': NATURAL,
    'val.val_freq': COUNT,
    'val.save_img': FLAG,
    'val.pbar': FLAG,
    'val.tile': NATURAL,
    'val.preview': NATURAL,
    'val.keep_best.better': ('higher or lower', lambda v: v in ('higher', 'lower')),
    'logger.print_freq': COUNT,
    'logger.save_checkpoint_freq': COUNT,
    'logger.keep_last': SIZE,
    'logger.use_tb_logger': FLAG,
    'path.pretrain_network_g': FILE,
    'path.resume_state': FILE,
    'path.experiments_root': ('the path of a folder', lambda v: isinstance(v, str)),
    'path.strict_load_g': FLAG,
    'train.grad_clip_g': ('a number above 0', lambda v: is_number(v) and v > 0),
    'train.max_bad_steps': SIZE,
    'train.ldl_detach_map': FLAG,
    'train.amp': ('bf16, fp16 or off', lambda v: v is False or v in list(DTYPES)),
    'train.channels_last': FLAG,
    'train.accumulate': SIZE,
    'train.grad_checkpoint': FLAG,
}
ADVERSARY_RULES = {
    'pretrain_network_d': FILE,
    'strict_load_d': FLAG,
    'views': ('a list of blocks with a type', lambda v: isinstance(v, list)),
    'd_reg_opt': (
        'a mapping of names to blocks with a type',
        lambda v: isinstance(v, dict) and 'type' not in v and all(isinstance(b, dict) for b in v.values()),
    ),
    'grad_clip_d': ('a number above 0', lambda v: is_number(v) and v > 0),
    'net_d_weight_clip': ('a number above 0', lambda v: is_number(v) and v > 0),
    'net_d_freeze': NATURAL,
    'net_d_ema_decay': ('a number from 0 to below 1', lambda v: is_number(v) and 0 <= v < 1),
    'net_d_skip_accuracy': ('a number from 0.5 to 1', lambda v: is_number(v) and 0.5 <= v <= 1),
}
DATASET_RULES = {
    'name': TEXT,
    'batch_size_per_gpu': SIZE,
    'num_worker_per_gpu': NATURAL,
    'dataset_enlarge_ratio': ('auto or a number above 0', lambda v: v == 'auto' or (is_number(v) and v > 0)),
    'gt_size': SIZE,
    'crop_pad_size': SIZE,
    'use_hflip': FLAG,
    'use_rot': FLAG,
    'pin_memory': FLAG,
    'persistent_workers': FLAG,
    'prefetch_mode': ('cpu, cuda or nothing', lambda v: v in ('cpu', 'cuda')),
    'num_prefetch_queue': SIZE,
}


def structure(opt):
    """Findings about what has to be a mapping or text; the other checks rely on it."""
    datasets = get(opt, 'datasets', {})
    names = datasets if isinstance(datasets, dict) else ()
    for key in (*MAPPINGS, *(f'datasets.{name}' for name in names)):
        value = get(opt, key)
        if value is not None and not isinstance(value, dict):
            yield error(key, f'this needs to be a mapping, keys with values below it, got {value!r}')
    metrics = get(opt, 'val.metrics', {})
    for key in ('model_type', *(f'val.metrics.{name}.type' for name in metrics if isinstance(metrics, dict))):
        yield from _value(key, get(opt, key), TEXT)


def check(opt):
    """Findings about single values. Numbers as text are a matter of :mod:`.keys`."""
    for key, rule in RULES.items():
        yield from _value(key, get(opt, key), rule)
    for name, rule in ADVERSARY_RULES.items():
        for key in paths(opt, name):
            yield from _value(key, get(opt, key), rule)
    for name in get(opt, 'val.metrics', {}):
        yield from _value(f'val.metrics.{name}.crop_border', get(opt, f'val.metrics.{name}.crop_border'), NATURAL)
    for name in get(opt, 'train', {}):
        yield from _value(f'train.{name}.loss_weight', get(opt, f'train.{name}.loss_weight'), NUMBER_OF_ANY_SIZE)
    for name, block in get(opt, 'datasets', {}).items():
        for key, rule in DATASET_RULES.items():
            yield from _value(f'datasets.{name}.{key}', (block or {}).get(key), rule)


def _value(key, value, rule):
    needed, fits = rule
    if value is None or (isinstance(value, str) and NUMBER.fullmatch(value)) or fits(value):
        return
    yield error(key, f'this needs to be {needed}, got {value!r}')
