"""What the command-line entry points share: the error they print, the options they have in common."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from bacon.runtime.errors import BaconError
from bacon.runtime.logs import get_logger, set_up_logging


def parser(description: str | None) -> argparse.ArgumentParser:
    """An argument parser with the options of every stage: the configuration and the fingerprint asked for."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--config", required=True, help="configuration file (YAML or JSON)")
    made.add_argument("--fingerprint", help="refuse to run when settings and code do not give this fingerprint")
    return made


def run(main: Callable[[], None]) -> None:
    """Run a script's main function; bad input prints one message and exits with status 1."""
    set_up_logging()
    try:
        main()
    except BaconError as error:
        get_logger("scripts").error("%s", error)
        sys.exit(1)
