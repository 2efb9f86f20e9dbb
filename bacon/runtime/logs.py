"""One logging set-up: plain lines to stderr and, when asked, to a file; uncaught exceptions included."""

from __future__ import annotations

import logging
import sys
from types import TracebackType

_FORMAT = "%(asctime)s %(levelname)s %(message)s"


def get_logger(name: str) -> logging.Logger:
    """The logger of a module, under the package's root logger."""
    return logging.getLogger(name if name.startswith("bacon") else f"bacon.{name}")


def set_up_logging(level: int = logging.INFO) -> None:
    """Send the package's log lines to stderr, which Snakemake's rules redirect to the job's log file."""
    logger = logging.getLogger("bacon")
    logger.setLevel(level)
    logger.propagate = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(_FORMAT, datefmt="%Y-%m-%d %H:%M:%S"))
    logger.handlers = [handler]
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").handlers = [handler]
    sys.excepthook = _log_uncaught


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    get_logger("bacon").critical("uncaught exception", exc_info=(kind, error, trace))
