"""What the raw bytes of a data set are, so that the workflow knows when they change. No torch, no numpy.

Read while Snakemake parses: registered data sets answer from their checksums, own files from a cache keyed by path, size
and modification time, so that nothing is hashed twice and touching a file changes nothing.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bacon.datasets.checksums import file_digest
from bacon.datasets.file_kinds import advice_for, file_kind
from bacon.datasets.image_files import image_files
from bacon.datasets.registry import REGISTRY, DatasetInfo
from bacon.runtime.atomic import write_json
from bacon.runtime.errors import BaconError

if TYPE_CHECKING:
    from bacon.settings.data import DataSettings

_SUFFIXES = {"npz": ".npz", "hdf5": ".h5"}


def reader_module(name: str, data: DataSettings) -> str:
    """Dotted module that reads a data set: part of the code that makes it, beside ``bacon.datasets.prepare``."""
    return registered(name).reader if data.format == "registry" else f"bacon.datasets.readers.{data.format}"


def registered(name: str) -> DatasetInfo:
    """The registry's entry; raises :class:`BaconError` listing the names there are."""
    if name not in REGISTRY:
        raise BaconError(
            f"data set {name!r} is not known; known are {', '.join(REGISTRY)}, or give `format` and `path`"
        )
    return REGISTRY[name]


def source_digest(name: str, data: DataSettings, *, cache: Path) -> str:
    """Hexadecimal digest of what a data set is made from.

    Args:
        name: name of the data set.
        data: its settings; ``path`` is relative to the working directory.
        cache: JSON file that remembers digests of own files; it may be deleted at any time.

    Returns:
        For registered data: of its checksums and its facts (shape, class names, normalisation). For own data: of the content
        of its file, or of the names and contents of the images in its folder; and of the registry's facts when it has the name
        of a registered data set, whose class names and normalisation it then uses.

    Raises:
        BaconError: the name is not known, or the path does not exist or cannot be read.
    """
    if data.format == "registry":
        return _registered_digest(registered(name), cache)
    assert data.path is not None, "the settings check that own data has a path"
    path = Path(data.path)
    if not path.exists():
        raise BaconError(f"data.{name}.path = {data.path!r}: does not exist ({_looked(path)})")
    if (data.format == "imagefolder") != path.is_dir():
        raise BaconError(_other_kind(name, data, path))
    content = _cached(path.resolve(), cache)
    return content if name not in REGISTRY else _json_digest({"content": content, **_facts(REGISTRY[name])})


def _looked(path: Path) -> str:
    """Where a path was looked for, and what may be wrong with it."""
    where = f"looked in {Path.cwd()}" if not path.is_absolute() else "looked there alone"
    if "$" in str(path):
        return f"{where}; variables such as $HOME are not replaced: write ~ for the home folder, or the whole path"
    return where


def _other_kind(name: str, data: DataSettings, path: Path) -> str:
    """What to do about a file where a folder is needed, or the other way round."""
    wanted = "a folder of class folders" if data.format == "imagefolder" else f"one {_SUFFIXES[data.format]} file"
    try:
        kind, words = file_kind(path)
    except OSError as error:
        return f"{path}: cannot be read: {error.strerror or error}"
    advice = advice_for(kind, f"data.{name}")
    return f"data.{name}.path = {data.path!r}: format {data.format} needs {wanted}, but this is {words}; {advice}"


def _registered_digest(info: DatasetInfo, cache: Path) -> str:
    files = [[source.file, *source.checksum, source.unpacked_sha256] for source in info.sources]
    embedded = None if info.sources else _cached(_embedded_file(), cache)
    return _json_digest({"sources": files, "embedded": embedded, "size": info.shape[1], **_facts(info)})


def _facts(info: DatasetInfo) -> dict[str, Any]:
    """What preparation takes from the registry."""
    sizes = [info.train_size, info.test_size, info.classes, info.shape[0]]
    return {"sizes": sizes, "class_names": info.class_names, "mean": info.mean, "std": info.std}


def _json_digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _embedded_file() -> Path:
    """The file of the digits inside scikit-learn, found without importing it."""
    found = importlib.util.find_spec("sklearn")
    if found is None or found.origin is None:
        raise BaconError("scikit-learn, which contains the digits, is not installed: pip install scikit-learn")
    return Path(found.origin).parent / "datasets" / "data" / "digits.csv.gz"


def _cached(path: Path, cache: Path) -> str:
    known = _load(cache)
    try:
        files = image_files(path) if path.is_dir() else [path]
        state = _state(path, files)
        entry = known.get(str(path))
        if isinstance(entry, dict) and entry.get("state") == state and isinstance(entry.get("digest"), str):
            return str(entry["digest"])
        digest = _digest(path, files)
    except OSError as error:
        raise BaconError(f"{error.filename or path}: cannot be read: {error.strerror or error}") from None
    # Read again: another process may have written an entry meanwhile. Losing one costs a hash, never a wrong answer.
    write_json(cache, _load(cache) | {str(path): {"state": state, "digest": digest}})
    return digest


def _load(cache: Path) -> dict[str, Any]:
    try:
        known = json.loads(cache.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _state(path: Path, files: list[Path]) -> str:
    """Digest of names, sizes and modification times: what can be had without reading."""
    digest = hashlib.sha256()
    for file in files:
        status = file.lstat() if _dangling(file) else file.stat()
        digest.update(
            f"{_relative(file, path)}\0{status.st_size}\0{status.st_mtime_ns}\n".encode(errors="surrogateescape")
        )
    return digest.hexdigest()


def _digest(path: Path, files: list[Path]) -> str:
    if not path.is_dir():
        return file_digest(path)
    digest = hashlib.sha256()
    for file in files:
        content = f"link to {file.readlink()}" if _dangling(file) else file_digest(file)
        digest.update(f"{_relative(file, path)}\0{content}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _dangling(file: Path) -> bool:
    return file.is_symlink() and not file.exists()


def _relative(file: Path, path: Path) -> str:
    return file.relative_to(path).as_posix() if file != path else ""
