"""Tests in processes of their own."""

import functools
import multiprocessing
import traceback


def apart(test):
    """Let a test run in a forked process: one that has compiled anything cannot fork others that train."""

    @functools.wraps(test)
    def run(**kwargs):
        told, tell = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.get_context('fork').Process(target=_run, args=(test, kwargs, tell))
        process.start()
        tell.close()
        try:
            error = told.recv()
        except EOFError:
            error = 'the process died'
        process.join()
        assert not error, error

    return run


def _run(test, kwargs, tell):
    try:
        test(**kwargs)
        tell.send('')
    except BaseException:
        tell.send(traceback.format_exc())
