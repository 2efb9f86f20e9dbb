"""Configurations as text, read as the commands and the workflow read them."""

from pathlib import Path

import pytest

from bacon.config.loading import check_config
from bacon.config.model import Config
from bacon.config.reading import read_merged
from bacon.runtime.errors import BaconError

PYTHON_WORDS = [
    "tuple",
    "dict",
    "NoneType",
    "None",
    "True",
    "False",
    "integer",
    "boolean",
    "string",
    "pydantic",
    "Input",
]


def load(folder: Path, text: str | bytes, *entries: str) -> Config:
    """The configuration that a file with this text, and ``--config`` entries, give."""
    path = folder / "my.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return check_config(read_merged([path], entries), source="my.yaml")


def refusal(folder: Path, text: str | bytes, *entries: str) -> list[str]:
    """The lines of the error that a text gives: each names the file or the option, none speaks Python."""
    with pytest.raises(BaconError) as caught:
        load(folder, text, *entries)
    lines = str(caught.value).splitlines()
    assert lines
    for line in lines:
        assert "my.yaml" in line or "--config" in line
        found = [word for word in PYTHON_WORDS if word in line]
        assert not found, f"{found} in {line}"
    return lines
