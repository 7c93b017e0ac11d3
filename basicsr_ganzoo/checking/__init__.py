"""Everything that is wrong with an option file, found before training starts and without writing anything."""

from basicsr_ganzoo.checking.check import check_options
from basicsr_ganzoo.checking.prepare import prepare
from basicsr_ganzoo.config.findings import Finding

__all__ = ['Finding', 'check_options', 'prepare']
