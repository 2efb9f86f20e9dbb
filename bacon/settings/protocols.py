"""Evaluation protocols by name: what each sets for a data set and IPC, and how much of it a preset leaves. No torch.

A protocol is the lowest layer of settings: presets, which shorten training, and explicit keys win over it.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, Literal

from bacon.runtime.errors import BaconError
from bacon.settings.protocol_data import DataFacts
from bacon.settings.protocol_records import PROTOCOLS

ProtocolName = Literal[
    "paper",
    "dc-bench",
    "dd-ranking",
    "p-dc",
    "p-dsa",
    "p-dam",
    "p-mtt",
    "p-datm",
    "p-idc",
    "p-dance",
    "p-ncfm",
    "p-cafe",
    "p-cafe-dsa",
    "p-sre2l",
    "p-sre2l-plus",
    "p-rded",
    "p-gvbsm",
    "p-frepo",
    "p-dd",
    "p-ld",
    "p-kip",
    "p-kipnn",
]

NATIVE = "native"
"""Instead of a protocol's name: each method is evaluated with the protocol of its own publication."""


def protocol_settings(name: str, facts: DataFacts) -> dict[str, Any]:
    """Keys of ``evaluation`` that a protocol sets for a data set and IPC.

    Raises:
        BaconError: no protocol has that name, or it cannot run yet.
    """
    record = PROTOCOLS[check_protocol(name)]
    if record.missing:
        raise BaconError(
            f"protocol {name} cannot run yet: {record.missing}. docs/evaluation.md lists the protocols that can."
        )
    return published_settings(name, facts)


def published_settings(name: str, facts: DataFacts) -> dict[str, Any]:
    """As :func:`protocol_settings`, also of a protocol that cannot run yet."""
    record = PROTOCOLS[check_protocol(name)]
    return {**record.evaluation, **record.by_data(facts)}


def preset_length(name: str, preset: str, facts: DataFacts) -> dict[str, int]:
    """``{"steps": n}`` or ``{"epochs": n}`` where a known protocol says how much of itself a preset leaves; else nothing."""
    most, published = PROTOCOLS[name].preset_length.get(preset), published_settings(name, facts)
    unit = "steps" if "steps" in published else "epochs"
    return {} if most is None else {unit: min(most, published.get(unit, most))}


def check_protocol(name: str) -> str:
    """``name`` if there is a protocol of that name; raises :class:`BaconError` that names the nearest one otherwise."""
    if name not in PROTOCOLS:
        near = get_close_matches(name, PROTOCOLS, n=1)
        meant = f"did you mean {near[0]!r}? " if near else ""
        raise BaconError(f"protocol {name!r} is not known; {meant}Known are {', '.join(PROTOCOLS)}.")
    return name


def short_title(name: str) -> str:
    """What a known protocol is called where there is little room: ``P-IDC``; `paper` and `native` by their own names."""
    return name if name in ("paper", NATIVE) else PROTOCOLS[name].title.split(" (")[0]
