"""Arguments of option blocks against signatures: names, annotated values, values judged by a default, constructors."""

import inspect
from collections.abc import Sequence
from typing import Annotated, Literal

import pytest
import torch
from pydantic import Field

from basicsr_ganzoo.config.signature import argument_errors, checked, value_errors
from basicsr_ganzoo.config.types import Count, Natural, NonNegative, Number, Positive, Share, Whole, describe, is_plain
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.registry import entries


class Annotated_:
    """One parameter of each kind."""

    @checked
    def __init__(
        self,
        image: object = None,
        share: Share = 0.5,
        count: Count = 1,
        flag: bool = True,
        text: str = 'a',
        choice: Literal['mean', 'sum'] = 'mean',
        bands: tuple[str, ...] = (),
        pair: tuple[float, float] = (0.0, 1.0),
        weights: dict[str, float] | None = None,
    ):
        self.given = {name: value for name, value in locals().items() if name != 'self'}


class Unannotated:
    def __init__(self, weight, flag=False, size=64, ratio=0.5, name='x', sizes=(1, 2), layers=None):
        pass


def takes_any(img, crop_border: Natural = 0, **kwargs):
    pass


def forward_reference(net: 'NoSuchClass', ratio: 'float' = 0.5):  # noqa: F821
    pass


def wrong_annotation(size: int = 0.5, scale: int = None):  # noqa: RUF013
    pass


ACCEPTED = [
    *[('share', v) for v in (0, 1, 0.5, 1.0)],
    *[('count', v) for v in (1, 8.0)],
    *[('choice', v) for v in ('mean', 'sum')],
    *[('bands', v) for v in ([], ['LH'], ('LH',))],
    *[('pair', v) for v in ([0, 0.99], (0.5, 1))],
    *[('weights', v) for v in (None, {}, {'a': 1})],
]


@pytest.mark.parametrize(('name', 'value'), ACCEPTED)
def test_a_fitting_value_is_accepted(name, value):
    assert argument_errors(Annotated_, {name: value}) == []
    Annotated_(**{name: value})


REFUSED = [
    *[('share', v, 'a number from 0 to 1') for v in (2, -0.1, 'a', True, None, [0.5], float('nan'), float('inf'))],
    *[('count', v, 'a whole number from 1') for v in (0, 1.5, 'a', False, None)],
    *[('flag', v, 'true or false') for v in (1, 0, 'yes', None)],
    *[('text', v, 'text') for v in (1, True, ['a'])],
    *[('choice', v, 'one of mean, sum') for v in (1, ['mean'], True)],
    *[('bands', v, 'a list, each item text') for v in ('LH', 1, [1], {'LH': 1})],
    *[('pair', v, 'a list of 2, each item a number') for v in ([1], [1, 2, 3], ['a', 1], 0.5)],
    *[('weights', v, 'a mapping or null') for v in ([1], {'a': 'b'}, 1)],
]


@pytest.mark.parametrize(('name', 'value', 'needed'), REFUSED)
def test_an_annotated_value_that_does_not_fit_is_one_sentence(name, value, needed):
    """The option file and the constructor report the same."""
    assert argument_errors(Annotated_, {name: value}) == [(name, f'needs to be {needed}, got {value!r}')]
    with pytest.raises(OptionError) as error:
        Annotated_(**{name: value})
    assert str(error.value) == f'Annotated_ needs {name} to be {needed}, got {value!r}'


def test_the_constructor_receives_the_type_of_the_annotation():
    given = Annotated_(count=8.0, share=1, bands=['LH'], pair=[0, 0.99]).given
    assert [type(given[name]) for name in ('count', 'share', 'bands')] == [int, float, tuple]
    assert given['pair'] == (0.0, 0.99)


def test_arguments_by_position_are_checked_too():
    with pytest.raises(OptionError, match='needs share to be'):
        Annotated_(None, 2)
    with pytest.raises(TypeError, match='unexpected keyword'):
        Annotated_(no_such=1)


def test_a_near_choice_and_a_number_that_yaml_read_as_text_are_explained():
    assert argument_errors(Annotated_, {'choice': 'means'})[0][1].endswith("got 'means' (did you mean mean?)")
    for entry, name in ((Annotated_, 'share'), (Unannotated, 'ratio'), (Annotated_, 'count')):
        errors = dict(argument_errors(entry, {name: '1e-4', 'weight': 1}))
        assert errors[name].endswith(
            "got the text '1e-4'; write numbers without quotes, and with a dot before an exponent: 3, 0.0001, 1.0e-4"
        )


def test_a_long_value_is_cut_at_80_characters():
    (name, message), *_ = argument_errors(Annotated_, {'flag': 'x' * 500})
    assert len(message.partition('got ')[2]) == 80


