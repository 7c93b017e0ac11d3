"""``ganzoo upscale``: images upscaled with a saved generator."""

import cv2
import numpy as np
import pytest
import torch
from basicsr.archs.rrdbnet_arch import RRDBNet
from basicsr.archs.srresnet_arch import MSRResNet
from basicsr.archs.srvgg_arch import SRVGGNetCompact
from PIL import Image, ImageOps

from basicsr_ganzoo.cli import main
from basicsr_ganzoo.inference import upscale as inference

SCALE = 4


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """A generator as GANZooModel saves it, whose logits see less than the overlap of two tiles."""
    torch.manual_seed(0)
    net = SRVGGNetCompact(num_feat=8, num_conv=4, upscale=SCALE)
    path = tmp_path_factory.mktemp('model') / 'net_g_latest.pth'
    torch.save({'params': net.state_dict(), 'params_ema': net.state_dict()}, path)
    return path, net


def random_image(*shape, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def upscale(capsys, *args):
    with pytest.raises(SystemExit) as stopped:
        main(['upscale', *map(str, args)])
    captured = capsys.readouterr()
    return stopped.value.code or 0, captured.out, captured.err


def test_the_result_is_the_output_of_the_network(checkpoint, tmp_path, capsys):
    path, net = checkpoint
    image = random_image(20, 31, 3)
    cv2.imwrite(str(tmp_path / 'in.png'), image)
    code, out, _ = upscale(capsys, '-m', path, '-i', tmp_path / 'in.png', '-o', tmp_path / 'out.png')
    assert code == 0
    assert f'x{SCALE}' in out
    tensor = torch.from_numpy(image[..., ::-1].transpose(2, 0, 1) / 255).float()[None]
    expected = net(tensor).clamp(0, 1)[0].detach().numpy().transpose(1, 2, 0)[..., ::-1] * 255
    assert np.abs(cv2.imread(str(tmp_path / 'out.png')) - expected).max() <= 0.51


def test_rrdb_is_recognised_too(tmp_path):
    net = RRDBNet(3, 3, scale=SCALE, num_feat=8, num_block=1, num_grow_ch=32)
    torch.save({'params_ema': net.state_dict()}, tmp_path / 'net_g.pth')
    assert inference.load_generator(tmp_path / 'net_g.pth').scale == SCALE


@pytest.mark.parametrize(
    ('net', 'scale'),
    [(RRDBNet(3, 3, scale=scale, num_feat=8, num_block=1, num_grow_ch=4), scale) for scale in (1, 2, 4)]
    + [(MSRResNet(3, 3, num_feat=8, num_block=1, upscale=scale), scale) for scale in (2, 3, 4)],
    ids=lambda value: type(value).__name__,
)
def test_generators_of_the_option_files_that_spandrel_does_not_know_work_too(net, scale, tmp_path, capsys):
    torch.save({'params': net.state_dict()}, tmp_path / 'net_g.pth')
    model = inference.load_generator(tmp_path / 'net_g.pth')
    image = torch.rand(1, 3, 16, 12, generator=torch.Generator().manual_seed(0))
    assert model.scale == scale
    assert torch.equal(inference.upscale_tensor(model, image), net.eval()(image).detach())
    cv2.imwrite(str(tmp_path / 'in.png'), random_image(13, 9, 3))
    args = ('-m', tmp_path / 'net_g.pth', '-i', tmp_path / 'in.png', '-o', tmp_path / 'out.png', '--tile', 5)
    assert upscale(capsys, *args)[0] == 0
    assert cv2.imread(str(tmp_path / 'out.png')).shape == (13 * scale, 9 * scale, 3)


@pytest.mark.parametrize('tile', [7, 16, 40, 100])
def test_tiles_give_the_same_result_as_the_whole_image(checkpoint, tile):
    model = inference.load_generator(checkpoint[0])
    image = torch.rand(1, 3, 61, 50, generator=torch.Generator().manual_seed(0))
    whole, tiled = inference.upscale_tensor(model, image), inference.upscale_tensor(model, image, tile)
    assert tiled.shape == (1, 3, 61 * SCALE, 50 * SCALE)
    torch.testing.assert_close(tiled, whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
@pytest.mark.parametrize('channels', [(), (3,), (4,)])
def test_bits_and_channels_are_kept(checkpoint, dtype, channels, tmp_path, capsys):
    image = random_image(12, 9, *channels, dtype=dtype)
    cv2.imwrite(str(tmp_path / 'in.png'), image)
    code, _, err = upscale(capsys, '-m', checkpoint[0], '-i', tmp_path / 'in.png', '-o', tmp_path / 'out.png')
    out = cv2.imread(str(tmp_path / 'out.png'), cv2.IMREAD_UNCHANGED)
    assert code == 0, err
    assert out.dtype == dtype
    assert out.shape == (12 * SCALE, 9 * SCALE, *channels)


def test_16_bits_are_not_rounded_to_8(checkpoint):
    model = inference.load_generator(checkpoint[0])
    image = random_image(12, 9, 3, dtype=np.uint16)
    assert len(np.unique(inference.upscale_image(model, image) % 257)) > 100


def test_a_folder_keeps_its_tree(checkpoint, tmp_path, capsys):
    for name in ('a.png', 'below/b.jpg', 'below/with space é.webp'):
        (tmp_path / 'in' / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / 'in' / name).write_bytes(cv2.imencode('.png', random_image(8, 8, 3))[1].tobytes())
    (tmp_path / 'in/notes.txt').write_text('not an image')
    code, _, err = upscale(capsys, '-m', checkpoint[0], '-i', tmp_path / 'in', '-o', tmp_path / 'out')
    assert code == 0, err
    written = {str(path.relative_to(tmp_path / 'out')) for path in (tmp_path / 'out').rglob('*.png')}
    assert written == {'a.png', 'below/b.png', 'below/with space é.png'}


def test_a_broken_image_is_named_and_the_others_are_upscaled(checkpoint, tmp_path, capsys):
    (tmp_path / 'in').mkdir()
    (tmp_path / 'in/a.png').write_bytes(b'not an image')
    (tmp_path / 'in/b.png').write_bytes(b'')
    cv2.imwrite(str(tmp_path / 'in/c.png'), random_image(8, 8, 3))
    code, _, err = upscale(capsys, '-m', checkpoint[0], '-i', tmp_path / 'in', '-o', tmp_path / 'out')
    assert code == 1
    assert 'a.png' in err
    assert 'and 1 more' in err
    assert (tmp_path / 'out/c.png').is_file()


@pytest.mark.parametrize('turn', range(1, 9))
def test_exif_orientation_is_applied(turn, tmp_path):
    stored = Image.fromarray(random_image(8, 12, 3))
    exif = stored.getexif()
    exif[0x0112] = turn
    stored.save(tmp_path / 'a.png', exif=exif)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / 'a.png')))
    assert np.array_equal(inference.read_image(tmp_path / 'a.png')[..., ::-1], upright)


