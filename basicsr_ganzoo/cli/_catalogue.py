"""What ``ganzoo list`` and ``ganzoo show`` print about a registered entry."""

import inspect
import re

from basicsr_ganzoo.engine import cost
from basicsr_ganzoo.errors import OptionError, did_you_mean
from basicsr_ganzoo.registry import KINDS, entries

SIZE = (256, 256)


def describe(kind, name, entry):
    """One entry as a dict: kind, name, summary, paper and, for a discriminator, its cost."""
    doc = inspect.getdoc(entry)
    paper = re.search(r'arXiv:(\d{4}\.\d{4,5})', doc)
    info = {
        'kind': kind,
        'name': name,
        'summary': re.sub(r'\s*\([^()]*\d{4}\.\d{4,5}[^()]*\)', '', doc.split('\n')[0]).strip('.').replace('``', ''),
        'paper': f'arXiv:{paper[1]}' if paper else None,
    }
    if kind == 'archs':
        info.update(cost.forward_cost(entry, SIZE), receptive_field=cost.receptive_field(entry))
        info['gflops'] = round(info.pop('flops') / 1e9, 2)
    return info


def find(name):
    """The kind and the entry of a registered name of this package.

    Raises:
        OptionError: there is none; the message names a near one.
    """
    known = {entry_name: (kind, entry) for kind in KINDS for entry_name, entry in entries(kind).items()}
    if name not in known:
        raise OptionError(f'nothing is called {name!r}{did_you_mean(name, known)}; `ganzoo list` lists everything')
    return known[name]


def shapes_text(shapes, separator='\n'):
    """Output shapes for people: ``1x30x30``, or ``1`` for one logit."""
    return separator.join('x'.join(map(str, shape)) for shape in shapes)
