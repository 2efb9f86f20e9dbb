"""Cumulative fingerprints: one hash of everything that can change an artifact's numbers.

A fingerprint covers the canonical settings of its stage, the code that computes it (``bacon.plan.code_digest``) and the
fingerprints of what the artifact is made from. It is each rule's one param, an attribute of each artifact and the key of
resume state. Pure functions; no torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bacon.plan.code_digest import code_digest
from bacon.runtime.errors import BaconError


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces; equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(value: Any) -> str:
    """32 hexadecimal digits of the SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:32]


_PLACE = "<the one value that differs>"


class DigestOf:
    """The digest of many values that differ in one text alone; what they share is written out once.

    Args:
        make: the value, with a text in one place.
    """

    def __init__(self, make: Callable[[str], Any]) -> None:
        self._before, self._after = canonical(make(_PLACE)).split(_PLACE)

    def __call__(self, text: str) -> str:
        """As :func:`digest` of the value with a text of plain letters and digits, such as a fingerprint."""
        return hashlib.sha256(f"{self._before}{text}{self._after}".encode()).hexdigest()[:32]


def fingerprint(stage: str, *, settings: Any, modules: Iterable[str], inputs: Mapping[str, str]) -> str:
    """The cumulative fingerprint of an artifact.

    Args:
        stage: name of the stage, so that equal settings of different stages differ.
        settings: JSON-able settings that the artifact's numbers depend on.
        modules: dotted modules that compute the artifact, with what they import.
        inputs: name -> fingerprint of each artifact it is made from.

    Raises:
        BaconError: a module does not exist.
    """
    return digest(fingerprint_content(stage, settings=settings, modules=modules, inputs=inputs))


def fingerprint_content(
    stage: str, *, settings: Any, modules: Iterable[str], inputs: Mapping[str, str]
) -> dict[str, Any]:
    """What :func:`fingerprint` is the digest of; arguments and errors as there."""
    try:
        code = code_digest(modules)
    except ModuleNotFoundError as error:
        raise BaconError(f"{stage}: {error}") from None
    return {"stage": stage, "settings": settings, "code": code, "inputs": dict(inputs)}
