"""Read an option file: YAML to a mapping, and the modules that it asks to import."""

import importlib
import importlib.util
import sys
import traceback

from basicsr_ganzoo.config.shipped import find_option_file
from basicsr_ganzoo.errors import OptionError, shown


def read_options(path):
    """Read the mapping that an option file holds, or the shipped file of this name.

    Raises:
        OptionError: no such file, no YAML, or no mapping in it.
    """
    import yaml

    from basicsr_ganzoo.config.bounded_yaml import MOST_CHARACTERS, load, reason

    path = find_option_file(path)
    if path.stat().st_size > 4 * MOST_CHARACTERS:
        raise OptionError(f'{path} has {path.stat().st_size} bytes, too many for an option file')
    if path.suffix == '.toml':
        raise OptionError(f'{path} is TOML, and option files are YAML; write `key: value`')
    try:
        opt = load(path.read_text(encoding='utf-8'))
    except UnicodeDecodeError as error:
        raise OptionError(f'{path} is not UTF-8 text; save it as UTF-8') from error
    except yaml.YAMLError as error:
        raise OptionError(f'{path} is not YAML that can be used: {reason(error)}') from error
    if not isinstance(opt, dict):
        raise OptionError(f'{path} is no option file: it holds no keys')
    return opt


def leave_out_emptied(opt):
    """Of datasets, ``train`` and ``val`` what is null, as by ``--force_yml datasets:val=null``, is not given."""
    if isinstance(opt.get('datasets'), dict):
        opt['datasets'] = {name: block for name, block in opt['datasets'].items() if block is not None}
    for key in {'train', 'val'} & opt.keys():
        opt[key] = _without_nulls(opt[key])


def _without_nulls(value):
    if not isinstance(value, dict):
        return value
    return {key: _without_nulls(item) for key, item in value.items() if item is not None}


def import_plugins(names, folder):
    """Import what the option file's ``imports`` names: modules, or .py files relative to the option file."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise OptionError(f'imports needs to be a list of modules or .py files, got {shown(names)}')
    for name in names:
        try:
            if name.endswith('.py'):
                _import_file(folder / name)
            else:
                importlib.import_module(name)
        except (Exception, SystemExit) as error:  # whatever somebody's module raises
            raise OptionError(f'imports: cannot import {name}: {_reason(error)}') from error


def _reason(error):
    """What a module raised, and where."""
    message = ' '.join(str(error).split())
    if isinstance(error, (FileNotFoundError, ModuleNotFoundError)):
        return message
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = '' if last.filename.startswith('<') else f' ({last.filename}, line {last.lineno})'
    return f'{type(error).__name__}: {message}{where}'


def _import_file(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
