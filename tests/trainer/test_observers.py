"""Observers of a training: which events they receive, and when."""

from types import SimpleNamespace

import pytest
import yaml
from _training import write_option_file
from basicsr.models.srgan_model import SRGANModel

from basicsr_ganzoo.models import GANZooModel
from basicsr_ganzoo.trainer.observer import Observer
from basicsr_ganzoo.trainer.run import train

pytestmark = pytest.mark.slow


class Recorder(Observer):
    """Keeps the events as a list."""

    def __init__(self):
        self.events = []

    def on_start(self, opt, iteration):
        self.events.append(('start', opt['name'], iteration))

    def on_step(self, iteration, model, seconds, data_seconds):
        assert isinstance(model, (GANZooModel, SRGANModel))
        assert seconds >= data_seconds >= 0
        self.events.append(('step', iteration))

    def on_log(self, iteration, log):
        self.events.append(('log', iteration, 'l_g_pix' in log))

    def on_validation(self, iteration, data_set, metrics):
        self.events.append(('validation', iteration, data_set, list(metrics)))

    def on_end(self):
        self.events.append(('end',))


def train_with(observers, folder, **changes):
    path = write_option_file(folder, total_iter=3, logger__print_freq=2, **changes)
    flags = SimpleNamespace(opt=str(path), launcher='none', auto_resume=False, fresh=False, debug=False)
    train(yaml.safe_load(path.read_text()), flags, folder, observers)


STOCK_LOSS = {'type': 'GANLoss', 'gan_type': 'vanilla', 'real_label_val': 1, 'fake_label_val': 0, 'loss_weight': 0.1}
MODELS = {'ours': {}, "BasicSR's": {'model_type': 'SRGANModel', 'train__gan_opt': STOCK_LOSS}}


@pytest.mark.parametrize('model', MODELS)
def test_each_observer_receives_every_event_in_order(model, tmp_path):
    recorders = [Recorder(), Recorder()]
    train_with([Observer(), *recorders], tmp_path, **MODELS[model])
    expected = [
        ('start', 'gan_x4', 0),
        ('step', 1),
        ('log', 2, True),
        ('step', 2),
        ('step', 3),
        ('validation', 3, 'held_out', ['psnr']),
        ('end',),
    ]
    assert [recorder.events for recorder in recorders] == [expected] * 2


def test_on_end_follows_an_error_too(tmp_path, monkeypatch):
    def fail(model, iteration):
        raise RuntimeError('failed')

    monkeypatch.setattr(GANZooModel, 'optimize_parameters', fail)
    recorder = Recorder()
    with pytest.raises(RuntimeError, match='failed'):
        train_with([recorder], tmp_path)
    assert recorder.events == [('start', 'gan_x4', 0), ('end',)]
