"""Checks images before training starts: reads headers and sizes, and reports what is wrong in one sentence."""

import logging
import random
from concurrent.futures import ThreadPoolExecutor

from basicsr_ganzoo.errors import OptionError, PictureError

CHECKED = 20_000  # images or pairs; of a larger set a random sample of this size is checked
THREADS = 16
_NAMED = 3


def measure(groups):
    """Measure the images of groups such as ``(gt, lq)`` in threads, from their headers where possible.

    Returns:
        The checked groups, and for each a list of sizes (H, W).

    Raises:
        OptionError: some are damaged or no images; the message names the first.
    """
    checked = groups
    if len(groups) > CHECKED:
        checked = random.Random(0).sample(groups, CHECKED)
        logging.getLogger('basicsr').info(f'checked the headers of {CHECKED} of {len(groups)} images, not of all')
    with ThreadPoolExecutor(THREADS) as threads:
        sizes = list(threads.map(_measure_group, checked))
    broken = [str(size) for group in sizes for size in group if isinstance(size, PictureError)]
    refuse(broken, len(checked), 'images cannot be used', 'replace or remove them')
    return checked, sizes


def _measure_group(group):
    return [image.measure() for image in group]


def refuse(problems, total, what, way_out):
    """Raise ``OptionError`` if there are problems: their number and ``total``, ``what``, the first few, ``way_out``."""
    if problems:
        more = ', ...' if len(problems) > _NAMED else ''
        named = ', '.join(problems[:_NAMED])
        raise OptionError(f'{len(problems)} of {total} {what}: {named}{more}; {way_out}')


def size_text(size):
    """A size (H, W) as HxW, for messages."""
    return f'{size[0]}x{size[1]}'
