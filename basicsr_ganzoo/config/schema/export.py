"""What the schema is exported as: the JSON Schema for editors, and the reference page of all keys."""

from pydantic.json_schema import GenerateJsonSchema

from basicsr_ganzoo.config.schema.base import read_by, readers
from basicsr_ganzoo.config.schema.datasets import Dataset
from basicsr_ganzoo.config.schema.degradation import KernelDegradation, ModelDegradation
from basicsr_ganzoo.config.schema.judge import hints, wanted
from basicsr_ganzoo.config.schema.top import Best, Distributed, Logger, Metric, Options, Path, Validation, Wandb
from basicsr_ganzoo.config.schema.train import Adversary, Compile, DiscriminatorKeys, Health, Scheduler, Train

INTRODUCTION = """\
# Options

Every key of an option file. `ganzoo options reference` prints this page, and `ganzoo check -opt FILE` judges a file by
the same declarations. A key that is `null` counts as absent. Blocks with a `type` take the arguments of what they name:
`ganzoo show NAME`. GAN models are this package's, `SRGANModel`, `ESRGANModel` and `RealESRGANModel`.
"""
#: heading -> the keys of the section: those of a class, without those of a class that has a section of its own
SECTIONS = {
    'Top level': (Options, ModelDegradation),
    'Top level: degradation by Real-ESRGAN': (ModelDegradation, None),
    '`path`': (Path, None),
    '`datasets.train`, `datasets.val`, `datasets.val_2`, ...': (Dataset, KernelDegradation),
    '`datasets.train`: blur kernels': (KernelDegradation, None),
    '`train`': (Train, DiscriminatorKeys),
    '`train`: the discriminator': (DiscriminatorKeys, None),
    '`train.scheduler`': (Scheduler, None),
    '`train.health_opt`': (Health, None),
    '`train.compile`': (Compile, None),
    '`adversaries.NAME`, beside the keys of the discriminator above': (Adversary, DiscriminatorKeys),
    '`val`': (Validation, None),
    '`val.metrics.NAME`': (Metric, None),
    '`val.keep_best`': (Best, None),
    '`logger`': (Logger, None),
    '`logger.wandb`': (Wandb, None),
    '`dist_params`': (Distributed, None),
}


class _WithoutTitles(GenerateJsonSchema):
    """Titles would repeat the names of the keys."""

    def field_title_should_be_set(self, schema):
        return False


def json_schema():
    """The JSON Schema of an option file, for editors."""
    schema = Options.model_json_schema(schema_generator=_WithoutTitles)
    return {'$schema': 'https://json-schema.org/draft/2020-12/schema', 'title': 'basicsr_ganzoo option file', **schema}


def reference():
    """The reference page of all keys, as Markdown."""
    sections = (_section(heading, *classes) for heading, classes in SECTIONS.items())
    return '\n'.join([INTRODUCTION, *sections])


def _section(heading, cls, elsewhere):
    """A heading, what the class says of itself, and a table of its keys without those of the class ``elsewhere``."""
    kinds = hints(cls)
    left_out = elsewhere.model_fields if elsewhere else {}
    own = {name: field for name, field in cls.model_fields.items() if name not in left_out or field.is_required()}
    rows = [_row(name, field, wanted(kinds[name])) for name, field in own.items()]
    head = [f'## {heading}', '', cls.__doc__, '', '| key | value | default | |', '|---|---|---|---|']
    return '\n'.join([*head, *rows, ''])


def _row(name, field, kind):
    default = 'required' if field.is_required() else '' if field.default is None else f'`{_yaml(field.default)}`'
    who = read_by(readers(field, 'models'), readers(field, 'datasets'))
    return f'| `{name}` | {kind} | {default} | {field.description}{who} |'


def _yaml(value):
    return str(value).lower() if isinstance(value, bool) else value
