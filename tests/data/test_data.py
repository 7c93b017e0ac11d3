"""The folder datasets: finding and reading images, random crops, and messages about users' mistakes."""

import io
import json
import logging
import os
import pickle
import random

import cv2
import numpy as np
import pytest
import torch
import yaml
from _runs import train
from _training import write_option_file
from basicsr.data import build_dataloader, build_dataset
from basicsr.data.data_sampler import EnlargedSampler
from basicsr.utils.lmdb_util import LmdbMaker
from basicsr.utils.registry import DATASET_REGISTRY
from PIL import Image

from basicsr_ganzoo.basicsr_patches import _check_train_set
from basicsr_ganzoo.cli import main
from basicsr_ganzoo.data import measure, reader, sources
from basicsr_ganzoo.data.folder_dataset import EPOCH_BATCHES
from basicsr_ganzoo.data.picture import decode, size_of, to_tensor
from basicsr_ganzoo.data.sources import LazyImage, names_in_line
from basicsr_ganzoo.errors import OptionError, PictureError
from basicsr_ganzoo.registry import entries

GT, PAIRED = 'GTFolderDataset', 'PairedFolderDataset'
KERNELS = {
    'blur_kernel_size': 21,
    'kernel_list': ['iso', 'aniso', 'generalized_iso', 'generalized_aniso', 'plateau_iso', 'plateau_aniso'],
    'kernel_prob': [0.45, 0.25, 0.12, 0.03, 0.12, 0.03],
    'sinc_prob': 0.1,
    'blur_sigma': [0.2, 3],
    'betag_range': [0.5, 4],
    'betap_range': [1, 2],
}
KERNELS |= {f'{key}2': value for key, value in KERNELS.items()} | {'blur_sigma2': [0.2, 1.5], 'final_sinc_prob': 0.8}


