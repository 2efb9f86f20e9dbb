"""Tensors in pieces, for PyTorch's functions of lists of tensors, which give one block of a GPU's threads to 65,536 numbers.

A ConvNet-3 keeps eight of a GPU's multiprocessors busy that way. Pieces of a tensor are tensors too, of which a launch takes so
many, and the numbers are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

_PIECES_OF_A_LAUNCH = 48
_PIECE_SIZES = range(8192, 16384 + 1, 1024)


def is_dense(tensor: Tensor) -> bool:
    """Whether a tensor is laid out in memory without gaps, channels last or as PyTorch does it."""
    return tensor.is_contiguous() or (tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last))


def pieces_of(sizes: Sequence[int]) -> int:
    """Numbers in a piece of tensors of ``sizes`` numbers: the fewest for which a function takes as few launches as it can."""
    return min(_PIECE_SIZES, key=lambda piece: -(-sum(-(-size // piece) for size in sizes) // _PIECES_OF_A_LAUNCH))


def in_pieces(tensors: Iterable[Tensor], size: int) -> list[Tensor]:
    """Views (at most ``size``,) of tensors without gaps, in the order of their memory, one tensor after another."""
    return [
        piece
        for tensor in tensors
        for piece in tensor.detach().as_strided((tensor.numel(),), (1,), tensor.storage_offset()).split(size)
    ]
