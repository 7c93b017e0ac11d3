"""The schema of option files: what it judges, and that all that is made of it agrees."""

import ast
import copy
import datetime
import inspect
import json
import re

import pytest
import yaml
from _training import OPTIONS, write_option_file
from basicsr.utils.registry import DATASET_REGISTRY, MODEL_REGISTRY
from jsonschema import Draft202012Validator

from basicsr_ganzoo.config.schema import json_schema, judge, reference
from basicsr_ganzoo.config.schema.base import MODELS, OURS, readers
from basicsr_ganzoo.config.schema.datasets import DATASETS, OUR_DATASETS, Dataset
from basicsr_ganzoo.data.folder_dataset import PIPELINE_KEYS
from basicsr_ganzoo.registry import entries

FILES = sorted(OPTIONS.rglob('*.yml'))
#: how the source of a dataset of BasicSR reads its options: opt['gt_size'], self.opt.get('gt_size'), 'mean' in opt
READ = re.compile(r"""opt(?:\[|\.get\()['"](\w+)['"]|['"](\w+)['"] in (?:self\.)?opt\b""")


VALIDATOR = Draft202012Validator(json_schema())


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_shipped_files_fit_the_schema_and_an_independent_validator_says_so_too(path):
    opt = yaml.safe_load(path.read_text())
    assert judge(opt) == []
    VALIDATOR.validate(opt)


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_a_shipped_file_leads_editors_to_the_schema(path):
    lines = [line for line in path.read_text().splitlines() if 'yaml-language-server' in line]
    (target,) = [re.fullmatch(r'# yaml-language-server: \$schema=(\S+)', line)[1] for line in lines]
    assert (path.parent / target).resolve() == (OPTIONS / 'schema.json').resolve()


def test_the_committed_schema_and_page_are_those_that_are_generated():
    assert json.loads((OPTIONS / 'schema.json').read_text()) == json_schema()
    assert (OPTIONS.parent / 'docs/options.md').read_text() == reference()


def test_the_json_schema_is_one():
    validator = Draft202012Validator(Draft202012Validator.META_SCHEMA)
    assert [error.message for error in validator.iter_errors(json_schema())] == []


