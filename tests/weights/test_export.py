"""``ganzoo export``: the EMA generator as .pth, .safetensors and ONNX."""

import os
import sys

import numpy as np
import pytest
import torch
from basicsr.archs.rrdbnet_arch import RRDBNet
from basicsr.archs.srresnet_arch import MSRResNet
from basicsr.archs.srvgg_arch import SRVGGNetCompact
from spandrel import ModelLoader

from basicsr_ganzoo.cli import main
from basicsr_ganzoo.demo.data import photograph
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.inference import upscale
from basicsr_ganzoo.registry import entries
from basicsr_ganzoo.weights import onnx

NETS = {
    'compact': lambda: SRVGGNetCompact(num_feat=8, num_conv=2, upscale=4),
    'rrdb x4': lambda: RRDBNet(3, 3, scale=4, num_feat=8, num_block=1, num_grow_ch=4),
    'rrdb x2': lambda: RRDBNet(3, 3, scale=2, num_feat=8, num_block=1, num_grow_ch=4),
    'msrresnet x3': lambda: MSRResNet(3, 3, num_feat=8, num_block=1, upscale=3),
}


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint as saved by GANZooModel, and its EMA network."""
    torch.manual_seed(0)
    net, averaged = NETS['compact'](), NETS['compact']()
    path = tmp_path / 'net_g_5000.pth'
    torch.save({'params': net.state_dict(), 'params_ema': averaged.state_dict()}, path)
    return path, averaged.eval()


def export(capsys, *args):
    with pytest.raises(SystemExit) as stopped:
        main(['export', *map(str, args)])
    captured = capsys.readouterr()
    return stopped.value.code or 0, captured.out, captured.err


def cat(height, width):
    """A crop of a photograph, (1, 3, H, W), RGB in 0..1."""
    return torch.from_numpy(photograph('chelsea.png')[:height, :width, ::-1].copy()).permute(2, 0, 1)[None] / 255


def test_the_slim_file_holds_only_the_ema_weights(checkpoint, capsys):
    path, averaged = checkpoint
    code, out, err = export(capsys, path)
    slim = path.with_name('net_g_5000_slim.pth')
    assert code == 0, err
    assert f'ganzoo upscale -m {slim}' in out
    assert 'params_ema' in out
    saved = torch.load(slim, weights_only=True)
    assert list(saved) == ['params_ema']
    assert all(torch.equal(saved['params_ema'][name], tensor) for name, tensor in averaged.state_dict().items())
    assert slim.stat().st_size < 0.7 * path.stat().st_size


@pytest.mark.parametrize('name', ['model.pth', 'below/model.safetensors'])
def test_an_exported_file_gives_equal_outputs_in_spandrel_and_upscale(name, checkpoint, tmp_path, capsys):
    path, averaged = checkpoint
    code, _, err = export(capsys, path, '-o', tmp_path / name)
    image = cat(33, 46)
    expected = averaged(image).detach()
    assert code == 0, err
    assert torch.equal(upscale.upscale_tensor(upscale.load_generator(tmp_path / name), image), expected.clamp(0, 1))
    spandrels = ModelLoader(device='cpu').load_from_file(tmp_path / name).eval()
    assert torch.equal(spandrels(image).detach(), expected.clamp(0, 1))


@pytest.mark.skipif(os.name == 'nt', reason='Windows has no such permissions')
def test_an_exported_file_has_the_permissions_of_any_new_file(checkpoint, tmp_path, capsys):
    for name in ('x.pth', 'x.safetensors'):
        assert export(capsys, checkpoint[0], '-o', tmp_path / name)[0] == 0
    (tmp_path / 'new').touch()
    assert len({(tmp_path / name).stat().st_mode for name in ('new', 'x.pth', 'x.safetensors')}) == 1


def test_without_ema_the_plain_weights_keep_their_key(checkpoint, tmp_path, capsys):
    torch.save({'params': {f'module.{k}': v for k, v in checkpoint[1].state_dict().items()}}, tmp_path / 'plain.pth')
    code, out, err = export(capsys, tmp_path / 'plain.pth')
    assert code == 0, err
    saved = torch.load(tmp_path / 'plain_slim.pth', weights_only=True)
    assert list(saved) == ['params']
    assert saved['params'].keys() == checkpoint[1].state_dict().keys()


@pytest.mark.slow
@pytest.mark.parametrize('name', NETS)
def test_onnx_equals_torch_on_photographs_of_any_size(name, tmp_path, capsys):
    onnxruntime = pytest.importorskip('onnxruntime', reason='the extra "onnx" is not installed')
    torch.manual_seed(0)
    net = NETS[name]().eval()
    torch.save({'params_ema': net.state_dict()}, tmp_path / 'net_g.pth')
    code, out, err = export(capsys, tmp_path / 'net_g.pth', '-o', tmp_path / 'out.safetensors', '--onnx')
    assert code == 0, err
    assert 'onnxruntime differs from torch by' in out
    session = onnxruntime.InferenceSession(str(tmp_path / 'out.onnx'), providers=['CPUExecutionProvider'])
    for image in (cat(40, 68), cat(112, 36).repeat(2, 1, 1, 1)):
        (found,) = session.run(['output'], {'input': image.numpy()})
        np.testing.assert_allclose(found, net(image).detach().numpy(), atol=1e-5)


def test_a_target_onnx_writes_only_onnx(checkpoint, tmp_path, capsys):
    pytest.importorskip('onnxruntime', reason='the extra "onnx" is not installed')
    code, _, err = export(capsys, checkpoint[0], '-o', tmp_path / 'only.onnx')
    assert code == 0, err
    assert {path.name for path in tmp_path.iterdir()} == {'only.onnx', 'net_g_5000.pth'}


class FixedToItsSize(torch.nn.Module):
    """A network that tracing exports wrongly: the height becomes a constant."""

    def forward(self, image):
        return image + float(np.float32(image.detach().numpy().shape[2]))


@pytest.mark.slow
def test_an_onnx_file_that_differs_from_torch_is_refused(tmp_path):
    pytest.importorskip('onnxruntime', reason='the extra "onnx" is not installed')
    with pytest.raises(OptionError, match='FixedToItsSize cannot be exported to ONNX for all image sizes'):
        onnx.write_onnx(FixedToItsSize(), tmp_path / 'wrong.onnx')


def missing_package(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    return (folder / 'net_g_5000.pth', '--onnx')


def discriminator(folder, _):
    torch.save({'params': entries('archs')['UNetSNDiscriminator'](num_feat=4).state_dict()}, folder / 'net_d.pth')
    return (folder / 'net_d.pth',)


def training_state(folder, _):
    torch.save({'iter': 1, 'optimizers': [], 'schedulers': []}, folder / '1.state')
    return (folder / '1.state',)


def unwritable(folder, _):
    (folder / 'file').write_text('')
    return (folder / 'net_g_5000.pth', '-o', folder / 'file/out.pth')


@pytest.mark.parametrize(
    ('arguments', 'expected'),
    [
        (missing_package, 'pip install "basicsr-ganzoo[onnx]"'),
        (discriminator, 'is not a generator but the discriminator UNetSNDiscriminator; use the net_g file'),
        (training_state, 'is a training state, not weights'),
        (unwritable, 'cannot write'),
        (lambda folder, _: (folder / 'nowhere.pth',), 'nowhere.pth is not a file'),
        (lambda folder, _: (folder / 'net_g_5000.pth', '-o', folder / 'a.pt'), 'ends with .pth, .safetensors or .onnx'),
        (lambda folder, _: (folder / 'net_g_5000.pth', '-o', folder / 'net_g_5000.pth'), 'is the checkpoint itself'),
    ],
)
def test_a_mistake_is_one_sentence_and_writes_nothing(arguments, expected, checkpoint, tmp_path, monkeypatch, capsys):
    args = arguments(tmp_path, monkeypatch)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    code, _, err = export(capsys, *args)
    assert code == 1
    assert expected in err
    assert len(err.splitlines()) == 1
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
