"""What parsed of an option file, what its blocks build, and what was found so far: that on which the rules work."""

from basicsr.utils.registry import MODEL_REGISTRY

from basicsr_ganzoo.adversarial import adversaries_of
from basicsr_ganzoo.config.build import lookup
from basicsr_ganzoo.config.findings import get, is_below, is_wrong
from basicsr_ganzoo.errors import OptionError


class Plan:
    """A training as an option file describes it, as far as it is known without opening files.

    Attributes:
        given: the content of the file.
        opt: the same without what is wrong, so that no rule meets a value of a wrong kind.
        built: what the blocks build, by their dotted keys; networks on the meta device.
        found: the findings so far.

    Args:
        given: the content of an option file; it is not changed.
        found: what the schema says of it.
    """

    def __init__(self, given, found):
        self.given, self.found, self.built = given, list(found), {}
        self.opt = without(given, found)

    def check(self, part):
        """Add the findings of ``part``, a function of this plan, but for what is known to be wrong."""
        wrong = [finding.key for finding in self.found if finding.level == 'error']
        for finding in part(self):
            if finding not in self.found and not any(is_below(finding.key, key) for key in wrong):
                self.found.append(finding)

    def leave_out_wrong(self):
        """Leave out of ``opt`` what was found to be wrong since."""
        self.opt = without(self.opt, self.found)

    def get(self, key, default=None):
        """The value at a dotted key of ``opt``."""
        return get(self.opt, key, default)

    def has(self, key):
        """Whether the file gives a value at a dotted key, be it wrong."""
        return bool(get(self.given, key))

    def names(self, key):
        """The keys that the file has below a dotted key."""
        value = get(self.given, key)
        return list(map(str, value)) if isinstance(value, dict) else []

    def is_wrong(self, *keys):
        """Whether there is an error about one of ``keys``, or about a key below."""
        return any(is_wrong(self.found, key) for key in keys)

    @property
    def model(self):
        """The class of the model, or None."""
        try:
            return lookup(MODEL_REGISTRY, self.opt.get('model_type'))
        except OptionError:
            return None

    @property
    def adversaries(self):
        """The adversaries; none where they are not known."""
        try:
            return adversaries_of(self.opt)
        except OptionError:
            return []

    def loss(self, adversary):
        """The GAN loss of an adversary, or None."""
        return self.built.get(adversary.where('gan_opt'))

    def regularizers(self, adversary):
        """The regularizers of an adversary by their dotted keys."""
        where = adversary.where('d_reg_opt')
        return {key: made for key, made in self.built.items() if made is not None and key.startswith(f'{where}.')}


def without(opt, found):
    """A copy of ``opt`` without the keys that ``found`` has errors about; of a block with a type, without the block."""
    wrong = [finding.key for finding in found if finding.level == 'error']
    return _without(opt, wrong, '')


def _without(value, wrong, where):
    if not isinstance(value, dict):
        return value
    kept = {}
    for name, item in value.items():
        key = f'{where}{name}'
        is_block = isinstance(item, dict) and 'type' in item and where != 'datasets.'
        is_leaf = is_block or not isinstance(item, dict)
        if not any(is_below(each, key) if is_leaf else each == key for each in wrong):
            kept[name] = _without(item, wrong, f'{key}.')
    return kept