@pytest.mark.parametrize(
    ('name', 'value', 'needed'),
    [
        *[('flag', v, 'true or false') for v in ('yes', [True])],
        *[(n, v, 'a number') for n in ('size', 'ratio') for v in ('large', {})],
        *[('name', v, 'text') for v in (1, 0.5, ['x'])],
        *[('sizes', v, 'a list') for v in ('1, 2', 3)],
    ],
)
def test_without_an_annotation_the_default_tells_the_kind(name, value, needed):
    errors = argument_errors(Unannotated, {'weight': 1, name: value})
    assert errors == [(name, f'needs to be {needed}, got {value!r}')]


def test_without_an_annotation_what_could_be_meant_is_accepted():
    fitting = {'weight': 'x', 'flag': 1, 'size': [64, 64], 'ratio': 1, 'name': None, 'sizes': [], 'layers': 3}
    assert argument_errors(Unannotated, fitting) == []


def test_unknown_and_missing_names_are_reported_together():
    errors = dict(argument_errors(Unannotated, {'flags': 1}))
    assert errors['flags'].startswith('Unannotated has no option flags (did you mean flag?); it takes weight, flag, ')
    assert errors['weight'] == 'Unannotated needs the option weight'


def test_what_the_caller_gives_is_neither_missing_nor_an_option():
    assert argument_errors(Unannotated, {}, given=('weight',)) == []
    assert 'has no option weight' in argument_errors(Unannotated, {'weight': 1}, given=('weight',))[0][1]


def test_a_function_that_takes_any_name_reports_near_misses_only():
    assert argument_errors(takes_any, {'better': 'lower', 'quality': 1}, given=('img',)) == []
    errors = argument_errors(takes_any, {'crop_boarder': 4, 'crop_border': -1}, given=('img',))
    assert errors == [
        ('crop_boarder', 'takes_any has no option crop_boarder (did you mean crop_border?)'),
        ('crop_border', 'needs to be a whole number from 0, got -1'),
    ]


def test_annotations_that_cannot_be_used_leave_it_to_the_default():
    """Names that do not resolve, types that YAML does not have, and annotations that their own default contradicts."""
    assert argument_errors(forward_reference, {'net': 1, 'ratio': 1}) == []
    assert argument_errors(forward_reference, {'net': 1, 'ratio': 'x'}) == [('ratio', "needs to be a number, got 'x'")]
    assert argument_errors(wrong_annotation, {'size': 1.5, 'scale': None}) == []
    assert argument_errors(wrong_annotation, {'scale': 'x'}) == [('scale', "needs to be a whole number, got 'x'")]


@pytest.mark.parametrize('optimizer', ['Adam', 'AdamW', 'SGD', 'RMSprop', 'Adagrad'])
def test_the_defaults_of_an_optimizer_of_torch_fit(optimizer):
    entry = getattr(torch.optim, optimizer)
    defaults = {n: p.default for n, p in inspect.signature(entry).parameters.items() if n != 'params'}
    assert argument_errors(entry, defaults, given=('params',)) == []
    assert dict(argument_errors(entry, {'lr': 'fast'}, given=('params',))) == {'lr': "needs to be a number, got 'fast'"}


@pytest.mark.parametrize(
    ('annotation', 'words'),
    [
        (Whole, 'a whole number'),
        (Natural, 'a whole number from 0'),
        (Annotated[Whole, Field(ge=0, le=8)], 'a whole number from 0 to 8'),
        (Annotated[Whole, Field(ge=0, lt=2**32)], 'a whole number from 0 to below 4294967296'),
        (Number, 'a number'),
        (NonNegative, 'a number of at least 0'),
        (Positive, 'a number above 0'),
        (Annotated[float, Field(ge=0, lt=1)], 'a number from 0 to below 1'),
        (Annotated[float, Field(gt=0, le=1)], 'a number above 0 and up to 1'),
        (Annotated[str, 'the path of a file'], 'the path of a file'),
        (Sequence[float], 'a list, each item a number'),
        (list, 'a list'),
        (Literal['auto'] | Natural, 'auto or a whole number from 0'),
    ],
)
def test_a_type_describes_itself(annotation, words):
    assert describe(annotation) == words


def test_value_errors_are_the_words_after_needs_to_be():
    assert list(value_errors(Annotated_, {'count': 0})) == [('count', 'a whole number from 1, got 0')]


ZOO = [
    entry for kind in ('archs', 'losses', 'regularizers', 'views', 'gan_weights') for entry in entries(kind).values()
]


@pytest.mark.parametrize('entry', ZOO, ids=lambda entry: entry.__name__)
def test_every_argument_of_the_zoo_is_annotated_and_its_default_fits(entry):
    parameters = [p for p in inspect.signature(entry).parameters.values() if p.kind is not p.VAR_KEYWORD]
    assert all(is_plain(p.annotation) for p in parameters)
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    assert list(value_errors(entry, defaults)) == []
    for name in defaults:
        assert dict(value_errors(entry, {name: {'no': 'value'}})).keys() == {name}
