"""The one rule for names that become paths, wildcards of the workflow, words of a shell command and patterns of cells."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from bacon.runtime.errors import BaconError

LONGEST = 64
"""Characters of a name: a file name of two names, an IPC and a suffix stays below the 255 bytes that file systems allow."""
RULE = f"letters a-z and A-Z, digits and . _ + -, starting with a letter or a digit, at most {LONGEST} characters"

_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._+-]{{0,{LONGEST - 1}}}", re.ASCII)


def is_name(text: str) -> bool:
    """Whether a text obeys the rule."""
    return _NAME.fullmatch(text) is not None


def check_name_rule(what: str, name: str, *, advice: str = "") -> None:
    """Refuse a name that the rule does not allow.

    Args:
        what: the key or the place that holds it, for the message.
        name: the name.
        advice: what else to do, such as where a title goes.

    Raises:
        BaconError: names ``what``, the name, the rule and a name that works.
    """
    if not is_name(name):
        raise BaconError(
            f"{what} = {_shown(name)}: the name is used in paths and commands, so it may hold {RULE}; "
            f"write {suggested_name(name)!r}{advice}"
        )


def suggested_name(text: str) -> str:
    """A name that obeys the rule and looks like ``text``: ``my-data`` for ``my data``."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    joined = re.sub(r"[^A-Za-z0-9._+]+", "-", plain).strip("-")
    start = joined.lstrip("._+-")[:LONGEST].rstrip("-")
    return start or "mydata"


def check_letter_case(what: str, names: Iterable[str]) -> None:
    """Refuse names that differ by letter case alone: some file systems take their files for one.

    Raises:
        BaconError: names both.
    """
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(name.lower(), name)
        if other != name:
            raise BaconError(
                f"{what}: {other!r} and {name!r} differ by letter case alone, and some file systems cannot keep both; "
                "give one of them another name"
            )


def _shown(name: str) -> str:
    return repr(name if len(name) <= LONGEST + 16 else f"{name[:LONGEST]}...")
