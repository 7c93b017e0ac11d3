"""Checks arguments against the signature of a class or function, with errors for the author of an option file."""

import functools
import inspect

from pydantic import ConfigDict, TypeAdapter, ValidationError

from basicsr_ganzoo.config.types import NUMBER_AS_TEXT, NUMBER_FORM, choices, describe, is_plain, whole
from basicsr_ganzoo.errors import OptionError, did_you_mean, shown

EMPTY = inspect.Parameter.empty
#: kind of a default -> (what a value needs to be, kinds of YAML that it cannot be), where there is no annotation
DEFAULTS = {
    bool: ('true or false', (str, list, dict)),
    int: ('a number', (str, dict)),
    float: ('a number', (str, dict)),
    str: ('text', (int, float, list, dict)),
    tuple: ('a list', (str, int, float, dict)),
    list: ('a list', (str, int, float, dict)),
    dict: ('a mapping', (str, int, float, list)),
}


def argument_errors(entry, options, given=()):
    """Everything that is wrong with ``options`` as arguments of ``entry``.

    A parameter that is annotated with plain types is judged by pydantic in strict mode: text is never a number or a
    switch, but 5.0 is a whole number and a list is a tuple. Any other is judged by the kind of its default.

    Args:
        entry: a class or a function.
        options: names of arguments and their values.
        given: names of arguments that the caller passes itself.

    Returns:
        A list of pairs ``(name, message)``, such as ``('decay', 'needs to be a number from 0 to 1, got 2')``.
    """
    values = [(name, f'needs to be {needed}') for name, needed in value_errors(entry, options)]
    return [*name_errors(entry, options, given), *values]


def name_errors(entry, options, given=()):
    """Pairs ``(name, message)`` for the options that ``entry`` does not take, and for the missing ones.

    Where ``entry`` takes any name, only one that is close to a parameter's is reported.
    """
    parameters, owner = parameters_of(entry), getattr(entry, '__name__', str(entry))
    named = [n for n, p in parameters.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL) and n not in given]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for name in options:
        hint = did_you_mean(name, named)
        if name not in named and (hint or not takes_any):
            rule = '' if takes_any else f'; it takes {", ".join(named)}'
            yield name, f'{owner} has no option {name}{hint}{rule}'
    for name in named:
        if parameters[name].default is EMPTY and name not in options:
            yield name, f'{owner} needs the option {name}'


def value_errors(entry, options):
    """Pairs ``(name, 'a number, got [1]')`` for the options whose value does not fit the parameter of this name."""
    parameters = parameters_of(entry)
    for name, value in options.items():
        parameter = parameters.get(name)
        needed = parameter and _needed(parameter.annotation, parameter.default, value)
        if needed:
            yield name, f'{needed}, got {_shown(parameter.annotation, needed, value)}'


def checked(init):
    """Decorator of a constructor that checks its arguments against their annotations, also when called from Python.

    The constructor receives an argument as the type of its annotation: 5 for 5.0, a tuple for a list.

    Raises:
        OptionError: when called with a value that does not fit.
    """
    signature = inspect.signature(init)

    @functools.wraps(init)
    def wrapper(self, *args, **kwargs):
        bound = signature.bind(self, *args, **kwargs)
        for name in list(bound.arguments)[1:]:
            where, annotation = f'{type(self).__name__} needs {name}', signature.parameters[name].annotation
            bound.arguments[name] = converted(annotation, bound.arguments[name], where)
        init(*bound.args, **bound.kwargs)

    return wrapper


def converted(annotation, value, where):
    """``value`` as the type of ``annotation``.

    Raises:
        OptionError: it does not fit; the message begins with ``where``, such as ``HingeGANLoss needs loss_weight``.
    """
    if annotation is EMPTY:
        return value
    try:
        return _convert(annotation, value)
    except ValidationError:
        needed = describe(annotation)
        raise OptionError(f'{where} to be {needed}, got {_shown(annotation, needed, value)}') from None


def parameters_of(entry):
    """The parameters of a class or function by name, with annotations that are text resolved where possible."""
    try:
        return inspect.signature(entry, eval_str=True).parameters
    except Exception:  # whatever evaluating somebody's annotation raises
        return inspect.signature(entry).parameters


def _needed(annotation, default, value):
    """What ``value`` needs to be, or None where it fits."""
    if value is None and default is None:
        return None
    if is_plain(annotation) and (default in (None, EMPTY) or _fits(annotation, default)):
        return None if _fits(annotation, value) else describe(annotation)
    needed, others = DEFAULTS.get(type(default), (None, ()))
    return needed if isinstance(value, others) and not isinstance(value, bool) else None


def _fits(annotation, value):
    try:
        _convert(annotation, value)
    except ValidationError:
        return False
    return True


def _convert(annotation, value):
    validate = _adapter(annotation).validate_python
    try:
        return validate(_plain(value, list))
    except ValidationError:
        return validate(_plain(value, tuple))


@functools.lru_cache
def _adapter(annotation):
    return TypeAdapter(annotation, config=ConfigDict(strict=True))


def _plain(value, sequence):
    """``value`` with whole floats as integers and with lists and tuples as ``sequence``."""
    if isinstance(value, (list, tuple)):
        return sequence(_plain(item, sequence) for item in value)
    if isinstance(value, dict):
        return {key: _plain(item, sequence) for key, item in value.items()}
    return whole(value)


def _shown(annotation, needed, value):
    """The value for a message, with a near choice, or with how to write a number that YAML took for text."""
    if isinstance(value, str) and NUMBER_AS_TEXT.fullmatch(value) and 'number' in needed:
        return f'the text {value!r}; {NUMBER_FORM}'
    return shown(value) + (did_you_mean(value, choices(annotation)) if isinstance(value, str) else '')
