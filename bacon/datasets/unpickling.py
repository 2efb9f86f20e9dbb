"""Unpickle what CIFAR's archives hold, and nothing else.

A pickle is a program; this one may build dicts, lists, tuples, strings, numbers and numpy arrays of numbers. Anything else
that it names is refused before it is called, and arrays are rebuilt here from their bytes, not by numpy's own machinery.
"""

from __future__ import annotations

import io
import math
import pickle
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from bacon.runtime.errors import BaconError

_NUMBERS = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8")
_ORDERS = ("<", ">", "|", "=")


def load_pickle(content: bytes, what: str) -> Any:
    """The object of a pickle: strings of Python 2 as ``bytes``, arrays as :class:`PickledArray`.

    Args:
        content: the pickle.
        what: where it came from, for messages.

    Raises:
        BaconError: it is damaged, or asks for anything but numpy arrays of numbers and built-in containers.
    """
    try:
        return _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except BaconError as error:
        raise BaconError(f"{what}: {error}") from None
    except Exception as error:  # a damaged pickle fails in any of its operations
        raise BaconError(f"{what}: not a pickle, or a damaged one: {type(error).__name__}: {error}") from None


class PickledArray:
    """An array of a pickle; ``array`` is the numpy array, read-only."""

    array: NDArray[Any]

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        if not isinstance(dtype, _PickledType) or not isinstance(data, bytes):
            raise BaconError("the pickle holds an array of something other than numbers")
        if math.prod(shape) * dtype.numpy.itemsize != len(data):
            raise BaconError(f"the pickle holds an array of shape {shape} with {len(data)} bytes")
        self.array = np.frombuffer(data, dtype=dtype.numpy).reshape(shape, order="F" if fortran else "C")


class _PickledType:
    """A type of numbers; its state in a pickle is the byte order."""

    def __init__(self, code: Any, *_: Any) -> None:
        self._code = _text(code)
        if self._code not in _NUMBERS:
            raise BaconError(f"the pickle holds an array of type {self._code!r}; only numbers are allowed")
        self.numpy = np.dtype(self._code)

    def __setstate__(self, state: Any) -> None:
        order, *structure = state[1:5]
        if _text(order) not in _ORDERS or any(part is not None for part in structure):
            raise BaconError("the pickle holds an array of structures; only numbers are allowed")
        self.numpy = np.dtype(_text(order) + self._code)


class _NumpyArray:
    """Stands for the name ``numpy.ndarray``: an argument of the rebuilding function, never called."""

    def __new__(cls, *_: Any) -> NoReturn:
        raise BaconError("the pickle builds an array in a way that numpy's pickles do not")


def _reconstruct(kind: Any, shape: Any, code: Any) -> PickledArray:
    # numpy pickles an empty array first and fills it by its state.
    if kind is not _NumpyArray or shape != (0,) or _text(code) != "b":
        raise BaconError("the pickle builds an array in a way that numpy's pickles do not")
    return PickledArray()


def _encode(text: Any, encoding: Any) -> bytes:
    # How Python 3 writes bytes for readers of Python 2.
    if not isinstance(text, str) or _text(encoding) != "latin1":
        raise BaconError("the pickle encodes text in a way that pickles of bytes do not")
    return text.encode("latin-1")


def _text(value: Any) -> Any:
    return value.decode("latin-1") if isinstance(value, bytes) else value


# numpy 2 renamed numpy.core; the archives were written by numpy 1.
_ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _NumpyArray,
    ("numpy", "dtype"): _PickledType,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise BaconError(
                f"the pickle asks for {module}.{name}; only numpy arrays and built-in containers are allowed"
            )
        return _ADMITTED[module, name]
