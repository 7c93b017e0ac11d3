"""Types of option values, for annotations and for the schema, and how error messages describe them."""

import re
import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Union, get_args, get_origin

from pydantic import BeforeValidator, Field, FiniteFloat

NUMBER_AS_TEXT = re.compile(r'[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?')
#: how to write a number that YAML took for text
NUMBER_FORM = 'write numbers without quotes, and with a dot before an exponent: 3, 0.0001, 1.0e-4'
ALONE = {'ge': 'of at least', 'gt': 'above', 'le': 'of at most', 'lt': 'below'}
FROM_TO = {'ge': 'from', 'le': 'to', 'lt': 'to below'}
ABOVE_AND = {'gt': 'above', 'le': 'and up to', 'lt': 'and below'}
SIMPLE = {bool: 'true or false', int: 'a whole number', float: 'a number', str: 'text', type(None): 'null'}
PLAIN = (*SIMPLE, list, tuple, dict, Sequence, Mapping)


def whole(value):
    """``value``, and 5 for 5.0, which is how YAML reads ``5.0`` and ``5.0e+0``."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(whole)]
Natural = Annotated[Whole, Field(ge=0)]
Count = Annotated[Whole, Field(ge=1)]
Number = FiniteFloat
NonNegative = Annotated[Number, Field(ge=0)]
Positive = Annotated[Number, Field(gt=0)]
Share = Annotated[Number, Field(ge=0, le=1)]


def describe(annotation):
    """What a value has to be, such as ``a number from 0 to 1``.

    A type describes itself by a text in its metadata, as in ``Annotated[str, 'the path of a file']``.
    """
    metadata = []
    while get_origin(annotation) is Annotated:
        annotation, *further = get_args(annotation)
        metadata += further
    words = [item for item in metadata if isinstance(item, str)]
    if words:
        return words[-1]
    if annotation in (int, float):
        return _with_bounds(annotation, metadata)
    return SIMPLE.get(annotation) or _describe_container(annotation)


def _describe_container(annotation):
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return f'one of {", ".join(map(str, arguments))}' if len(arguments) > 1 else str(arguments[0])
    if origin in (Union, types.UnionType):
        return ' or '.join(map(describe, arguments))
    kind = origin or annotation
    if isinstance(kind, type) and issubclass(kind, Mapping):
        return 'a mapping'
    if isinstance(kind, type) and issubclass(kind, Sequence):
        items = dict.fromkeys(describe(item) for item in arguments if item is not ...)
        count = f' of {len(arguments)}' if kind is tuple and arguments and ... not in arguments else ''
        return f'a list{count}' + (f', each item {" or ".join(items)}' if items else '')
    return getattr(annotation, '__name__', str(annotation))


def _with_bounds(annotation, metadata):
    items = [item for entry in metadata for item in getattr(entry, 'metadata', [entry])]  # Field(...) holds several
    bound = {name: getattr(item, name) for item in items for name in ALONE if hasattr(item, name)}
    phrases = ALONE
    if len(bound) == 2:
        phrases = FROM_TO if 'ge' in bound else ABOVE_AND
    elif annotation is int:
        phrases = {**ALONE, 'ge': 'from'}
    numbers = {name: f'{value:g}' if isinstance(value, float) else str(value) for name, value in sorted(bound.items())}
    return ' '.join([SIMPLE[annotation], *(f'{phrases[name]} {number}' for name, number in numbers.items())])


def is_plain(annotation):
    """Whether an annotation consists of what YAML has: numbers, texts, switches, null, lists and mappings."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return is_plain(arguments[0])
    if origin in (Union, types.UnionType, *PLAIN):
        return all(is_plain(argument) for argument in arguments if argument is not ...)
    return origin is Literal or annotation in PLAIN


def choices(annotation):
    """The values of every ``Literal`` in an annotation."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [choice for part in get_args(annotation) for choice in choices(part)]
