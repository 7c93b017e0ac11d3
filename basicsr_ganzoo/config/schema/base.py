"""What the declarations of option keys share: mappings, blocks with a type, kinds of values, and who reads a key."""

import re
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from basicsr_ganzoo.config.types import Number

OURS = ('GANZooModel', 'RealESRGANZooModel', 'RealESRNetZooModel')
STOCK_GANS = ('SRGANModel', 'ESRGANModel', 'RealESRGANModel')
#: the models of image super-resolution; which keys another model reads is not known
MODELS = (*OURS, 'SRModel', 'SwinIRModel', 'RealESRNetModel', *STOCK_GANS)
GANS = (*OURS, *STOCK_GANS)
REALESRGAN = ('RealESRGANZooModel', 'RealESRGANModel')
REALESRNET = ('RealESRNetZooModel', 'RealESRNetModel')
DEGRADING = (*REALESRGAN, *REALESRNET)
#: how the documentation calls a group of models
GROUPS = {
    OURS: 'models of this package',
    GANS: 'GAN models',
    DEGRADING: 'models of Real-ESRGAN',
    REALESRGAN: 'RealESRGAN models',
    REALESRNET: 'RealESRNet models',
}


class Keys(BaseModel):
    """A mapping of an option file. Its fields are the keys; their values are judged, never used."""

    model_config = ConfigDict(extra='forbid', strict=True)
    words: ClassVar = 'a mapping, keys with values below it'
    unknown: ClassVar = 'nobody reads this key'
    open_to: ClassVar = None  # a pattern of the names of further keys
    further_read_by: ClassVar = None  # the models that read these, all by default

    @classmethod
    def takes(cls, name):
        """Whether a key that is not declared may be there."""
        return bool(cls.open_to and re.search(cls.open_to, name))

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema, handler):
        node = handler.resolve_ref_schema(handler(core_schema))
        del node['title']
        if cls.open_to:
            declared = '|'.join(filter(re.compile(cls.open_to).search, cls.model_fields))
            pattern = f'^(?!({declared})$).*{cls.open_to}' if declared else cls.open_to
            node['patternProperties'] = {pattern: node['additionalProperties']}
            node['additionalProperties'] = False
        for name, child in node['properties'].items():
            _document(child, name in node.get('required', ()))
        return node


class Block(Keys):
    """What a registry builds: a type and arguments, which the signature of the type judges."""

    model_config = ConfigDict(extra='allow')
    words: ClassVar = 'a mapping with a type'

    type: str = Field(description='the registered name, see `ganzoo list`')

    @classmethod
    def takes(cls, name):
        return True


class Loss(Block):
    """A loss."""

    loss_weight: Number = Field(1, description='factor of the loss')


def _document(child, is_required):
    """Let a key in a JSON Schema be null where it may be absent, and name in its description who reads it."""
    child['description'] += read_by(child.pop('models', None), child.pop('datasets', None))
    if is_required:
        return
    kind = {name: child.pop(name) for name in list(child) if name not in ('description', 'default')}
    child['anyOf'] = [*kind.get('anyOf', [kind]), {'type': 'null'}]
    if child['default'] is None:
        del child['default']


def key(default, doc, models=None, datasets=None):
    """Declare a key that may be absent.

    Args:
        default: what absence means; it is documentation alone, and None where there is nothing to say.
        doc: one line of documentation.
        models: the models that read the key, all by default.
        datasets: the types of datasets that read the key, all by default.
    """
    return Field(default, description=doc, json_schema_extra=_readers(models, datasets))


def required(doc, models=None, datasets=None):
    """Declare a key that has to be there. The arguments are those of :func:`key`."""
    return Field(description=doc, json_schema_extra=_readers(models, datasets))


def _readers(models, datasets):
    return {kind: list(names) for kind, names in (('models', models), ('datasets', datasets)) if names}


def readers(field, kind):
    """The ``models`` or the ``datasets`` that read a declared key; None where all do."""
    return (field.json_schema_extra or {}).get(kind)


def read_by(models, datasets):
    """Who reads a key, in brackets; nothing where all do."""
    who = [GROUPS.get(tuple(models), ', '.join(models))] if models else datasets
    return f' ({", ".join(who)})' if who else ''


def _path(value):
    if '\0' in value or len(value) > 4096:
        raise ValueError
    return value


def _folder_name(value):
    fits = value.strip() and value not in ('.', '..') and value.isprintable() and not set(value) & set('/\\')
    if not fits or len(value.encode()) > 200:
        raise ValueError
    return value


def _no_type(value):
    if isinstance(value, dict) and 'type' in value:
        raise ValueError
    return value


def _no_zero(value):
    if value == 0 and not isinstance(value, bool):
        raise ValueError
    return value


# A text among the metadata is how messages and documentation describe the kind. Where torch or BasicSR need an int,
# 16.0 is refused; a count of iterations may be 4.0e+5.
Size = Annotated[int, Field(ge=1)]
SizeOrZero = Annotated[int, Field(ge=0)]
Side = Annotated[int, Field(ge=1, le=16384)]
Decay = Annotated[Number, Field(ge=0, lt=1)]
Range = Annotated[list[Number], Field(min_length=2, max_length=2), '[low, high]']
Numbers = Annotated[list[Number], 'a list of numbers']
File = Annotated[str, AfterValidator(_path), 'the path of a file']
Folder = Annotated[str, AfterValidator(_path), 'the path of a folder']
Folders = Annotated[Folder | list[Folder], 'the path of a folder or a list of them']
Files = Annotated[File | list[File], 'the path of a file or a list of them']
FolderName = Annotated[
    str, AfterValidator(_folder_name), 'the name of a folder, without a slash and of at most 200 bytes'
]
Blocks = Annotated[list[Block], 'a list of blocks with a type']
NamedBlocks = Annotated[dict[str, Block], BeforeValidator(_no_type), 'a mapping of names to blocks with a type']
Preset = Literal['mild', 'medium', 'real']
Precision = Annotated[Literal['bf16', 'fp16', 'off', False], BeforeValidator(_no_zero), 'bf16, fp16 or off']
