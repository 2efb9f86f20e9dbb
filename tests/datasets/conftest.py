import dataclasses
import hashlib
from pathlib import Path

import h5py
import numpy as np
import pytest

from bacon.datasets.registry import REGISTRY, DatasetInfo, Source
from tests.datasets.server import Server


@pytest.fixture
def server(monkeypatch):
    """A local server, reached directly whatever proxy the environment names."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Server() as running:
        yield running


def official(name: str, contents: dict[str, bytes], *, url: str | None = None, **changes) -> DatasetInfo:
    """The registry's entry with other official files: their sizes and checksums are those of ``contents``."""
    sources = tuple(
        Source(
            file=file,
            urls=(f"{url}/{file}",) if url is not None else ("http://127.0.0.1:9/nothing",),
            md5=hashlib.md5(content).hexdigest(),
            sha256=hashlib.sha256(content).hexdigest(),
            size=len(content),
        )
        for file, content in contents.items()
    )
    return dataclasses.replace(REGISTRY[name], sources=sources, **changes)


@pytest.fixture
def noise():
    """Bytes that repeat nowhere: (count, seed) -> bytes."""
    return lambda count, seed=0: np.random.default_rng(seed).bytes(count)


def flip_bit(path: Path, name: str) -> None:
    """Damage one bit of the first chunk of the array ``name`` of an HDF5 file."""
    with h5py.File(path) as file:
        chunk = file[name].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 1
    path.write_bytes(content)
