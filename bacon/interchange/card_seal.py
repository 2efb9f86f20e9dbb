"""The checksums in the machine-readable card of an export: of the files beside it, and of the card itself.

The card is ``bacon.json`` in a folder, and the metadata inside of a file of tensors.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bacon.datasets.checksums import file_digest

SEAL = "card_sha256"
FILES = "files"
_OF_THE_EXPORT_ALONE = (SEAL, FILES)


def sealed(card: Mapping[str, Any]) -> dict[str, Any]:
    """The card with its own checksum; one that it has already is replaced."""
    return {**card, SEAL: seal_of(card)}


def seal_of(card: Mapping[str, Any]) -> str:
    """SHA-256 of everything else that the card holds, as JSON with sorted keys and without spaces."""
    rest = {name: value for name, value in card.items() if name != SEAL}
    # Through JSON once, so that keys sort as they do after they were read from a file.
    plain = json.loads(json.dumps(rest))
    return hashlib.sha256(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def without_checksums(card: Mapping[str, Any]) -> dict[str, Any]:
    """What the card says of the set, without the checksums that are of this one export."""
    return {name: value for name, value in card.items() if name not in _OF_THE_EXPORT_ALONE}


def file_checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below ``folder``, by its path relative to it, with slashes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in files}