def pixels(height, width, seed=0, dtype=np.uint8):
    """A smooth random colour image, BGR."""
    small = np.random.default_rng(seed).random((height // 4 + 1, width // 4 + 1, 3), dtype=np.float32)
    image = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    return (image * np.iinfo(dtype).max).astype(dtype)


def write(path, height=64, width=64, **kwargs):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels(height, width, **kwargs))
    return path


def write_pair(folder, name='a.png', lq_name=None, size=(64, 64), scale=4, seed=0):
    height, width = size
    write(folder / 'gt' / name, height, width, seed=seed)
    write(folder / 'lq' / (lq_name or name), height // scale, width // scale, seed=seed)


def gt_dataset(folder, **options):
    opt = {'name': 'test', 'type': GT, 'phase': 'train', 'dataroot_gt': str(folder), 'gt_size': 32, 'crop_pad_size': 48}
    return build_dataset(opt | options)


def paired_dataset(folder, **options):
    roots = {'dataroot_gt': str(folder / 'gt'), 'dataroot_lq': str(folder / 'lq')}
    opt = {'name': 'test', 'type': PAIRED, 'phase': 'train', 'scale': 4, 'gt_size': 32, **roots}
    return build_dataset(opt | options)


def seed_draws(seed):
    random.seed(seed)
    np.random.seed(seed)


def names(dataset):
    """The names of a dataset's GT pictures, relative to their folder's folder."""
    return [(item if isinstance(item, LazyImage) else item[0]).path for item in dataset.items]


def message_of(build, *args, **kwargs):
    with pytest.raises(OptionError) as caught:
        build(*args, **kwargs)
    message = str(caught.value)
    assert '\n' not in message
    return message


# ------------------------------------------------------------------ registered, listed, shown


def test_the_datasets_are_registered_and_nothing_of_basicsr_is_overwritten():
    assert set(entries('data')) == {GT, PAIRED, 'LQFolderDataset'}
    for name in ('PairedImageDataset', 'RealESRGANDataset_basicsr', 'RealESRGANPairedDataset_basicsr'):
        assert DATASET_REGISTRY.get(name).__module__.startswith('basicsr.')


@pytest.mark.parametrize('name', [GT, PAIRED])
def test_show_prints_a_train_block_that_builds(name, tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        main(['show', name])
    block = yaml.safe_load(capsys.readouterr().out.split('In an option file:\n')[1])['datasets']['train']
    assert 'dataset_enlarge_ratio' not in block  # any training script gets the default of the dataset
    for index in range(2):
        write_pair(tmp_path / 'datasets/train', f'{index}.png', size=(256, 256))
    monkeypatch.chdir(tmp_path)
    dataset = build_dataset({**block, 'phase': 'train', 'scale': 4})
    assert type(dataset).__name__ == name
    assert dataset[0]['gt'].shape[0] == 3


@pytest.mark.parametrize('name', [GT, PAIRED])
def test_the_documentation_of_a_dataset_explains_every_option_of_its_own(name):
    entry = DATASET_REGISTRY.get(name)
    explained = entry.__doc__.split('Options:')[1]
    keys = set(entry.OPTIONS) - set(KERNELS)
    assert {'dataroot_gt', 'gt_size', 'dataset_enlarge_ratio'} <= keys
    assert [key for key in keys if key not in explained] == []


# ------------------------------------------------------------------ equality with BasicSR


SIZES = [((450, 500), '.png'), ((800, 420), '.png'), ((450, 500), '.jpg'), ((500, 60), '.png'), ((30, 401), '.jpg')]


@pytest.mark.parametrize('seed', range(6))
@pytest.mark.parametrize(('size', 'suffix'), SIZES)
def test_gt_and_kernels_equal_those_of_basicsr_for_the_same_random_state(size, suffix, seed, tmp_path):
    write(tmp_path / 'gt' / f'sub/x{suffix}', *size)
    (tmp_path / 'meta.txt').write_text(f'sub/x{suffix}\n')
    common = {'name': 'n', 'phase': 'train', 'dataroot_gt': str(tmp_path / 'gt'), 'gt_size': 256, **KERNELS}
    common |= {'use_hflip': True, 'use_rot': True, 'meta_info': str(tmp_path / 'meta.txt')}
    samples = []
    for block in ({'type': 'RealESRGANDataset_basicsr', 'io_backend': {'type': 'disk'}}, {'type': GT}):
        dataset = build_dataset(common | block)
        seed_draws(seed)
        samples.append(dataset[0])
    theirs, ours = samples
    assert set(ours) == set(theirs)
    assert ours.pop('gt_path') == theirs.pop('gt_path')
    assert ours['gt'].shape == (3, 400, 400)
    for key, tensor in theirs.items():
        assert torch.equal(ours[key], tensor), key


@pytest.mark.parametrize('phase', ['train', 'val'])
@pytest.mark.parametrize('scale', [1, 2, 3, 4])
def test_pairs_equal_those_of_basicsr_for_the_same_random_state(scale, phase, tmp_path):
    write_pair(tmp_path, size=(96, 84), scale=scale)
    samples = []
    for name in ('PairedImageDataset', PAIRED):
        flips = {'use_hflip': True, 'use_rot': True, 'io_backend': {'type': 'disk'}}
        dataset = paired_dataset(tmp_path, type=name, phase=phase, scale=scale, gt_size=12 * scale, **flips)
        seed_draws(3)
        samples += [dataset[0]]
    theirs, ours = samples
    assert ours['gt_path'] == theirs['gt_path']
    assert torch.equal(ours['gt'], theirs['gt'])
    assert torch.equal(ours['lq'], theirs['lq'])


# ------------------------------------------------------------------ finding images


def test_a_folder_tree_with_odd_names_is_found_and_hidden_and_other_files_are_not(tmp_path):
    wanted = ['a b.PNG', 'deep/er/ü (1).jpg', 'deep/x,y.bmp', 'z.webp']
    for name in [*wanted, '.hidden.png', '.cache/x.png']:
        write(tmp_path / name)
    (tmp_path / 'notes.txt').write_text('no picture')
    assert names(gt_dataset(tmp_path)) == [str(tmp_path / name) for name in wanted]


def test_links_are_followed_but_cycles_are_not(tmp_path):
    write(tmp_path / 'elsewhere/x.png')
    (tmp_path / 'gt').mkdir()
    (tmp_path / 'gt/link').symlink_to(tmp_path / 'elsewhere')
    (tmp_path / 'elsewhere/back').symlink_to(tmp_path / 'gt')
    assert names(gt_dataset(tmp_path / 'gt')) == [str(tmp_path / 'gt/link/x.png')]


def test_several_folders_are_read_one_after_the_other(tmp_path):
    for name in ('one/x.png', 'two/x.png', 'three/y.png'):
        write(tmp_path / name)
    roots = [str(tmp_path / 'one'), str(tmp_path / 'two')]
    assert names(gt_dataset(tmp_path, dataroot_gt=roots)) == [f'{root}/x.png' for root in roots]
    metas = [tmp_path / f'{index}.txt' for index in range(2)]
    for meta in metas:
        meta.write_text('x.png\n')
    dataset = gt_dataset(tmp_path, dataroot_gt=roots, meta_info=[str(meta) for meta in metas])
    assert names(dataset) == [f'{root}/x.png' for root in roots]


@pytest.mark.parametrize(
    ('line', 'expected'),
    [
        ('x.png', ('x.png',)),
        ('a b/x y.png', ('a b/x y.png',)),
        ('x y.png (480,480,3)', ('x y.png',)),
        ('x.png copy.PNG', ('x.png copy.PNG',)),
        ('gt/x.png, lq/x.png', ('gt/x.png', 'lq/x.png')),
        ('a, b.jpg, c, d.jpg', ('a, b.jpg', 'c, d.jpg')),
        ('no_extension', ('no_extension',)),
    ],
)
def test_a_line_of_a_meta_file_names(line, expected):
    assert names_in_line(line) == expected


def test_a_meta_file_selects_images_and_its_blank_lines_and_second_column_are_ignored(tmp_path):
    for name in ('a b.png', 'sub/c.png', 'unwanted.png'):
        write(tmp_path / 'gt' / name)
    (tmp_path / 'meta.txt').write_text('a b.png (64,64,3)\n\nsub/c.png\n', encoding='utf-8-sig')
    dataset = gt_dataset(tmp_path / 'gt', meta_info=str(tmp_path / 'meta.txt'))
    assert names(dataset) == [str(tmp_path / 'gt' / name) for name in ('a b.png', 'sub/c.png')]


PAIRS = {  # gt -> lq, options
    'the same names': ({'x.png': 'x.png', 'sub/x.png': 'sub/x.png'}, {}),
    'other extensions': ({'x.png': 'x.jpg', 'y.JPG': 'y.png'}, {}),
    'the same stem twice': ({'x.png': 'x.png', 'x.jpg': 'x.jpg'}, {}),
    'a template': ({'0801.png': '0801x4.png', 'sub/a.b.png': 'sub/a.bx4.png'}, {'filename_tmpl': '{}x4'}),
    'a meta file of pairs': ({'x y.png': 'other/z.png'}, {'meta_info': 'x y.png, other/z.png\n'}),
    'a meta file of GT, and a template': (
        {'sub/x.png': 'sub/xs.png'},
        {'meta_info_file': 'sub/x.png (64,64,3)\n', 'filename_tmpl': '{}s'},
    ),
}


@pytest.mark.parametrize('case', PAIRS)
def test_partners_are_found_by(case, tmp_path):
    files, options = PAIRS[case]
    for gt, lq in files.items():
        write_pair(tmp_path, gt, lq)
    for key in ('meta_info', 'meta_info_file'):
        if key in options:
            (tmp_path / 'meta.txt').write_text(options[key])
            options = options | {key: str(tmp_path / 'meta.txt')}
    dataset = paired_dataset(tmp_path, **options)
    expected = {(str(tmp_path / 'gt' / gt), str(tmp_path / 'lq' / lq)) for gt, lq in files.items()}
    assert {(gt.path, lq.path) for gt, lq in dataset.items} == expected


def test_the_lq_folder_may_lie_within_the_gt_folder(tmp_path):
    write(tmp_path / 'x.png')
    write(tmp_path / 'lq/x.png', 16, 16)
    assert len(paired_dataset(tmp_path, dataroot_gt=str(tmp_path)).items) == 1


def write_lmdb(path, sizes):
    maker = LmdbMaker(str(path), map_size=2**24)
    for key, size in sizes.items():
        maker.put(cv2.imencode('.png', pixels(*size))[1].tobytes(), key, (*size, 3))
    maker.close()
    return str(path)


@pytest.mark.parametrize('options', [{}, {'io_backend': {'type': 'lmdb'}}], ids=['inferred', 'written'])
def test_lmdb_folders_work_alone_and_in_pairs(options, tmp_path):
    gt = write_lmdb(tmp_path / 'gt.lmdb', {'a.b': (64, 64), 'c': (40, 80)})
    lq = write_lmdb(tmp_path / 'lq.lmdb', {'c': (10, 20), 'a.b': (16, 16)})
    alone = gt_dataset(gt, **options)
    _check_train_set(alone, {'batch_size_per_gpu': 2})
    assert [alone[index]['gt_path'] for index in range(2)] == ['a.b', 'c']
    again = pickle.dumps(alone)
    del alone  # lmdb lets a process open a folder once
    assert pickle.loads(again)[1]['gt'].shape == (3, 48, 48)
    pairs = paired_dataset(tmp_path, dataroot_gt=gt, dataroot_lq=lq, phase='val', **options)
    for index, (key, size) in enumerate({'a.b': (64, 64), 'c': (40, 80)}.items()):
        sample = pairs[index]
        assert (sample['gt_path'], sample['lq_path']) == (key, key)
        assert sample['gt'].shape == (3, *size)


# ------------------------------------------------------------------ reading images


def encoded(image, name):
    return cv2.imencode(name, image)[1].tobytes()


def saved(image, name, **kwargs):
    """Pillow's file of a BGR image, after a change of mode."""
    buffer = io.BytesIO()
    picture = Image.fromarray(image[..., ::-1]) if image.ndim == 3 else Image.fromarray(image)
    mode = kwargs.pop('mode', None)
    picture = picture.quantize(16) if mode == 'P' else picture.convert(mode) if mode else picture
    picture.save(buffer, name, **kwargs)
    return buffer.getvalue()


def grey_of(image):
    return np.array(Image.fromarray(image[..., ::-1]).convert('L'))[..., None].repeat(3, axis=2)


COLOUR, DEEP = pixels(20, 28), pixels(20, 28, dtype=np.uint16)
PALETTE = np.array(Image.fromarray(COLOUR[..., ::-1]).quantize(16).convert('RGB'))[..., ::-1]
TRANSPARENT = np.dstack([COLOUR, np.zeros((20, 28, 1), np.uint8)])
SIDEWAYS = Image.Exif()
SIDEWAYS[0x0112] = 6
FORMATS = {  # bytes of the file, expected BGR image, white
    'colour': (encoded(COLOUR, '.png'), COLOUR, 255),
    'tiff': (encoded(COLOUR, '.tif'), COLOUR, 255),
    'bmp': (encoded(COLOUR, '.bmp'), COLOUR, 255),
    'grey': (encoded(COLOUR[..., 0], '.png'), COLOUR[..., :1].repeat(3, axis=2), 255),
    'black and white': (saved(np.eye(16, dtype=bool), 'PNG'), np.eye(16)[..., None].repeat(3, axis=2) * 255, 255),
    'palette': (saved(COLOUR, 'PNG', mode='P'), PALETTE, 255),
    'palette with transparency': (saved(COLOUR, 'PNG', mode='P', transparency=3), PALETTE, 255),
    'alpha is dropped': (encoded(TRANSPARENT, '.png'), COLOUR, 255),
    'grey and alpha': (saved(COLOUR, 'PNG', mode='LA'), grey_of(COLOUR), 255),
    '16 bits': (encoded(DEEP, '.png'), DEEP, 65535),
    '16 bits grey': (encoded(DEEP[..., 0], '.png'), DEEP[..., :1].repeat(3, axis=2), 65535),
    '16 bits tiff': (encoded(DEEP, '.tif'), DEEP, 65535),
    '16 bits and alpha': (encoded(np.dstack([DEEP, DEEP[..., :1]]), '.png'), DEEP, 65535),
    'on its side': (saved(COLOUR, 'PNG', exif=SIDEWAYS), np.rot90(COLOUR, -1), 255),
    'bytes after the end': (encoded(COLOUR, '.png') + b'x' * 1000, COLOUR, 255),
}


@pytest.mark.parametrize('case', FORMATS)
def test_an_image_has_three_channels_from_0_to_1_and_its_size_is_in_the_header(case, tmp_path):
    content, image, white = FORMATS[case]
    (tmp_path / 'x.png').write_bytes(content)
    tensor = to_tensor(decode(content, 'x.png'))
    expected = torch.from_numpy(image[..., ::-1].astype(np.float32) / np.float32(white)).permute(2, 0, 1)
    assert tensor.dtype is torch.float32
    assert tensor.shape == (3, *image.shape[:2])
    torch.testing.assert_close(tensor, expected, rtol=0, atol=1e-7)
    assert size_of(tmp_path / 'x.png') == image.shape[:2]


BIG = pixels(200, 300)
BROKEN = {
    'empty': (b'', 'is empty'),
    'text': (b'<html>404</html>', 'is damaged or no image'),
    'half a png': (encoded(BIG, '.png')[:9000], 'is damaged or no image'),
    'most of a png': (encoded(BIG, '.png')[:-40], 'is damaged or no image'),
    'half a jpg': (encoded(BIG, '.jpg')[:4000], 'is damaged or no image'),
    'most of a jpg': (encoded(BIG, '.jpg')[:-40], 'is damaged or no image'),
    'a header': (encoded(BIG, '.jpg')[:12], 'is damaged or no image'),
    'floats': (encoded(BIG.astype(np.float32), '.tif'), 'holds float32 samples'),
}


@pytest.mark.parametrize('case', BROKEN)
def test_a_broken_image_is_named_when_it_is_read(case):
    content, expected = BROKEN[case]
    assert expected in message_of(decode, content, 'sub/x.png')


@pytest.mark.parametrize('case', [case for case in BROKEN if case != 'floats'])
@pytest.mark.parametrize('build', [gt_dataset, paired_dataset])
def test_a_broken_image_is_named_before_training(case, build, tmp_path):
    for name in ('x.png', 'y.png'):
        write_pair(tmp_path, name)
    (tmp_path / 'gt/x.png').write_bytes(BROKEN[case][0])
    message = message_of(build, tmp_path / 'gt' if build is gt_dataset else tmp_path)
    assert message.startswith('1 of 2 images cannot be used: ')
    assert f'gt/x.png {BROKEN[case][1]}' in message


def test_a_key_that_an_lmdb_lacks_is_named(tmp_path):
    root = write_lmdb(tmp_path / 'gt.lmdb', {'a': (64, 64)})
    (tmp_path / 'gt.lmdb/meta_info.txt').write_text('b.png (64,64,3) 1\n')
    assert message_of(gt_dataset(root).__getitem__, 0) == 'b is empty'


def test_many_broken_images_are_counted_and_the_first_are_named(tmp_path):
    for index in range(7):
        write(tmp_path / f'{index}.png').write_bytes(b'')
    message = message_of(gt_dataset, tmp_path)
    assert message.startswith('7 of 7 images')
    assert '2.png is empty, ...; replace or remove them' in message
    assert '3.png' not in message


def test_a_sample_of_a_large_set_is_checked_and_the_log_says_so(tmp_path, monkeypatch, caplog):
    for index in range(6):
        write(tmp_path / f'{index}.png')
    monkeypatch.setattr(measure, 'CHECKED', 4)
    monkeypatch.setattr(logging.getLogger('basicsr'), 'propagate', True)
    measured = []
    monkeypatch.setattr(sources, 'size_of', lambda path: measured.append(path) or (64, 64))
    state = random.getstate()
    with caplog.at_level(logging.INFO, 'basicsr'):
        gt_dataset(tmp_path)
    assert len(set(measured)) == 4
    assert '4 of 6 images' in caplog.text
    assert random.getstate() == state


# ------------------------------------------------------------------ crops


@pytest.mark.parametrize(('gt_size', 'crop_pad_size', 'expected'), [(32, 48, 48), (100, 48, 100), (256, None, 400)])
def test_the_gt_buffer_is_crop_pad_size_but_at_least_gt_size(gt_size, crop_pad_size, expected, tmp_path):
    write(tmp_path / 'x.png', 64, 70)
    dataset = gt_dataset(tmp_path, gt_size=gt_size, crop_pad_size=crop_pad_size)
    assert dataset[0]['gt'].shape == (3, expected, expected)


def test_a_small_image_is_mirrored_at_its_right_and_lower_edge(tmp_path):
    write(tmp_path / 'x.png', 30, 20)
    gt = gt_dataset(tmp_path, use_hflip=False)[0]['gt']
    assert torch.equal(gt[:, :, 20:39], gt[:, :, :19].flip(2))
    assert torch.equal(gt[:, 30:48], gt[:, 11:29].flip(1))


@pytest.mark.parametrize('flip', ['use_hflip', 'use_rot'])
def test_flips_happen_in_some_samples_if_enabled(flip, tmp_path):
    write(tmp_path / 'x.png', 32, 32)
    off = {'use_hflip': False, 'use_rot': False, 'crop_pad_size': 32}
    still, moved = (gt_dataset(tmp_path, **off | {flip: wanted}) for wanted in (False, True))
    seed_draws(0)
    variants = [{dataset[0]['gt'].numpy().tobytes() for _ in range(40)} for dataset in (still, moved)]
    assert [len(variant) for variant in variants] == [1, {'use_hflip': 2, 'use_rot': 4}[flip]]


@pytest.mark.parametrize('scale', [2, 3, 4])
def test_both_crops_of_a_pair_show_the_same_place(scale, tmp_path):
    lq = pixels(30, 40)
    for name, image in {'lq': lq, 'gt': lq.repeat(scale, axis=0).repeat(scale, axis=1)}.items():
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / 'x.png'), image)
    dataset = paired_dataset(tmp_path, scale=scale, gt_size=7 * scale)
    for _ in range(5):
        sample = dataset[0]
        assert sample['lq'].shape == (3, 7, 7)
        assert torch.equal(sample['gt'][:, ::scale, ::scale], sample['lq'])


def test_validation_does_not_crop_but_cuts_off_the_extra_rows_of_gt(tmp_path):
    write(tmp_path / 'gt/x.png', 67, 41)
    write(tmp_path / 'lq/x.png', 16, 10)
    sample = paired_dataset(tmp_path, phase='val', gt_size=None)[0]
    assert sample['gt'].shape == (3, 64, 40)
    assert 'pairs do not fit scale 4' in message_of(paired_dataset, tmp_path)


# ------------------------------------------------------------------ the length of an epoch


@pytest.mark.parametrize(
    ('pictures', 'options', 'expected'),
    [
        (3, {}, EPOCH_BATCHES),
        (3, {'batch_size_per_gpu': 8}, 8 * EPOCH_BATCHES),
        (7, {}, 7 * -(-EPOCH_BATCHES // 7)),
        (3, {'dataset_enlarge_ratio': None}, EPOCH_BATCHES),
        (3, {'dataset_enlarge_ratio': 1}, 3),
        (3, {'dataset_enlarge_ratio': 50}, 3),
        (3, {'phase': 'val'}, 3),
    ],
)
def test_a_small_training_set_is_enlarged_unless_the_option_file_has_a_ratio(pictures, options, expected, tmp_path):
    for index in range(pictures):
        write_pair(tmp_path, f'{index}.png')
    dataset = paired_dataset(tmp_path, **options)
    assert len(dataset) == expected
    assert dataset[len(dataset) - 1]['gt_path'] == str(tmp_path / f'gt/{pictures - 1}.png')
    with pytest.raises(IndexError):
        dataset[len(dataset)]


def test_a_set_smaller_than_a_batch_trains(tmp_path):
    write_pair(tmp_path)
    dataset = paired_dataset(tmp_path, batch_size_per_gpu=5)
    _check_train_set(dataset, {'batch_size_per_gpu': 5})
    with pytest.raises(OptionError, match='1 images are fewer than a batch of 5'):
        _check_train_set(paired_dataset(tmp_path, dataset_enlarge_ratio=1), {'batch_size_per_gpu': 5})


# ------------------------------------------------------------------ workers


@pytest.fixture
def both_datasets(tmp_path):
    for index in range(2):
        write_pair(tmp_path, f'{index}.png', seed=index)
    return gt_dataset(tmp_path / 'gt'), paired_dataset(tmp_path)


@pytest.mark.parametrize('which', [0, 1], ids=[GT, PAIRED])
def test_a_dataset_can_be_pickled_before_and_after_its_first_sample(which, both_datasets):
    dataset = both_datasets[which]
    for _ in range(2):
        again = pickle.loads(pickle.dumps(dataset))
        samples = []
        for each in (dataset, again):
            seed_draws(1)
            samples.append(each[1])
        assert torch.equal(samples[0]['gt'], samples[1]['gt'])


def loader(dataset, workers=2):
    """BasicSR's loader, as its pipeline builds it."""
    opt = {'phase': 'train', 'batch_size_per_gpu': 2, 'num_worker_per_gpu': workers}
    return build_dataloader(dataset, opt, num_gpu=0, sampler=EnlargedSampler(dataset, 1, 0, 1), seed=0)


@pytest.mark.slow
def test_spawned_workers_load_samples(both_datasets):
    joined, first_of_each = torch.utils.data.ConcatDataset(both_datasets), (0, len(both_datasets[0]))
    loading = torch.utils.data.DataLoader(joined, sampler=first_of_each, num_workers=1, multiprocessing_context='spawn')
    assert [set(sample) for sample in loading] == [set(dataset[0]) for dataset in both_datasets]


@pytest.mark.slow
def test_workers_draw_other_numbers_in_each_epoch_and_the_same_for_the_same_seed(both_datasets):
    loading = loader(both_datasets[0])

    def epochs():
        torch.manual_seed(0)
        return [next(iter(loading))['kernel1'] for _ in range(2)]

    (first, second), again = epochs(), epochs()
    assert not torch.equal(first, second)
    assert all(map(torch.equal, (first, second), again))


@pytest.mark.parametrize('which', [0, 1], ids=[GT, PAIRED])
@pytest.mark.parametrize('workers', [0, 1])
@pytest.mark.parametrize('damage', [b'half a picture', None], ids=['damaged', 'gone'])
def test_an_image_that_breaks_during_training_is_one_sentence_with_its_path(damage, workers, which, both_datasets):
    dataset = both_datasets[which]
    for picture in {item if isinstance(item, LazyImage) else item[0] for item in dataset.items}:
        if damage:
            with open(picture.path, 'wb') as file:
                file.write(damage)
        else:
            os.remove(picture.path)
    message = message_of(lambda: next(iter(loader(dataset, workers))))
    assert '.png' in message
    assert ('is damaged or no image' if damage else 'cannot be read: ') in message
    assert 'Traceback' not in message
    assert 'PictureError' not in message


def test_a_file_that_cannot_be_read_is_retried_and_then_named(tmp_path, monkeypatch):
    write(tmp_path / 'x.png')
    dataset = gt_dataset(tmp_path)
    content, pauses, failures = (tmp_path / 'x.png').read_bytes(), [], [OSError('busy'), OSError('busy')]

    class Client:
        def __init__(self, *args, **kwargs):
            pass

        def get(self, path, client_key):
            if failures:
                raise failures.pop()
            return content

    monkeypatch.setattr(reader, 'FileClient', Client)
    monkeypatch.setattr(reader.time, 'sleep', pauses.append)
    assert dataset[0]['gt'].shape == (3, 48, 48)
    assert len(pauses) == 2
    failures += [OSError('busy')] * 3
    assert 'x.png cannot be read: busy' in message_of(dataset.__getitem__, 0)


def test_an_error_stays_one_sentence_when_a_worker_reraises_it_twice():
    once = PictureError('x.png is empty')
    trace = (
        f'Caught PictureError in DataLoader worker process 0.\nOriginal Traceback\n  File\n{PictureError.__module__}.'
    )
    assert str(PictureError(f'{trace}PictureError: {once}\n')) == str(once)
    assert str(pickle.loads(pickle.dumps(once))) == str(once)


# ------------------------------------------------------------------ users' mistakes


def one_pair(folder):
    write_pair(folder)


def no_pictures(folder):
    for name in ('gt', 'lq'):
        (folder / name / 'sub').mkdir(parents=True)
        (folder / name / 'sub/notes.txt').write_text('')


def x4_names(folder):
    for index in range(5):
        write_pair(folder, f'{index}.png', f'{index}x4.png')


def one_lq_too_few(folder):
    x4_names(folder)
    (folder / 'lq/3x4.png').unlink()


def one_lq_too_many(folder):
    write_pair(folder)
    write(folder / 'lq/sub/b.png', 16, 16)


def rounded_sizes(folder):
    for index in range(5):
        write(folder / f'gt/{index}.png', 63, 66)
        write(folder / f'lq/{index}.png', 16, 16)


def one_small(folder):
    write_pair(folder, 'large.png')
    write_pair(folder, 'small.png', size=(64, 28))


def missing_in_meta(folder):
    write_pair(folder)
    (folder / 'meta.txt').write_text('a.png\nsub/b.png\n')


MISTAKES = {  # dataset, files, options, what the message says
    'misspelt option': (GT, one_pair, {'gt_sizes': 32}, 'no option gt_sizes (did you mean gt_size?)'),
    'misspelt kernel option': (GT, one_pair, {'blur_sigmas': [1, 2]}, 'did you mean blur_sigma'),
    'option of the other dataset': (GT, one_pair, {'dataroot_lq': 'x'}, 'GTFolderDataset has no option dataroot_lq'),
    'no gt_size': (GT, one_pair, {'gt_size': None}, 'needs the option gt_size, such as 256'),
    'gt_size as text': (GT, one_pair, {'gt_size': '32'}, "gt_size needs to be a whole number above 0, got '32'"),
    'crop_pad_size 0': (GT, one_pair, {'crop_pad_size': 0}, 'crop_pad_size needs'),
    'misspelt preset': (GT, one_pair, {'degradation': 'reel'}, 'did you mean real'),
    'no such folder': (GT, one_pair, {'dataroot_gt': 'nowhere'}, 'dataroot_gt: there is no folder nowhere'),
    'no such folder of several': (GT, one_pair, {'dataroot_gt': ['nowhere', '.']}, 'there is no folder nowhere'),
    'no pictures': (GT, no_pictures, {}, 'holds no images (.png .jpg'),
    'no such meta file': (GT, one_pair, {'meta_info': 'nowhere.txt'}, 'meta_info: cannot read nowhere.txt'),
    'meta file for one folder of two': (
        *(GT, one_pair),
        {'dataroot_gt': ['{}/gt', '{}/lq'], 'meta_info': 'x.txt'},
        'meta_info names 1 files for 2 folders',
    ),
    'empty meta file': (GT, lambda f: write_pair(f) or (f / 'm').touch(), {'meta_info': '{}/m'}, 'lists no images'),
    'meta file of elsewhere': (GT, missing_in_meta, {'meta_info': '{}/meta.txt'}, 'gt/sub/b.png'),
    'unknown backend': (GT, one_pair, {'io_backend': {'type': 'dsik'}}, 'did you mean disk'),
    'lmdb without .lmdb': (GT, one_pair, {'io_backend': {'type': 'lmdb'}}, 'io_backend of type lmdb'),
    'ratio as a word': (GT, one_pair, {'dataset_enlarge_ratio': 'atuo'}, 'dataset_enlarge_ratio needs to be auto or'),
    'auto outside of our loop': (
        GT,
        one_pair,
        {'dataset_enlarge_ratio': 'auto'},
        'auto is text, and this training script',
    ),
    'no scale': (PAIRED, one_pair, {'scale': None}, 'scale is missing at the top'),
    'no dataroot_lq': (PAIRED, one_pair, {'dataroot_lq': None}, 'needs the option dataroot_lq'),
    'no multiple of scale': (PAIRED, one_pair, {'gt_size': 30}, 'no multiple of scale 4; take 28 or 32'),
    'template without place': (PAIRED, one_pair, {'filename_tmpl': 'x4'}, "filename_tmpl needs one '{}'"),
    'no template': (
        PAIRED,
        x4_names,
        {},
        '5 of 5 images of dataroot_gt have no partner in dataroot_lq: 0.png, 1.png, ',
    ),
    'no template, but one fits': (PAIRED, x4_names, {}, "2.png, ...; filename_tmpl: '{}x4' fits"),
    'lq too few': (PAIRED, one_lq_too_few, {'filename_tmpl': '{}x4'}, '1 of 5 images of dataroot_gt have no partner'),
    'lq too many': (
        PAIRED,
        one_lq_too_many,
        {},
        '1 of 2 images of dataroot_lq have no partner in dataroot_gt: sub/b',
    ),
    'the same folder': (PAIRED, one_pair, {'dataroot_lq': '{}/gt'}, 'are the same folder'),
    'another scale': (
        PAIRED,
        one_pair,
        {'scale': 2},
        'GT 64x64 is not 2 times LQ 16x16); these images are of scale 4',
    ),
    'rounded sizes': (PAIRED, rounded_sizes, {}, '5 of 5 pairs do not fit scale 4: '),
    'rounded sizes have a way out': (PAIRED, rounded_sizes, {}, 'cut GT to a multiple of 4 before reducing it to LQ'),
    'rounded sizes in validation': (PAIRED, rounded_sizes, {'phase': 'val'}, 'GT 63x66 is not 4 times LQ 16x16'),
    'one small picture': (PAIRED, one_small, {}, 'gt/small.png (64x28); lower gt_size or remove them'),
    'missing in the meta file': (PAIRED, missing_in_meta, {'meta_info': '{}/meta.txt'}, 'there is no file'),
}


@pytest.mark.parametrize('mistake', MISTAKES)
def test_a_mistake_is_one_sentence(mistake, tmp_path):
    name, write_files, options, expected = MISTAKES[mistake]
    write_files(tmp_path)
    options = json.loads(json.dumps(options).replace('{}/', f'{tmp_path}/'))
    build, folder = (gt_dataset, tmp_path / 'gt') if name == GT else (paired_dataset, tmp_path)
    message = message_of(build, folder, **options)
    assert expected in message


# ------------------------------------------------------------------ through the command


def paired_blocks(folder, **train):
    blocks = {}
    for phase in ('train', 'val'):
        roots = {'dataroot_gt': str(folder / 'pairs/gt'), 'dataroot_lq': str(folder / 'pairs/lq')}
        blocks[phase] = {'name': phase, 'type': PAIRED, 'filename_tmpl': '{}x4', **roots}
    blocks['train'] |= {'gt_size': 32, 'batch_size_per_gpu': 4, 'num_worker_per_gpu': 1, **train}
    return blocks


@pytest.mark.slow
def test_a_model_trains_and_validates_on_a_nested_folder_with_odd_names(tmp_path):
    for name in ('día uno/a b', 'día uno/c, d', 'x.y'):
        write_pair(tmp_path / 'pairs', f'{name}.png', f'{name}x4.png')
    roots = {key: [f'{tmp_path}/pairs/{key[-2:]}'] for key in ('dataroot_gt', 'dataroot_lq')}
    blocks = paired_blocks(tmp_path, dataset_enlarge_ratio='auto', **roots)
    path = write_option_file(tmp_path, total_iter=2, datasets=blocks)
    code, output = train(path)
    assert code == 0, output
    assert 'Dataset [PairedFolderDataset] - train is built.' in output
    assert '3 images, each 400 times in an epoch' in output
    assert '# psnr: ' in output
    saved_network = torch.load(tmp_path / 'experiments/gan_x4/models/net_g_2.pth', weights_only=True)
    assert all(tensor.isfinite().all() for tensor in saved_network['params'].values())


TRAIN_MISTAKES = {
    'auto with another dataset': ({'type': 'PairedImageDataset', 'dataset_enlarge_ratio': 'auto'}, 'needs a number as'),
    'a misspelt option': (
        {'use_hflips': True},
        'datasets.train.use_hflips: nobody reads this key (did you mean use_hflip?)',
    ),
    'too large a crop': ({'gt_size': 96}, '1 of 1 images are smaller than gt_size 96: '),
}


@pytest.mark.parametrize('mistake', TRAIN_MISTAKES)
def test_ganzoo_train_reports_a_mistake_in_one_sentence(mistake, tmp_path, monkeypatch, capsys):
    changes, expected = TRAIN_MISTAKES[mistake]
    write_pair(tmp_path / 'pairs', 'a/x.png', 'a/xx4.png')
    monkeypatch.chdir(tmp_path)
    path = write_option_file(tmp_path, datasets=paired_blocks(tmp_path, **changes))
    with pytest.raises(SystemExit) as stopped:
        main(['train', '-opt', str(path)])
    last = capsys.readouterr().err.splitlines()[-1]
    assert stopped.value.code == 1
    assert last.startswith('error: ')
    assert expected in last


# ------------------------------------------------------------------ LQ without GT


def lq_dataset(folder, **changes):
    block = {'name': 'n', 'type': 'LQFolderDataset', 'phase': 'val', 'scale': 4, 'dataroot_lq': str(folder / 'lq')}
    return build_dataset(block | changes)


def test_lq_images_are_not_cropped_and_other_files_are_ignored(tmp_path):
    image = cv2.imread(str(write(tmp_path / 'lq/deep/a.png', 13, 20)))
    write(tmp_path / 'lq/b.png', 9, 7, dtype=np.uint16)
    (tmp_path / 'lq/notes.txt').write_text('no picture')
    dataset = lq_dataset(tmp_path)
    assert [set(dataset[index]) for index in range(len(dataset))] == [{'lq', 'lq_path'}] * 2
    (found,) = [sample for sample in dataset if sample['lq_path'].endswith('deep/a.png')]
    assert torch.equal(found['lq'], torch.from_numpy(image[..., ::-1].transpose(2, 0, 1) / np.float32(255)))


@pytest.mark.parametrize(
    ('changes', 'expected'),
    [
        ({'phase': 'train'}, 'LQFolderDataset has no gt to train with'),
        ({'dataroot_lq': 'nowhere'}, 'there is no folder nowhere; relative ones are looked for in /'),
        ({'dataroot_gt': 'x'}, 'LQFolderDataset has no option dataroot_gt'),
    ],
)
def test_a_mistake_about_lq_images_is_one_sentence(changes, expected, tmp_path):
    write(tmp_path / 'lq/a.png')
    with pytest.raises(OptionError, match=expected):
        lq_dataset(tmp_path, **changes)
    (tmp_path / 'lq/b.png').write_bytes(b'no picture')
    with pytest.raises(OptionError, match='b.png is damaged or no image'):
        lq_dataset(tmp_path)


@pytest.mark.slow
def test_training_validates_on_lq_images_without_gt(tmp_path):
    val = {'name': 'own', 'type': 'LQFolderDataset', 'dataroot_lq': 'data/lq'}
    path = write_option_file(tmp_path, datasets__val=val, val__metrics=None, val__save_img=True, total_iter=2)
    code, output = train(path)
    assert code == 0, output
    pictures = sorted((tmp_path / 'experiments/gan_x4/visualization').rglob('*_2.png'))
    assert [cv2.imread(str(picture)).shape for picture in pictures] == [(64, 64, 3)] * 4
