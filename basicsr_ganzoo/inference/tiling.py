"""Tiled inference: run a network on a large image tile by tile to save memory."""

import torch

OVERLAP = 32  # LQ pixels around a tile that are computed and discarded, so that there are no seams
GRID = 8  # tiles start on this grid: pixel-unshuffle and window attention depend on the position modulo 2, 4 or 8


@torch.no_grad()
def in_tiles(net, image, tile=0):
    """The output (N, C, H * scale, W * scale) of ``net`` for an image (N, C, H, W), computed tile by tile.

    If the receptive field reaches at most 32 pixels, the result equals that of the whole image except for rounding.

    Args:
        net: network from image to image; it is called once per tile. Its scale is inferred from its output.
        image: on the network's device.
        tile: side of the tiles in LQ pixels; 0 for no tiles.
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
    """Start and end of the pixels to compute for a tile: on the grid, or at the edge of the image."""
    first = max(start - OVERLAP, 0) // GRID * GRID
    last = -(-(start + tile + OVERLAP) // GRID) * GRID
    return first, min(last, size)
