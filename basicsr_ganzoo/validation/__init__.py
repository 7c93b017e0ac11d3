"""What happens in a validation beside metrics: previews, and the best checkpoint."""

from basicsr_ganzoo.validation.best import BestCheckpoint
from basicsr_ganzoo.validation.previews import Previews

__all__ = ['BestCheckpoint', 'Previews']
