"""Run all checks of an option file."""

import contextlib
import io
import logging

from basicsr.utils.logger import initialized_logger

from basicsr_ganzoo.checking import adversaries, blocks, effects, files, keys, rules, shapes, speed, validation, values


def check_options(opt):
    """All findings about an option file, errors first.

    Args:
        opt: the content of the file, as ``yaml.safe_load`` gives it; it is not changed.
    """
    with _silent_basicsr():
        found = list(values.structure(opt))
        parts = (keys, values, blocks, rules, effects, validation, adversaries, speed, shapes, files)
        for part in parts if not found else ():
            found += part.check(opt, found) if part in (shapes, files) else part.check(opt)
    unique = list(dict.fromkeys(found))
    return sorted(unique, key=lambda finding: finding.level != 'error')


@contextlib.contextmanager
def _silent_basicsr():
    """Keep BasicSR silent, and leave its logger as it was.

    Its first use would fix its streams before training has named the log file, and its registry prints.
    """
    logger, known = logging.getLogger('basicsr'), dict(initialized_logger)
    before = logger.disabled, logger.propagate, logger.level, logger.handlers[:]
    logger.disabled = True
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.disabled, logger.propagate, logger.level, logger.handlers[:] = before
        initialized_logger.clear()
        initialized_logger.update(known)
