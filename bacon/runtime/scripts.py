"""What the command-line entry points share: the error they print, the options they have in common."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Callable

from bacon.runtime.errors import BaconError
from bacon.runtime.logs import get_logger, set_up_logging

_DISK_ERRORS = {
    errno.ENOSPC: "free some space",
    errno.EFBIG: "free some space, or allow larger files (ulimit -f)",
    errno.EDQUOT: "free some of your quota",
    errno.EROFS: "make the file system writable",
    errno.EACCES: "make the folder writable",
}


def parser(description: str | None) -> argparse.ArgumentParser:
    """An argument parser with the options of every stage: the configuration and the fingerprint asked for."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True, help="configuration file (YAML or JSON)")
    parser.add_argument("--fingerprint", help="refuse to run if settings and code do not give this fingerprint")
    return parser


def run(main: Callable[[], None]) -> None:
    """Run a script's main function; bad input prints one message and exits with status 1."""
    set_up_logging()
    try:
        main()
    except BaconError as error:
        get_logger("scripts").error("%s", error)
        sys.exit(1)
    except (OSError, RuntimeError) as error:  # HDF5 reports a full disk as either
        if (advice := disk_advice(error)) is None:
            raise
        get_logger("scripts").error("%s; %s, then run snakemake again: finished work is kept", error, advice)
        sys.exit(1)


def disk_advice(error: OSError | RuntimeError) -> str | None:
    """What to do about a disk that cannot be written, or ``None`` when that is not the error; HDF5 says it in words only."""
    for number, advice in _DISK_ERRORS.items():
        if getattr(error, "errno", None) == number or os.strerror(number) in str(error):
            return advice
    return None
