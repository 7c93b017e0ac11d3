"""Pictures of which only those rows are decoded that a crop needs, since decoding is most of what loading costs."""

import itertools
import math
import struct
import zlib

from basicsr_ganzoo.data.picture import decode

SIGNATURE = b'\x89PNG\r\n\x1a\n'
HEADER = struct.Struct('>IIBBBBB')  # width, height, bits, colour type, compression, filter, interlacing
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
BARRED = (b'eXIf', b'acTL')  # turned pictures and animations are left to OpenCV
SIDE, PIXELS = 2**20, 2**30  # what OpenCV takes at most; what claims more could inflate without end
WORTH = 0.95  # above this share of the rows it is quicker to decode all


class UndecodedPicture:
    """A picture file's bytes, decoded when a part of it is asked for: ``picture[top:bottom, left:right]``, BGR.

    The pixels are those of :func:`decode`. Damage below the rows that are asked for stays unseen.

    Raises:
        PictureError: it is damaged, as far as it is looked at.
    """

    def __init__(self, content, path):
        self.content, self.path = content, path
        self.png = _Png.of(content)
        self.image = None if self.png else decode(content, path)
        self.shape = (self.png.height, self.png.width, 3) if self.png else self.image.shape

    def __getitem__(self, window):
        if self.image is not None:
            return self.image[window]
        bottom = (window[0] if isinstance(window, tuple) else window).indices(self.shape[0])[1]
        worth = 0 < bottom <= WORTH * self.shape[0]
        return decode(self.png.upper_part(bottom) if worth else self.content, self.path)[window]


class _Png:
    """A whole PNG as a list of its chunks: (kind, start, end) of their contents."""

    def __init__(self, content):
        self.content = content
        self.chunks = list(_chunks(content))
        start, end = self.chunks[0][1:]
        self.width, self.height, self.bits, self.colour, *_, self.interlaced = HEADER.unpack(content[start:end])

    @classmethod
    def of(cls, content):
        """The PNG, or None if it is none, is cut off, or is of a kind of which rows cannot be taken."""
        if not content.startswith(SIGNATURE):
            return None
        try:
            png = cls(content)
        except (IndexError, struct.error):
            return None
        kinds = [kind for kind, *_ in png.chunks]
        fits = kinds[0] == b'IHDR' and not any(kind in kinds for kind in BARRED) and png._header_is_sound()
        return png if fits and not png.interlaced and png.colour in CHANNELS else None

    def _header_is_sound(self):
        small = max(self.width, self.height) <= SIDE and self.width * self.height <= PIXELS
        return small and self._is_whole(*self.chunks[0])

    def _is_whole(self, kind, start, end):
        data = memoryview(self.content)[start:end]
        return zlib.crc32(data, zlib.crc32(kind)) == struct.unpack_from('>I', self.content, end)[0]

    def upper_part(self, rows):
        """The bytes of a PNG of the first ``rows``; where these are damaged, all bytes, for the decoder to judge."""
        size = rows * (1 + math.ceil(self.width * self.bits * CHANNELS[self.colour] / 8))
        try:
            pixels = self._inflated(size)
        except zlib.error:
            return self.content
        if len(pixels) != size:
            return self.content
        pixels = zlib.compress(pixels, 0)
        start, end = self.chunks[0][1:]
        header = struct.pack('>II', self.width, rows) + self.content[start + 8 : end]
        first = next(start for kind, start, _ in self.chunks if kind == b'IDAT')
        between = self.content[end + 4 : first - 8]  # such as a palette
        return b''.join([SIGNATURE, *_chunk(b'IHDR', header), between, *_chunk(b'IDAT', pixels), *_chunk(b'IEND', b'')])

    def _inflated(self, size):
        """The first ``size`` bytes of the filtered rows, fewer if there are no more or a chunk is damaged."""
        inflate, taken, missing = zlib.decompressobj(), [], size
        data = itertools.dropwhile(lambda chunk: chunk[0] != b'IDAT', self.chunks)
        for kind, start, end in itertools.takewhile(lambda chunk: chunk[0] == b'IDAT', data):
            if not missing or not self._is_whole(kind, start, end):
                break
            taken.append(inflate.decompress(self.content[start:end], missing))
            missing -= len(taken[-1])
        return b''.join(taken)


def _chunks(content):
    at, kind = len(SIGNATURE), None
    while kind != b'IEND':
        (length,) = struct.unpack_from('>I', content, at)
        kind, start, end = content[at + 4 : at + 8], at + 8, at + 8 + length
        if end + 4 > len(content):
            raise IndexError(f'{kind} is cut off')
        yield kind, start, end
        at = end + 4


def _chunk(kind, data):
    """The parts of a chunk, apart, because data may be large."""
    return struct.pack('>I', len(data)), kind, data, struct.pack('>I', zlib.crc32(data, zlib.crc32(kind)))
