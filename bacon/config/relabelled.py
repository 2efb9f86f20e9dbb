"""Rows of soft labels: sets of a method evaluated a second time, with labels of teachers instead of their own. No torch."""

from __future__ import annotations

from bacon.config.layering import resolve
from bacon.config.layers import OF_TEACHERS, protocol_name
from bacon.config.model import Config, Layer, VariantLayer
from bacon.methods.registry import METHODS
from bacon.runtime.errors import BaconError
from bacon.settings.cells import Cell


def with_relabelled(config: Config) -> Config:
    """``config`` with a variant for each method of ``grid.relabelled``, listed after it.

    The variants change nothing of a distillation, so they share the method's sets (``Plan.same_set``).

    Raises:
        BaconError: one of them is not in the grid, has such a variant of another meaning, is labelled by teachers already, or
            is evaluated by regression, which takes no labels of teachers.
    """
    if not config.grid.relabelled:
        return config
    variants, methods = dict(config.variants), list(config.grid.methods)
    for own, name in config.relabelled_rows.items():
        if name not in config.grid.methods:
            raise BaconError(f"grid.relabelled: {name!r} is not one of grid.methods ({', '.join(config.grid.methods)})")
        variant = _variant(config, name)
        if variants.get(own, variant) != variant or own in METHODS:
            raise BaconError(
                f"grid.relabelled: the row of {name!r} would be called {own!r}, which is there already; rename that"
            )
        _check_not_yet(config, name)
        variants[own] = variant
        if own not in methods:
            methods.insert(methods.index(name) + 1, own)
    grid = config.grid.model_copy(update={"methods": tuple(methods)})
    return config.model_copy(update={"variants": variants, "grid": grid})


def _variant(config: Config, name: str) -> VariantLayer:
    layer = config.variants.get(name)
    title = METHODS[name].title if layer is None else (layer.title or name)
    own = {} if layer is None else layer.model_dump(include=set(Layer.model_fields))
    return VariantLayer.model_validate(
        own
        | {
            "method": config.base_method(name),
            "title": f"{title}, soft labels",
            "evaluation": {**own.get("evaluation", {}), **OF_TEACHERS["evaluation"]},
        }
    )


def _check_not_yet(config: Config, name: str) -> None:
    for dataset in config.grid.datasets:
        cell = Cell(dataset, name, config.grid.ipc[0], config.grid.seed_list()[0])
        if resolve(config, cell).settings.evaluation.labels == "teacher":
            raise BaconError(
                f"grid.relabelled: {name!r} is evaluated with labels of teachers already (protocol "
                f"{protocol_name(config, name)}); take it off the list"
            )
        _check_networks_are_trained(config, cell)


def _check_networks_are_trained(config: Config, cell: Cell) -> None:
    """Under each protocol: a regression fits the set's own labels, and no batch of it is there for a teacher to label."""
    for under in map(config.under, config.evaluated_protocols):
        if (regression := resolve(under, cell).settings.evaluation.regression) != "none":
            raise BaconError(
                f"grid.relabelled: {cell.method!r} is evaluated by regression ({regression}) under protocol "
                f"{protocol_name(under, cell.method)}, which takes no labels of teachers; leave out either"
            )
