"""Every exception class of the package, and the one place where the command line reports a mistake of the user."""

import difflib
import errno
import os
import re
import sys

PYPI_NAMES = {'PIL': 'pillow', 'cv2': 'opencv-python', 'skimage': 'scikit-image', 'yaml': 'pyyaml'}
#: what this package imports by itself, beside BasicSR
NEEDED = {'matplotlib', 'numpy', 'pydantic', 'rich', 'safetensors', 'spandrel', 'torch', 'torchvision', *PYPI_NAMES}
#: libraries of the operating system that opencv-python needs, as the loader names the one that it does not find
OPENCV_LIBRARY = re.compile(r'\b(lib(?:GL|gthread|glib|xcb|X|SM|ICE)[\w.-]*): cannot open shared object file')


class OptionError(ValueError):
    """A mistake of the user in an option file or on the command line; the message is one sentence for that user."""


class DependencyError(ImportError):
    """A required package is missing or broken; the message gives the command that repairs it."""


class DivergedError(OptionError):
    """Training cannot continue because its metrics are not finite; the message says which ones and what to do."""


class PictureError(OptionError):
    """An image that cannot be used; the message stays one sentence when a DataLoader worker raises it."""

    def __init__(self, message):
        # torch raises a worker's error again with the whole traceback as its message; keep the last line.
        super().__init__(message.strip().split('\n')[-1].removeprefix(f'{__name__}.{type(self).__name__}: '))


class StockModelError(OptionError, TypeError):
    """A model of BasicSR calls a loss in a way that the loss does not support."""


class Stopped(Exception):
    """A signal stopped the training after a save; the message says how to continue."""

    def __init__(self, message, number):
        super().__init__(message)
        self.code = 128 + number


class BrokenOff(Exception):
    """A signal arrived during validation."""


def did_you_mean(word, words):
    """A hint `` (did you mean X?)`` if one of ``words`` is close to ``word``, else an empty string."""
    near = difflib.get_close_matches(str(word), list(map(str, words)), 1)
    return f' (did you mean {near[0]}?)' if near else ''


def shown(value, limit=80):
    """The ``repr`` of a value for a message, cut at ``limit`` characters."""
    text = repr(value)
    return text if len(text) <= limit else f'{text[: limit - 3]}...'


def missing_package(error):
    """The sentence about an ``ImportError`` that a package of :data:`NEEDED` causes; None for another one."""
    if not isinstance(error, ModuleNotFoundError) or error.name not in NEEDED:
        return missing_library(error)
    return f'the package {error.name!r} is not installed; pip install {PYPI_NAMES.get(error.name, error.name)}'


def missing_library(error):
    """The sentence about an error that a missing library of OpenCV causes; None for another one."""
    found = OPENCV_LIBRARY.search(str(error))
    return found and (
        f'OpenCV (cv2) cannot be imported, because this machine lacks {found[1]}; install the OpenCV that needs no '
        'display, pip install --force-reinstall --no-deps opencv-python-headless, '
        'or the libraries, on Debian and Ubuntu: apt-get install libgl1 libglib2.0-0'
    )


def report_mistakes(function, *args):
    """Call ``function`` and print a user's mistake as one sentence. Returns the exit code."""
    try:
        function(*args)
    except (DependencyError, OptionError) as error:
        if str(error):  # with several processes, only one has a message
            print(f'error: {error}', file=sys.stderr)
        return 1
    except Stopped as stopped:
        if str(stopped):
            print(stopped, file=sys.stderr)
        return stopped.code
    except ImportError as error:
        sentence = missing_package(error)
        if not sentence:
            raise
        print(f'error: {sentence}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('stopped by the keyboard', file=sys.stderr)
        return 130
    except BrokenPipeError:  # `ganzoo list | head`; without this, Python would complain once more when it exits
        _silence_stdout()
        return 1
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = f' to {error.filename}' if error.filename else ''
        print(f'error: cannot write{where}: {error.strerror}; make room', file=sys.stderr)
        _silence_stdout()
        return 1
    return 0


def _silence_stdout():
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
