"""Products of parameters: the default run has each value of each axis, the nightly run the other combinations."""

import itertools

import pytest


def combinations(*axes):
    """All combinations of ``axes``; those beyond the ones that show each value of each axis are nightly."""
    axes = [list(axis) for axis in axes]
    daily = {tuple(index % len(axis) for axis in axes) for index in range(max(map(len, axes)))}
    return [
        pytest.param(
            *(axis[index] for axis, index in zip(axes, place, strict=True)),
            marks=() if place in daily else pytest.mark.nightly,
        )
        for place in itertools.product(*(range(len(axis)) for axis in axes))
    ]


def product(names, *axes, ids=None):
    """Parametrize a test over all combinations of ``axes``; ``names`` is as in ``pytest.mark.parametrize``."""
    return pytest.mark.parametrize(names, combinations(*axes), ids=ids)
