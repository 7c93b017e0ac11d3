"""The keys of an option file, each declared once: kind, bounds, default, documentation, and the models that read it."""

from basicsr_ganzoo.config.schema.export import json_schema, reference
from basicsr_ganzoo.config.schema.judge import judge
from basicsr_ganzoo.config.schema.top import Options, Path
from basicsr_ganzoo.config.schema.train import Adversary, Train

#: the keys of a discriminator, and the block in which each is in a file with one discriminator
HOMES = {
    name: home
    for home, keys in {'': Options, 'path.': Path, 'train.': Train}.items()
    for name in keys.model_fields
    if name in Adversary.model_fields
}

__all__ = ['HOMES', 'Options', 'json_schema', 'judge', 'reference']
