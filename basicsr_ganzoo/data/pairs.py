"""Matches each GT image with its LQ image."""

import os
from collections import Counter

from basicsr_ganzoo.data.measure import refuse
from basicsr_ganzoo.data.sources import LazyImage, names_in_line, pictures_under, read_lines
from basicsr_ganzoo.errors import OptionError

_WAY_OUT = 'partners need the same relative names; else set filename_tmpl, list the pairs in meta_info, or remove these'


def pairs_of(gt_root, lq_root, meta_info=None, template='{}'):
    """The pairs (gt, lq) of two folders: those that ``meta_info`` lists, or all.

    Raises:
        OptionError: images without a partner, or an invalid template or meta file.
    """
    if template.count('{}') != 1 or template.replace('{}', '').count('{'):
        raise OptionError(f"filename_tmpl needs one '{{}}', which stands for the name of GT, got {template!r}")
    if meta_info:
        return [_listed(gt_root, lq_root, line, template) for line in read_lines(meta_info)]
    if os.path.realpath(gt_root) == os.path.realpath(lq_root):
        raise OptionError(f'dataroot_gt and dataroot_lq are the same folder, {gt_root}')
    return _matched(pictures_under(gt_root, lq_root), pictures_under(lq_root, gt_root), template)


def _listed(gt_root, lq_root, line, template):
    gt, lq = (*names_in_line(line), None)[:2]
    lq = lq or ''.join(_partner_name(gt, template))
    return LazyImage(os.path.join(gt_root, gt)), LazyImage(os.path.join(lq_root, lq))


def _matched(gt, lq, template):
    known = _by_name_and_stem(lq)
    partners = {}
    for name in gt:
        stem, extension = _partner_name(name, template)
        partners[name] = known.get(stem + extension) or known.get(stem)
    unmatched = [name for name, partner in partners.items() if partner is None]
    refuse(unmatched, len(gt), 'images of dataroot_gt have no partner in dataroot_lq', _way_out(gt, lq))
    unused = sorted(set(lq) - set(partners.values()))
    refuse(unused, len(lq), 'images of dataroot_lq have no partner in dataroot_gt', _WAY_OUT)
    return [(gt[name], lq[partner]) for name, partner in partners.items()]


def _partner_name(gt_name, template):
    """The name of the LQ image without extension, and the extension of GT."""
    folder, name = os.path.split(gt_name)
    stem, extension = os.path.splitext(name)
    return os.path.join(folder, template.replace('{}', stem)), extension


def _by_name_and_stem(names):
    """Map each name to itself, and its stem to it if no other name has that stem."""
    stems = {name: os.path.splitext(name)[0] for name in names}
    times = Counter(stems.values())
    return {**{stem: name for name, stem in stems.items() if times[stem] == 1}, **{name: name for name in names}}


def _way_out(gt, lq):
    template = _fitting_template(gt, lq)
    if template:
        return f"filename_tmpl: '{template}' fits"
    return _WAY_OUT


def _fitting_template(gt, lq):
    """A template such as '{}x4' that gives each GT image a partner, or None."""
    stem = os.path.basename(os.path.splitext(next(iter(gt)))[0])
    stems = {os.path.splitext(name)[0] for name in lq}
    for name in sorted(os.path.basename(candidate) for candidate in stems):
        template = name.replace(stem, '{}', 1)
        if '{}' in template and all(_partner_name(each, template)[0] in stems for each in gt):
            return template
    return None
