"""The names of a configuration: that they can be paths, that they are known, and that each is given once."""

from __future__ import annotations

from collections.abc import Iterable

from bacon.config.model import ALL, BEST, Config
from bacon.config.presets import NETWORKS, PRESETS
from bacon.config.setting_errors import check_name
from bacon.datasets.registry import REGISTRY
from bacon.downstream.registry import TASKS
from bacon.methods.registry import METHODS
from bacon.runtime.errors import BaconError
from bacon.settings.names import check_letter_case, check_name_rule, suggested_name
from bacon.settings.protocol_records import PROTOCOLS
from bacon.settings.protocols import NATIVE

GRID_METHODS = tuple(name for name, method in METHODS.items() if method.is_distilled)
_JOBS = {"distill": "that distils", "evaluate": "that evaluates under several protocols"}
"""What the jobs of a cell go by, beside the networks that are evaluated on it, and what each is."""
_OWN = "; or name your own under `data`"


def check_names(config: Config) -> None:
    """Refuse names that the rule forbids, that nothing has, or that name two things; raises :class:`BaconError`."""
    _check_rule(config)
    _check_known(config)
    _check_letter_case(config)
    for number, layer in enumerate(config.cells):
        check_name(f"cells[{number}].dataset", layer.dataset, _datasets(config), extra=_OWN)
        _check_each(f"cells[{number}].methods", layer.methods or (), METHODS)
    for name, data in config.data.items():
        if data.format == "registry":
            check_name("data: key", name, REGISTRY, extra="; own data needs `format` and `path`")
    _check_one_file(config)


def _check_rule(config: Config) -> None:
    """The rule for names where they are given; the grid may name what is known alone."""
    titled = " and the name to show under `title`"
    for what, names, advice in (
        ("data: key", config.data, titled),
        ("networks: key", config.networks, ""),
        ("variants: key", config.variants, titled),
        ("protocols: key", config.protocols, titled),
    ):
        for name in names:
            check_name_rule(what, name, advice=advice)


def _check_letter_case(config: Config) -> None:
    for where, together in (
        ("grid.datasets and data", (*config.grid.datasets, *config.data)),
        ("grid.methods and variants", (*METHODS, *config.grid.methods, *config.variants)),
        ("grid.networks and networks", (*config.grid.networks, *config.networks)),
        ("grid.protocols and protocols", (*PROTOCOLS, NATIVE, *config.grid.protocols, *config.protocols)),
    ):
        check_letter_case(where, together)


def _datasets(config: Config) -> tuple[str, ...]:
    return (*REGISTRY, *(name for name in config.data if name not in REGISTRY))


def _check_known(config: Config) -> None:
    check_name("preset", config.preset, PRESETS)
    _check_each("grid.datasets", config.grid.datasets, _datasets(config), extra=_OWN)
    _check_each("grid.methods", config.grid.methods, (*GRID_METHODS, *config.variants), extra="; full is always added")
    _check_variants(config)
    _check_protocols(config)
    _check_each("grid.networks", config.grid.networks, ("convnet", *NETWORKS, *config.networks))
    _check_each("grid.downstream", config.grid.downstream, TASKS)
    _check_each("methods: key", config.methods, METHODS)
    _check_each("report.references", config.report.references, (*GRID_METHODS, BEST, ALL))
    _check_gaps(config)
    _check_each("datasets: key", config.datasets, _datasets(config), extra=_OWN)


def _check_each(what: str, names: Iterable[str], allowed: Iterable[str], *, extra: str = "") -> None:
    allowed = tuple(allowed)
    for name in names:
        check_name(what, name, allowed, extra=extra)


def _check_gaps(config: Config) -> None:
    for pair in config.report.gaps:
        _check_each("report.gaps", pair, (*GRID_METHODS, *config.variants))
        if pair[0] == pair[1]:
            raise BaconError(
                f"report.gaps: [{', '.join(pair)}] names one method twice; name two, such as [ncfm, bacon]"
            )


def _check_variants(config: Config) -> None:
    for name, variant in config.variants.items():
        check_name(f"variants.{name}.method", variant.method, GRID_METHODS)
        if name in METHODS:
            raise BaconError(
                f"variants.{name}: {name!r} is the name of a method; give the variant another name, such as "
                f"{suggested_name(name + '-2')!r}, or change the method itself under `methods`"
            )


def _check_protocols(config: Config) -> None:
    """Known protocols and own ones; a known name stands for the published protocol, so nothing may redefine it."""
    known = (*PROTOCOLS, NATIVE)
    for name, own in config.protocols.items():
        check_name(f"protocols.{name}.base", own.base, known)
        if name in known:
            raise BaconError(
                f"protocols.{name}: {name!r} is the name of a known protocol; give your own another name, such as "
                f"{suggested_name(name + '-2')!r}, with `base: {name}`"
            )
    allowed = (*known, *config.protocols)
    _check_each("grid.protocols", config.grid.protocols, allowed)
    check_name("protocol", config.protocol, allowed)
    if config.protocol not in config.evaluated_protocols:
        raise BaconError(
            f"protocol = {config.protocol!r} is not among grid.protocols ({', '.join(config.grid.protocols)}): add it there, "
            "or leave `protocol` out for the first of them"
        )


def _check_one_file(config: Config) -> None:
    """Refuse what would give one name to the files of two things."""
    several = len(config.evaluated_protocols) > 1
    for job, what in _JOBS.items():
        if job in config.networks and (several or job == "distill"):
            raise BaconError(f"networks.{job}: the name stands for the job {what}; give the network another name")
    groups: dict[str, tuple[str, str]] = {}
    for dataset in config.grid.datasets:
        for method in config.grid.methods:
            other = groups.setdefault(f"{dataset}_{method}", (dataset, method))
            if other != (dataset, method):
                raise BaconError(
                    f"grid: data set {other[0]!r} with method {other[1]!r}, and {dataset!r} with {method!r}, would both write "
                    f"{dataset}_{method}_ipc*.png; give one of them a name without _"
                )
