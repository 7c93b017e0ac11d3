"""The keys of an option file, each declared once: kind, bounds, default, documentation, and the models that read it."""

from basicsr_ganzoo.config.schema.export import json_schema, reference
from basicsr_ganzoo.config.schema.judge import judge
from basicsr_ganzoo.config.schema.top import Options

__all__ = ['Options', 'json_schema', 'judge', 'reference']
