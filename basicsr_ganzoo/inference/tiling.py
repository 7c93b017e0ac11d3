"""A network over a large picture piece by piece, for want of memory."""

import torch

OVERLAP = 32  # pixels of LQ around a tile that are computed and thrown away, so that tiles meet without a seam
GRID = 8  # what networks that unshuffle pixels or have windows do depends on the place modulo 2, 4 or 8


@torch.no_grad()
def in_tiles(net, image, tile=0):
    """What ``net`` makes of an image (N, C, H, W): (N, C, H * scale, W * scale), the scale being told from the output.

    A pixel that the network makes from pixels at most 32 away is that of the whole picture, but for rounding.

    Args:
        net: from image to image; called once for each tile and its surroundings.
        image: on the network's device.
        tile: side in pixels of the LQ tiles; 0 takes the picture whole.
    """
    height, width = image.shape[-2:]
    if not tile or tile >= max(height, width):
        return net(image)
    rows = []
    for top in range(0, height, tile):
        row = [_one(net, image, top, left, tile) for left in range(0, width, tile)]
        rows.append(torch.cat(row, dim=-1))
    return torch.cat(rows, dim=-2)


def _one(net, image, top, left, tile):
    height, width = image.shape[-2:]
    y, below = _with_surroundings(top, tile, height)
    x, right = _with_surroundings(left, tile, width)
    out = net(image[..., y:below, x:right])
    s = out.shape[-2] // (below - y)
    bottom, end = min(top + tile, height), min(left + tile, width)
    return out[..., (top - y) * s : (bottom - y) * s, (left - x) * s : (end - x) * s]


def _with_surroundings(start, tile, size):
    """First and last pixel of what is computed for a tile, on the grid or at the edge of the picture."""
    first = max(start - OVERLAP, 0) // GRID * GRID
    last = -(-(start + tile + OVERLAP) // GRID) * GRID
    return first, min(last, size)