def test_a_truncated_image_and_a_folder_with_an_image_name_are_refused(checkpoint, tmp_path, capsys):
    (tmp_path / 'in/folder.png').mkdir(parents=True)
    whole = cv2.imencode('.png', random_image(40, 40, 3))[1].tobytes()
    (tmp_path / 'in/whole.png').write_bytes(whole)
    (tmp_path / 'in/half.png').write_bytes(whole[: len(whole) // 2])
    code, _, err = upscale(capsys, '-m', checkpoint[0], '-i', tmp_path / 'in', '-o', tmp_path / 'out')
    assert code == 1
    assert 'half.png cannot be read as a complete image of 8 or 16 bits; the other images were upscaled' in err
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['whole.png']


def test_what_an_earlier_run_wrote_into_the_source_is_left_alone(checkpoint, tmp_path, capsys):
    cv2.imwrite(str(tmp_path / 'a.png'), random_image(8, 8, 3))
    for _ in range(2):
        assert upscale(capsys, '-m', checkpoint[0], '-i', tmp_path, '-o', tmp_path / 'out')[0] == 0
    assert sorted(path.name for path in tmp_path.rglob('*.png')) == ['a.png', 'a.png']


@pytest.mark.parametrize(('out', 'expected'), [('in.png', 'is the input image itself'), ('out.jpg', 'ends with .png')])
def test_a_single_image_is_not_overwritten_and_keeps_its_bits(out, expected, checkpoint, tmp_path, capsys):
    cv2.imwrite(str(tmp_path / 'in.png'), random_image(8, 8, 3, dtype=np.uint16))
    before = (tmp_path / 'in.png').read_bytes()
    code, _, err = upscale(capsys, '-m', checkpoint[0], '-i', tmp_path / 'in.png', '-o', tmp_path / out)
    assert code == 1
    assert expected in err
    assert [path.read_bytes() for path in tmp_path.glob('*.*g')] == [before]


def no_generator(folder):
    (folder / 'text.pth').write_text('no checkpoint')
    return folder / 'text.pth'


def discriminator(folder):
    from basicsr_ganzoo.registry import entries

    torch.save({'params': entries('archs')['UNetSNDiscriminator'](num_feat=4).state_dict()}, folder / 'net_d.pth')
    return folder / 'net_d.pth'


@pytest.mark.parametrize(
    ('change', 'expected'),
    [
        (lambda folder: {'-m': folder / 'nowhere.pth'}, 'nowhere.pth'),
        (lambda folder: {'-m': no_generator(folder)}, 'text.pth is not a generator'),
        (lambda folder: {'-m': discriminator(folder)}, 'net_d.pth is not a generator but the discriminator UNetSN'),
        (lambda folder: {'-i': folder / 'nowhere'}, 'nowhere'),
        (lambda folder: {'-i': folder / 'empty'}, 'holds no images'),
        (lambda folder: {'-o': folder / 'in'}, 'overwritten'),
        (lambda folder: {'-o': folder / 'in/a.png'}, 'is a file'),
        (lambda folder: {'--tile': -1}, '--tile needs to be 0 or more'),
        (lambda folder: {'--device': 'nonsense'}, '--device nonsense'),
    ],
)
def test_a_mistake_is_one_sentence_and_writes_nothing(change, expected, checkpoint, tmp_path, capsys):
    (tmp_path / 'in').mkdir()
    (tmp_path / 'empty').mkdir()
    cv2.imwrite(str(tmp_path / 'in/a.png'), random_image(8, 8, 3))
    options = {'-m': checkpoint[0], '-i': tmp_path / 'in', '-o': tmp_path / 'out', **change(tmp_path)}
    before = (tmp_path / 'in/a.png').read_bytes()
    code, _, err = upscale(capsys, *(part for option in options.items() for part in option))
    assert code == 1
    assert expected in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / 'out').exists()
    assert (tmp_path / 'in/a.png').read_bytes() == before
