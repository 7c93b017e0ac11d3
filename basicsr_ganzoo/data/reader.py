"""Reads and decodes images through BasicSR's FileClient."""

import logging
import os
import time

from basicsr.utils import FileClient

from basicsr_ganzoo.data.picture import decode
from basicsr_ganzoo.errors import OptionError, PictureError, did_you_mean

_FINAL = (FileNotFoundError, IsADirectoryError, PermissionError, UnicodeEncodeError)
_PAUSES = (1, 3)  # seconds between attempts, because a network drive may be busy


class Reader:
    """BasicSR's FileClient for ``roots``. Each process opens its own, so that datasets can be pickled."""

    def __init__(self, io_backend, roots):
        self.options = dict(io_backend or {'type': 'lmdb' if roots[0].endswith('.lmdb') else 'disk'})
        self.type = self.options.pop('type', None)
        if self.type not in FileClient._backends:
            known = list(FileClient._backends)
            hint = did_you_mean(self.type, known)
            raise OptionError(f'io_backend needs a type, one of {", ".join(known)}, got {self.type!r}{hint}')
        if any(root.endswith('.lmdb') != (self.type == 'lmdb') for root in roots):
            raise OptionError(
                f'io_backend of type {self.type}: folders that end with .lmdb, and no others, need type lmdb'
            )
        if self.type == 'lmdb':
            self.options.update(db_paths=roots, client_keys=roots)
        self._client = self._process = None

    def __getstate__(self):
        return {**self.__dict__, '_client': None, '_process': None}

    def read(self, image):
        """Decode a :class:`~.sources.LazyImage` to (H, W, 3), BGR, 8 or 16 bits.

        Raises:
            PictureError: it is damaged, or cannot be read after several attempts.
        """
        return decode(self._content(image), image.path)

    def _content(self, image):
        pauses = list(_PAUSES)
        while True:
            try:
                return bytes(self._opened().get(image.path, image.client) or b'')  # lmdb: None; memcached: a view
            except (OSError, UnicodeEncodeError) as error:
                if not pauses or isinstance(error, _FINAL):
                    raise PictureError(f'{image.path} cannot be read: {error}') from error
                logging.getLogger('basicsr').warning(f'{image.path}: {error}; trying again in {pauses[0]} s')
                time.sleep(pauses.pop(0))

    def _opened(self):
        if self._process != os.getpid():
            self._client, self._process = FileClient(self.type, **self.options), os.getpid()
        return self._client
