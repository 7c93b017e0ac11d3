"""Run all checks of an option file."""

import contextlib
import io
import logging

from basicsr.utils.logger import initialized_logger

from basicsr_ganzoo.checking import adversaries, blocks, effects, files, rules, shapes, speed, validation
from basicsr_ganzoo.checking.plan import Plan
from basicsr_ganzoo.config.schema import judge


def check_options(opt):
    """All findings about an option file, errors first.

    Single keys are judged by the schema, blocks by what they build, and the rules run on what passed both.

    Args:
        opt: the content of the file, as ``yaml.safe_load`` gives it; it is not changed.
    """
    with _silent_basicsr():
        plan = Plan(opt, judge(opt))
        plan.check(blocks.check)
        plan.leave_out_wrong()
        for part in (rules, effects, validation, adversaries, speed, shapes, files):
            plan.check(part.check)
    return sorted(plan.found, key=lambda finding: finding.level != 'error')


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
