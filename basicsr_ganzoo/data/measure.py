"""What is checked before training starts: every picture's header and size, and sentences that list what is wrong."""

import logging
import random
from concurrent.futures import ThreadPoolExecutor

from basicsr_ganzoo.errors import OptionError, PictureError

CHECKED = 20_000  # pictures or pairs; of more, a random sample of this size
THREADS = 16
_NAMED = 3


def measure(groups):
    """Measure the pictures of groups such as ``(gt, lq)``, in threads, without decoding them where that is possible.

    Returns:
        The groups that were checked, and the sizes of each: a list of (H, W).

    Raises:
        OptionError: some are no pictures, or are damaged; it names the first.
    """
    checked = groups
    if len(groups) > CHECKED:
        checked = random.Random(0).sample(groups, CHECKED)
        logging.getLogger('basicsr').info(f'checked the headers of {CHECKED} of {len(groups)} pictures, not of all')
    with ThreadPoolExecutor(THREADS) as threads:
        sizes = list(threads.map(_measure_group, checked))
    broken = [str(size) for group in sizes for size in group if isinstance(size, PictureError)]
    refuse(broken, len(checked), 'pictures cannot be used', 'replace or remove them')
    return checked, sizes


def _measure_group(group):
    return [picture.measure() for picture in group]


def refuse(problems, total, what, way_out):
    """Raise ``OptionError`` if there are problems: how many of how many ``what``, the first of them, the way out."""
    if problems:
        more = ', ...' if len(problems) > _NAMED else ''
        named = ', '.join(problems[:_NAMED])
        raise OptionError(f'{len(problems)} of {total} {what}: {named}{more}; {way_out}')


def size_text(size):
    """A size as it is written in messages: 321x481 is H = 321, W = 481."""
    return f'{size[0]}x{size[1]}'