NOT_WRONG = {
    'a whole number with a dot counts iterations': ('train.total_iter', 4.0),
    'null is absent': ('train.ema_decay', None),
    'a loss of any name': ('train.colour_opt', {'type': 'L1Loss', 'of': {'somebody': [1]}}),
    'a further validation set': ('datasets.val_2', {'type': 'SingleImageDataset', 'dataroot_lq': ['a', 'b']}),
    'text of a digit': ('val.suffix', '2'),
    'a name of digits': ('name', '5'),
    'arguments of a plug-in': ('network_g', {'type': 'Own', 'scales': {2: [True, 'a', None]}}),
    'auto': ('num_gpu', 'auto'),
}
LONG = 'a/' * 2500
#: key, value, what it needs to be
KINDS = [
    ('train.ema_decay', 'a', 'a number from 0 to below 1'),
    ('train.grad_clip_g', True, 'a number above 0'),
    ('train.total_iter', 0.5, 'a whole number from 1'),
    ('val.save_img', 1, 'true or false'),
    ('val.save_img', 'yes!', 'true or false'),
    ('train.amp', 0, 'bf16, fp16 or off'),
    ('train.compile', 'on', 'true, false or a mapping such as mode: default'),
    ('train.health_opt', 5, 'true, false or a mapping'),
    ('num_gpu', -1, 'auto or a whole number from 0'),
    ('model_type', ['GANZooModel'], 'text'),
    ('name', 5, 'the name of a folder, without a slash and of at most 200 bytes'),
    ('datasets.train.mean[0]', [[1]], 'a number'),
    ('datasets.train.blur_sigma', [1, 2, 3], '[low, high]'),
    ('train.views', {'type': 'ScaleView'}, 'a list of blocks with a type'),
    ('train.views[0]', ['ScaleView'], 'a mapping with a type'),
    ('train', 'fast', 'a mapping, keys with values below it'),
    ('network_d', 'VGG', 'a mapping with a type'),
    ('train.d_reg_opt', {'type': 'R1Regularizer'}, 'a mapping of names to blocks with a type'),
    ('path.pretrain_network_g', 5, 'the path of a file'),
    ('val.keep_best.better', 'more', 'higher or lower'),
    ('adversaries.a.views', 1, 'a list of blocks with a type'),
    ('val.metrics.psnr.crop_border', [1], 'a whole number from 0'),
    ('train.colour_opt.loss_weight', [1], 'a number'),
    ('train.scheduler.milestones[0]', [[1]], 'a number'),
    ('train.net_d_skip_accuracy', 90, 'a number from 0.5 to 1'),
    ('manual_seed', 2**32, 'a whole number from 0 to 4294967295'),
    ('datasets.train.crop_pad_size', 10**6, 'a whole number from 1 to 16384'),
    ('datasets.train.dataset_enlarge_ratio', 10**12, 'auto or a number above 0 and up to 1000000'),
    ('gan_gt_usm', [[]], 'true or false'),
]
#: what the validator for editors does not tell apart from what is right
HIDDEN = [
    ('name', '..', 'the name of a folder, without a slash and of at most 200 bytes'),
    ('train.ema_decay', float('nan'), 'a number from 0 to below 1'),
    ('train.grad_clip_g', float('inf'), 'a number above 0'),
    ('name', LONG, 'the name of a folder, without a slash and of at most 200 bytes'),
    ('path.resume_state', 'a\0b', 'the path of a file'),
    ('path.resume_state', LONG, 'the path of a file'),
]
MESSAGES = {
    'a number as text': (
        'train.ema_decay',
        '9e-1',
        "'9e-1' is text, not a number; write numbers without quotes",
    ),
    'a number as text in a block': ('train.optim_g.betas', ['9e-1', 0.99], "betas[0]: '9e-1' is text, not a number"),
    'a size with a dot': ('scale', 4.0, 'this needs to be a whole number from 1, got 4.0; write 4'),
    'a date': ('name', datetime.date(2020, 12, 24), 'got the date 2020-12-24; put it in quotes if it is text'),
    'a key that is missing': ('logger.print_freq', None, 'this key is missing'),
    'a block without a type': ('network_d', {'num_feat': 4}, 'network_d.type: this key is missing'),
    'an adversary without a loss': ('adversaries.a', {}, 'adversaries.a.gan_opt: this key is missing'),
    'a misspelt key': ('train.net_d_itres', 2, 'nobody reads this key (did you mean net_d_iters?)'),
    'a misspelt key of one of two forms': (
        'train.health_opt',
        {'frq': 1},
        'health_opt.frq: nobody reads this key',
    ),
    'a near miss of a loss': ('train.pixle_opt', {'type': 'L1Loss'}, 'nobody reads this key (did you mean pixel_opt?)'),
    'a key of another place': ('gan_opt', {'type': 'L1Loss'}, 'nobody reads this key'),
    'a set of another name': (
        'datasets.train_2',
        {'type': 'X'},
        'datasets.train_2: training reads train, val, val_2',
    ),
    'a name that is a number': (
        'train.d_reg_opt',
        {1: {'type': 'R'}},
        'd_reg_opt.1: the name of a key needs to be',
    ),
    'a set that is called by a number': ('datasets', {2: {}}, 'datasets.2: training reads train, val, val_2'),
    'a key of another dataset': ('datasets.train.crop_pad_size', 4, 'PairedImageDataset does not read this key'),
    'a misspelt key of a dataset': ('datasets.train.use_rott', True, 'nobody reads this key (did you mean use_rot?)'),
}


def changed(tmp_path, key, value):
    """A good file with one value changed; only what is above an index is meant by ``key``."""
    opt = yaml.safe_load(write_option_file(tmp_path).read_text())
    *parents, last = key.partition('[')[0].split('.')
    block = opt
    for parent in parents:
        block = block.setdefault(parent, {})
    block[last] = value
    return opt


