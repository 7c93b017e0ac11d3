"""LPIPS and DISTS by pyiqa, an optional package: it is mocked, so what pyiqa computes is not tested."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from _training import write_option_file
from basicsr.metrics import calculate_metric

from basicsr_ganzoo.cli import main
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.metrics import perceptual
from basicsr_ganzoo.registry import entries

NAMES = ('calculate_lpips', 'calculate_dists')


@pytest.fixture(autouse=True)
def forget_metrics():
    perceptual._metric.cache_clear()
    yield
    perceptual._metric.cache_clear()


@pytest.fixture
def calls(monkeypatch):
    """A mock of pyiqa whose metrics are the mean difference in red. Returns its calls."""
    calls = []

    def create_metric(name, device):
        torch.rand(1)  # pyiqa initializes random weights
        calls.append((name, str(device)))

        def metric(image, reference):
            calls.append((image, reference))
            return (image - reference)[:, 0].abs().mean(dim=(1, 2))

        return metric

    monkeypatch.setitem(sys.modules, 'pyiqa', SimpleNamespace(create_metric=create_metric))
    return calls


def images():
    image = np.zeros((10, 12, 3), np.uint8)
    image[2:-2, 2:-2, 2] = 51  # red, in BGR
    image[:2] = 255  # in the border
    return {'img': image, 'img2': np.zeros((10, 12, 3), np.uint8)}


@pytest.mark.parametrize(
    ('block', 'name'),
    [
        ({'type': 'calculate_lpips'}, 'lpips'),
        ({'type': 'calculate_lpips', 'net': 'vgg'}, 'lpips-vgg'),
        ({'type': 'calculate_dists'}, 'dists'),
    ],
)
def test_pyiqa_receives_rgb_from_0_to_1_without_the_border_and_is_created_once(block, name, calls):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    values = [calculate_metric(images(), {**block, 'crop_border': 2, 'device': 'cpu'}) for _ in range(2)]
    assert values == pytest.approx([0.2, 0.2])
    assert calls[0] == (name, 'cpu')
    assert len(calls) == 3
    image, reference = calls[1]
    assert image.shape == reference.shape == (1, 3, 6, 8)
    assert float(image[:, 0].min()) == pytest.approx(0.2)
    assert float(image[:, 1:].max()) == 0
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize('name', NAMES)
def test_without_pyiqa_the_error_says_how_to_install_it(name, monkeypatch):
    monkeypatch.setitem(sys.modules, 'pyiqa', None)
    with pytest.raises(OptionError, match=f'{name} needs the package pyiqa, which is not installed; pip install pyiqa'):
        calculate_metric(images(), {'type': name})


@pytest.mark.parametrize(
    ('changes', 'options', 'expected'),
    [
        ({'img2': np.zeros((4, 4, 3), np.uint8)}, {}, 'needs two images of one size'),
        ({}, {'net': 'squeeze'}, "needs net to be alex or vgg, got 'squeeze'"),
    ],
)
def test_a_mistake_is_one_sentence(changes, options, expected, calls):
    with pytest.raises(OptionError, match=expected):
        calculate_metric(images() | changes, {'type': 'calculate_lpips', **options})


@pytest.mark.parametrize('installed', [False, True])
@pytest.mark.parametrize('name', NAMES)
def test_the_check_reports_before_training_that_pyiqa_is_missing(name, installed, tmp_path, monkeypatch, capsys):
    path = write_option_file(tmp_path, val__metrics={'it': {'type': name, 'crop_border': 4, 'better': 'lower'}})
    monkeypatch.setattr(
        'basicsr_ganzoo.checking.validation.find_spec', lambda package: package == 'pyiqa' and installed
    )
    with pytest.raises(SystemExit):
        main(['check', '-opt', str(path), '--json'])
    out = capsys.readouterr().out
    errors = [f for f in json.loads(out[out.index('[') :]) if f['level'] == 'error']
    assert [f['key'] for f in errors] == ([] if installed else ['val.metrics.it'])
    assert all('pip install pyiqa' in f['message'] for f in errors)


@pytest.mark.slow
def test_pyiqa_is_not_imported_before_a_metric_is_computed(fresh_python):
    done = fresh_python(
        'import sys\n'
        "sys.modules['pyiqa'] = None  # an import of it would fail\n"
        'from basicsr_ganzoo import registry\nregistry.import_submodules()\n'
        "print(sorted(registry.entries('metrics')))"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(sorted(entries('metrics'))) == str(sorted(NAMES))
