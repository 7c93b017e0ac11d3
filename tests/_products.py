"""Products of parameters: the default run has each value of each axis, the nightly run the other combinations."""

import itertools

import pytest


def product(names, *axes, ids=None):
    """Parametrize a test over all combinations of ``axes``; ``names`` is as in ``pytest.mark.parametrize``."""
    axes = [list(axis) for axis in axes]
    daily = {tuple(index % len(axis) for axis in axes) for index in range(max(map(len, axes)))}
    cases = [
        pytest.param(*(axis[i] for axis, i in zip(axes, place, strict=True)), marks=() if place in daily else nightly)
        for place in itertools.product(*(range(len(axis)) for axis in axes))
    ]
    return pytest.mark.parametrize(names, cases, ids=ids)


nightly = pytest.mark.nightly
