"""The restricted unpickler: what CIFAR's pickles hold is built, everything else is refused before it is called."""

import collections
import contextlib
import datetime
import os
import pickle

import numpy as np
import pytest

from bacon.datasets.unpickling import load_pickle
from bacon.runtime.errors import BaconError
from tests.datasets.archives import python2_pickle


@pytest.mark.parametrize("write", [python2_pickle, lambda value: pickle.dumps(value, protocol=2), pickle.dumps])
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.uint8).reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype=np.int64).reshape(2, 3)),
        np.array([1.5, -2.5]),
        np.array([1, 2], dtype=">i4"),
        np.array([True, False]),
    ],
    ids=["uint8", "fortran order", "float64", "big endian", "bool"],
)
def test_arrays_of_numbers_are_what_they_were(write, array):
    loaded = load_pickle(write({b"data": array, b"labels": [1, 2]}), "it")
    assert loaded[b"labels"] == [1, 2]
    assert loaded[b"data"].array.dtype == array.dtype
    np.testing.assert_array_equal(loaded[b"data"].array, array)


class _Calls:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "value",
    [
        _Calls(os.system, "exit 1"),
        _Calls(eval, "1"),
        _Calls(getattr, "text", "format"),
        _Calls(np.fromfile, "/etc/hostname"),
        datetime.date(2020, 1, 1),
        collections.OrderedDict(),
        np.int64,
    ],
    ids=["system", "eval", "getattr", "fromfile", "date", "OrderedDict", "class"],
)
def test_any_other_name_is_refused(value, protocol):
    with pytest.raises(BaconError, match="it: the pickle asks for"):
        load_pickle(pickle.dumps({b"data": value}, protocol), "it")


@pytest.mark.parametrize(
    "array",
    [np.array([None]), np.array(["text"]), np.zeros(2, dtype="i4,f4"), np.array([1j])],
    ids=["object", "text", "record", "complex"],
)
def test_arrays_of_other_things_are_refused(array):
    with pytest.raises(BaconError, match="it: the pickle holds an array of"):
        load_pickle(pickle.dumps(array, protocol=2), "it")


@pytest.mark.parametrize("protocol", [2, 5])
def test_a_damaged_pickle_is_an_error_wherever_it_is_cut(protocol):
    content = pickle.dumps({b"data": np.arange(50, dtype=np.uint8), b"labels": list(range(50))}, protocol)
    for cut in range(len(content)):
        with pytest.raises(BaconError, match="it: "):
            load_pickle(content[:cut], "it")


def test_flipped_bytes_never_do_more_than_raise_our_error():
    content = bytearray(python2_pickle({b"data": np.arange(20, dtype=np.uint8), b"labels": [1, 2, 3]}))
    for position in range(len(content)):
        for flip in (1, 0x80, 0xFF):
            damaged = content.copy()
            damaged[position] ^= flip
            with contextlib.suppress(BaconError):
                load_pickle(bytes(damaged), "it")