def told(opt):
    return [str(finding) for finding in judge(opt)]


@pytest.mark.parametrize('name', NOT_WRONG)
def test_what_is_not_wrong(name, tmp_path):
    opt = changed(tmp_path, *NOT_WRONG[name])
    before = copy.deepcopy(opt)
    assert told(opt) == []
    assert opt == before
    assert VALIDATOR.is_valid(opt)


@pytest.mark.parametrize(('key', 'value', 'needed'), [*KINDS, *HIDDEN])
def test_a_value_of_a_wrong_kind_is_named_with_its_key_and_the_rule(key, value, needed, tmp_path):
    opt = changed(tmp_path, key, value)
    opt['model_type'] = 'RealESRGANZooModel' if key == 'gan_gt_usm' else opt['model_type']
    (message,) = [message for message in told(opt) if 'needs to be' in message]
    assert message.startswith(f'{key}: this needs to be {needed}, got ')
    assert len(message) < 250
    assert VALIDATOR.is_valid(opt) == ((key, value, needed) in HIDDEN)


@pytest.mark.parametrize('name', MESSAGES)
def test_a_mistake_is_named_with_the_way_out(name, tmp_path):
    *change, expected = MESSAGES[name]
    assert any(expected in message for message in told(changed(tmp_path, *change)))


def test_all_mistakes_are_reported_at_once(tmp_path):
    opt = changed(tmp_path, 'train', {'total_iter': 'many', 'optim_g': {'lr': '1e-4'}, 'amp': 1})
    keys = [finding.key for finding in judge(opt | {'scale': 0, 'netwrok_g': {}})]
    assert sorted(keys) == [
        *('netwrok_g', 'scale', 'train.amp', 'train.optim_g.lr', 'train.optim_g.type', 'train.scheduler'),
        'train.total_iter',
    ]


@pytest.mark.parametrize('model', ['SRGANModel', 'RealESRGANModel', 'SRModel'])
def test_what_a_model_of_basicsr_does_not_read_leads_to_the_model_that_does(model, tmp_path):
    opt = changed(tmp_path, 'train.amp', 'bf16') | {'model_type': model}
    better = 'RealESRGANZooModel' if model == 'RealESRGANModel' else 'GANZooModel'
    assert f'train.amp: {model} does not read this key; use model_type: {better}, or remove it' in told(opt)


def test_what_somebody_elses_model_or_data_set_reads_is_not_known(tmp_path):
    opt = changed(tmp_path, 'train.teacher', 2) | {'model_type': 'OwnModel', 'own': {}}
    opt['train']['student'] = {'lr': 1}
    opt['datasets']['train'].update(type='OwnDataset', own=[1])
    assert told(opt) == []


def test_models_and_data_sets_of_the_schema_are_those_that_are_registered():
    assert set(OURS) == set(entries('models'))
    assert set(OUR_DATASETS) == set(entries('data'))
    assert set(MODELS) <= {name.removesuffix('_basicsr') for name, _ in MODEL_REGISTRY}


def code_of(entry):
    """The source of a class without its docstring, which in BasicSR's master names a key that is not read."""
    (node,) = ast.parse(inspect.getsource(entry)).body
    return '\n'.join(map(ast.unparse, node.body[1:] if ast.get_docstring(node) else node.body))


@pytest.mark.parametrize('kind', DATASETS)
def test_the_schema_knows_what_a_data_set_reads(kind):
    entry = dict(iter(DATASET_REGISTRY)).get(kind) or dict(iter(DATASET_REGISTRY))[f'{kind}_basicsr']
    if kind in OUR_DATASETS:
        read = set(entry.OPTIONS) - {'dataset_enlarge_ratio'}
    else:
        read = {name for names in READ.findall(code_of(entry)) for name in names if name}
        read -= {*PIPELINE_KEYS, 'client_keys', 'db_paths'}  # the last two are keys of io_backend
    assert {name for name, field in Dataset.model_fields.items() if kind in (readers(field, 'datasets') or ())} == read
