"""Reproducible data-set distillation with BACON, IDM, DM and coresets.

Importing this package is cheap: PyTorch is loaded only when a name that needs it is used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bacon._version import __version__
    from bacon.interchange.load import DistilledDataset, load_distilled

__all__ = ["DistilledDataset", "__version__", "load_distilled"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from bacon._version import __version__

        return __version__
    if name in ("DistilledDataset", "load_distilled"):
        from bacon.interchange import load

        return getattr(load, name)
    raise AttributeError(f"module 'bacon' has no attribute {name!r}")
