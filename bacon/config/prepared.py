"""Which prepared form of its data set a cell uses: the data set's own, or its twin with or without ZCA whitening.

A data set is prepared as ``data.NAME`` says. Where cells ask for the other form (``preprocessing.zca``, in the settings that a
method's authors published or in the file), it is prepared a second time under a name of its own. What is trained on real
images belongs to one of the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bacon.datasets.registry import REGISTRY
from bacon.runtime.errors import BaconError
from bacon.settings.augmentations import PIXEL_AUGMENTATIONS
from bacon.settings.cells import PLAIN, WHITENED
from bacon.settings.data import DataSettings

if TYPE_CHECKING:
    from bacon.config.layering import Resolved
    from bacon.config.model import Config
    from bacon.settings.cells import Cell
    from bacon.settings.evaluation import EvaluationSettings

ZCA = ("preprocessing", "zca")


@dataclass(frozen=True)
class PreparedData:
    """One prepared form of a data set.

    Attributes:
        name: of its file, and in the place of the data set's name where networks that are trained on it lie.
        dataset: the data set.
        settings: how it is prepared.
    """

    name: str
    dataset: str
    settings: DataSettings


def prepared_data(config: Config, dataset: str, zca: bool | None = None) -> PreparedData:
    """The form of a data set with or without whitening; ``None``: its own, as ``data.NAME.zca`` says."""
    own = config.data.get(dataset, DataSettings())
    if zca is None or zca == own.zca:
        return PreparedData(dataset, dataset, own)
    suffix = WHITENED if zca else PLAIN
    return PreparedData(f"{dataset}-{suffix}", dataset, own.model_copy(update={"zca": zca}))


def prepared_named(config: Config, name: str) -> PreparedData:
    """The form of that name: a data set's own, or the other one of a data set where none has the name itself."""
    dataset, _, suffix = name.rpartition("-")
    if suffix in (WHITENED, PLAIN) and name not in (*config.data, *REGISTRY):
        other = prepared_data(config, dataset, suffix == WHITENED)
        if other.name == name:
            return other
    return prepared_data(config, name)


def check_prepared(config: Config, cell: Cell, resolved: Resolved) -> None:
    """Refuse whitening that the images of a cell cannot have, and a name that two data sets would share.

    Raises:
        BaconError: names the layer that asks for it, and what to do.
    """
    zca = resolved.settings.preprocessing.zca
    prepared = prepared_data(config, cell.dataset, zca)
    others = {name.lower() for name in (*config.grid.datasets, *config.data, *REGISTRY)}
    if prepared.name != cell.dataset and prepared.name.lower() in others:
        raise BaconError(
            f"{_asked(cell, resolved)} {cell.dataset} is prepared a second time, as {prepared.name}, which is the name of "
            f"another data set; give that one another name"
        )
    if prepared.settings.zca:
        _check_size(config, cell, resolved, prepared)


def check_augmentations(config: Config, cell: Cell, evaluation: EvaluationSettings, resolved: Resolved) -> None:
    """Refuse an evaluation whose augmentations need pixels that whitened images do not have; raises :class:`BaconError`."""
    if not prepared_data(config, cell.dataset, resolved.settings.preprocessing.zca).settings.zca:
        return
    found = [name for name in evaluation.augmentations if name in PIXEL_AUGMENTATIONS]
    if found:
        raise BaconError(
            f"{_asked(cell, resolved)} the evaluation of {cell} (protocol {config.protocol}) augments pixel values "
            f"({', '.join(found)}), which whitened images do not have: {_turn_off(config, cell, resolved)}, or choose other "
            "evaluation.augmentations, such as none and dsa"
        )


def _check_size(config: Config, cell: Cell, resolved: Resolved, prepared: PreparedData) -> None:
    """Whether the covariance of a registered data set's pixels can be held; the size of own data shows when it is read."""
    # Here: the limit stands beside the code that has it, which loads numpy.
    from bacon.datasets.whitening import MAX_DIMENSION

    data = prepared.settings
    if data.format != "registry":
        return
    channels, size = REGISTRY[cell.dataset].shape[0], data.size or REGISTRY[cell.dataset].shape[1]
    if channels * size**2 > MAX_DIMENSION:
        raise BaconError(
            f"{_asked(cell, resolved)} images of {cell.dataset} have {channels} x {size} x {size} values, and ZCA whitening "
            f"takes at most {MAX_DIMENSION}: {_turn_off(config, cell, resolved)}, or set a smaller data.{cell.dataset}.size"
        )


def _asked(cell: Cell, resolved: Resolved) -> str:
    """Who asks for the form, at the start of an error."""
    if resolved.settings.preprocessing.zca is None:
        return f"data.{cell.dataset}.zca = true:"
    value = str(resolved.settings.preprocessing.zca).lower()
    return f"{resolved.origin[ZCA]}: preprocessing.zca = {value}:"


def _turn_off(config: Config, cell: Cell, resolved: Resolved) -> str:
    """How to have the cell's images not whitened."""
    if resolved.settings.preprocessing.zca is None:
        return f"set data.{cell.dataset}.zca: false"
    if resolved.origin[ZCA].partition(" ")[0] in ("method", "published", "preset"):
        section = "variants" if cell.method in config.variants else "methods"
        return f"set {section}.{cell.method}.preprocessing.zca: false"
    return "take that out"
