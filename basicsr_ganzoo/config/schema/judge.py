"""Judges an option file by the schema: unknown keys, missing keys, and values of a wrong kind, all at once."""

import datetime
import functools
import types
from typing import Annotated, Union, get_args, get_origin, get_type_hints

from pydantic import ValidationError

from basicsr_ganzoo.config.findings import dotted, error, is_below, warning
from basicsr_ganzoo.config.schema.base import MODELS, Keys, readers
from basicsr_ganzoo.config.schema.datasets import DATASETS, OUR_DATASETS, Dataset
from basicsr_ganzoo.config.schema.top import Options
from basicsr_ganzoo.config.types import NUMBER_AS_TEXT, NUMBER_FORM, describe
from basicsr_ganzoo.errors import did_you_mean, shown


def judge(opt):
    """Findings about single keys of an option file, a list of :class:`~basicsr_ganzoo.config.findings.Finding`.

    A key that is null counts as absent. Keys of a model or a dataset that is not known are not judged by their names.
    """
    given = _without_nulls(opt)
    found = [*_names(Options, opt, (), given.get('model_type')), *_numbers_as_text(given, ())]
    for path, message in _values(given):
        if not any(finding.level == 'error' and is_below(dotted(path), finding.key) for finding in found):
            found.append(error(dotted(path), message))
    return found


def _without_nulls(value):
    if not isinstance(value, dict):
        return value
    return {key: _without_nulls(item) for key, item in value.items() if item is not None}


def _names(cls, block, path, model):
    """Findings about the names of keys: those that nobody reads, and those that this model does not read."""
    for name, value in block.items():
        where, field = (*path, str(name)), cls.model_fields.get(name)
        if field is None and not cls.takes(str(name)):
            if model in MODELS or path[:1] == ('datasets',):
                yield error(dotted(where), f'{cls.unknown}{did_you_mean(name, cls.model_fields)}')
            continue
        if value is None:
            continue
        needed = readers(field, 'models') if field else cls.further_read_by
        if needed and model in MODELS and model not in needed:
            yield error(dotted(where), _other_model(model, needed))
            continue
        if issubclass(cls, Dataset):
            yield from _data_key(block.get('type'), name, where)
        yield from _below(value, where, model)


def _below(value, path, model):
    """Findings about the names of keys below a key."""
    for part in _parts(declared(path)) if isinstance(value, dict) else ():
        if _is_keys(part):
            yield from _names(part, value, path, model)
        elif get_origin(part) is dict and _is_keys(get_args(part)[1]):
            for name, item in value.items():
                yield from _below(item, (*path, str(name)), model)


def _is_keys(part):
    return isinstance(part, type) and issubclass(part, Keys)


def _other_model(model, needed):
    twin = {'RealESRGANModel': 'RealESRGANZooModel', 'RealESRNetModel': 'RealESRNetZooModel'}.get(model, 'GANZooModel')
    return f'{model} does not read this key; use model_type: {twin if twin in needed else needed[0]}, or remove it'


def _data_key(kind, name, where):
    """Findings about a key of a dataset; what a type of somebody else's reads is not known."""
    known = [key for key, field in Dataset.model_fields.items() if kind in (readers(field, 'datasets') or [kind])]
    if name in known or kind not in DATASETS:
        return
    hint = did_you_mean(name, known)
    if hint:
        yield error(dotted(where), f'nobody reads this key{hint}')
    else:
        level = error if kind in OUR_DATASETS else warning
        yield level(dotted(where), f'{kind} does not read this key; remove it')


def _numbers_as_text(value, path):
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _numbers_as_text(item, (*path, str(name)))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _numbers_as_text(item, (*path, index))
    elif isinstance(value, str) and NUMBER_AS_TEXT.fullmatch(value) and str not in _parts(declared(path)):
        yield error(dotted(path), f'{shown(value)} is text, not a number; {NUMBER_FORM}')


def _values(given):
    """Paths of values of a wrong kind and of keys that are missing, each once, with a message."""
    try:
        Options.model_validate(given)
    except ValidationError as mistakes:
        listed = mistakes.errors(include_input=False, include_url=False, include_context=False)
        return {path: message for path, message in (_mistake(item, given) for item in listed) if message}.items()
    return ()


def _mistake(item, given):
    """The path that an error of pydantic is about, and the message, or None where another one says it better."""
    path, value = (), given
    for step in item['loc']:
        if isinstance(value, dict) and step in value or isinstance(value, list) and isinstance(step, int):
            path, value = (*path, step if isinstance(value, list) else str(step)), value[step]
    if item['type'] == 'invalid_key' or item['loc'][-1] == '[key]':
        return path, f'the name of a key needs to be text, got {item["loc"][len(path) - 1]!r}; put it in quotes'
    hint = declared(path)
    if hint is None or item['type'] == 'extra_forbidden':
        return path, None  # what is not declared is a matter of its name
    if item['type'] == 'missing':
        return (*path, item['loc'][-1]), 'this key is missing'
    if isinstance(value, dict) and any(map(_is_keys, _parts(hint))):
        return path, None  # of the alternatives true, false and a mapping, the mapping is meant
    return path, f'this needs to be {wanted(hint)}, got {_shown(value)}'


def _shown(value):
    if isinstance(value, datetime.date):
        return f'the date {value}; put it in quotes if it is text'
    whole = isinstance(value, float) and value.is_integer()
    return f'{shown(value)}; write {int(value)}' if whole else shown(value)


def wanted(hint):
    """What a value has to be, in words."""
    return hint.words if _is_keys(hint) else describe(hint)


@functools.cache
def hints(cls):
    """The annotations of a class of keys, with their metadata."""
    return get_type_hints(cls, include_extras=True)


def declared(path):
    """The annotation of what is at a path of keys and indices; None where nothing is declared."""
    hint = Options
    for step in path:
        hint = next(filter(None, (_child(part, step) for part in _parts(hint))), None)
    return hint


def _parts(hint):
    """The alternatives of an annotation, without its metadata."""
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) not in (Union, types.UnionType):
        return [hint]
    return [part for alternative in get_args(hint) for part in _parts(alternative)]


def _child(part, step):
    if _is_keys(part):
        if step in part.model_fields:
            return hints(part)[step]
        return get_args(hints(part)['__pydantic_extra__'])[1] if part.open_to and part.takes(str(step)) else None
    return get_args(part)[-1] if get_origin(part) in (list, dict) else None
