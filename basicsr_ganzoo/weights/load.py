"""Load a checkpoint, of BasicSR or of another code base, into a generator or a discriminator."""

from basicsr.utils import get_root_logger

from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.weights.convert import convert
from basicsr_ganzoo.weights.find import find_weights
from basicsr_ganzoo.weights.mismatch import explain
from basicsr_ganzoo.weights.read import read_file


def load_checkpoint(net, path, param_key='auto', strict=True, label='network_g'):
    """Load the weights of a file into ``net``, and log what was loaded.

    Reads ``.pth``, ``.pt`` and ``.safetensors`` without executing code in them, finds nested state dicts, and converts
    the names of ESRGAN before BasicSR, KAIR and pix2pix. BasicSR's ``load_network`` reads one nesting only.

    Args:
        net: the network, not wrapped in DataParallel. It is unchanged after an error.
        path: a file or a URL.
        param_key: the key of the weights in the file, or several in order of preference; others are tried after it.
            ``auto`` and None prefer ``params_ema``.
        strict: all tensors of the network and of the file must match; otherwise half of them must.
        label: name of the network in messages, such as ``network_g``.

    Raises:
        OptionError: the file is missing, damaged or unsafe, or the weights do not fit; the message has the likely
            cause.
    """
    content = read_file(path)
    try:
        key, weights = find_weights(content, param_key)
        weights = convert(weights, net)
    except OptionError as error:
        raise OptionError(f'{path} {error}') from error
    get_root_logger().info(f'Loading {label} from {path}, {_which(key, param_key)}')
    fitting = _fitting(net, weights, 1 if strict else 0.5, path, label)
    net.load_state_dict(fitting, strict=strict)


def _which(key, param_key):
    """The key that was found, and the requested one if it is absent."""
    asked = param_key if param_key is None or isinstance(param_key, str) else param_key[0]
    found = f'key {key}' if key else 'without a key'
    return found if asked in (None, 'auto', key.split('.')[-1]) else f'{found}, because there is no {asked}'


def _fitting(net, weights, min_share, path, label):
    """The weights that fit by name and shape, if they are at least ``min_share`` of the network and of the file."""
    ours, theirs = ({n: tuple(t.shape) for n, t in state.items()} for state in (net.state_dict(), weights))
    fitting = {name: tensor for name, tensor in weights.items() if ours.get(name) == theirs[name]}
    total = max(len(ours), len(theirs))
    share = f'{len(fitting)} of {total} tensors'
    if len(fitting) < min_share * total:
        raise OptionError(f'{path} does not fit {label}: {explain(ours, theirs, label)}; {share} fit')
    if len(fitting) < total:
        get_root_logger().warning(f'{label} takes {share}, the others do not fit: {explain(ours, theirs, label)}')
    else:
        get_root_logger().info(f'{label} takes all {share}')
    return fitting
