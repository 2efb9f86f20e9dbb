"""What the artifacts of a cell say of themselves: time, memory, device, versions, commit, fingerprint; and their logs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py

from bacon.artifacts.distilled_layout import data_set
from bacon.reporting.collect.distilled_files import MEBIBYTE, STORAGE, open_distilled
from bacon.reporting.collect.evaluations import RERUN, read_evaluation
from bacon.reporting.collect.expected import expected_distilled, expected_evaluation
from bacon.reporting.page.links import Links
from bacon.reporting.page.views import ArtifactView, Link
from bacon.reporting.tables.cost_tables import three_digits
from bacon.runtime.errors import BaconError

if TYPE_CHECKING:
    from bacon.plan.plan import Plan
    from bacon.settings.cells import Cell


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """One artifact's own account."""

    view: ArtifactView
    seconds: float
    """Wall time of making it, over all parts and networks."""
    networks: int
    """Networks trained to evaluate; none for a distilled set."""
    device: str
    commit: str
    packages: str


def distilled_artifact(plan: Plan, cell: Cell, links: Links) -> Artifact:
    """The account of a cell's distilled set; :class:`BaconError` if it is missing, damaged, incomplete or stale."""
    expected = expected_distilled(plan, cell)
    with open_distilled(expected) as file, _complete(expected.path):
        attributes = dict(file.attrs)
        seconds, iterations = float(attributes["wall_seconds"]), int(attributes["iterations"])
        facts = [
            ("time", duration_text(seconds)),
            ("peak memory", f"{float(attributes['peak_memory_bytes']) / MEBIBYTE:.0f} MiB"),
            ("energy", energy_text(attributes)),
            ("labels", _labels_text(attributes)),
            *_rates_facts(file),
            ("storage", storage_text(*(int(attributes[name]) for name in STORAGE))),
        ]
        if iterations:
            rate = float(attributes["iterations_per_second"])
            facts = [("iterations", f"{iterations} ({rate:.3g} per second)"), *facts]
        if "at_chance" in attributes:
            facts = [("warning: networks at chance level", str(attributes["at_chance"])), *facts]
        if "divergence" in attributes:
            facts = [("warning: diverged", str(attributes["divergence"])), *facts]
        return _artifact(
            "Distillation",
            facts=facts,
            provenance=json.loads(attributes["provenance"]),
            fingerprint=expected.fingerprint,
            seconds=seconds,
            links=_links(links, expected.path, plan.directory / cell.distill_log),
        )


def evaluation_artifact(plan: Plan, cell: Cell, network: str, links: Links) -> Artifact:
    """The account of a cell's evaluation with one network; errors as for :func:`distilled_artifact`."""
    expected = expected_evaluation(plan, cell, network)
    content = read_evaluation(expected)
    with _complete(expected.path):
        seconds = sum(float(record["wall_seconds"]) for record in content["records"])
        return _artifact(
            f"Evaluation, {network}",
            facts=[
                *_teacher_facts(content),
                ("networks trained", str(len(content["records"]))),
                ("time", duration_text(seconds)),
            ],
            provenance=content["provenance"],
            fingerprint=expected.fingerprint,
            seconds=seconds,
            networks=len(content["records"]),
            links=_links(links, expected.path, plan.directory / cell.evaluate_log(network)),
        )


def _teacher_facts(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What labels of teachers would take if they were stored, and teachers that have learned nothing."""
    if "teacher_bytes" not in content:
        return []
    size = f"{content['view_label_bytes']:,} bytes for each network, were they stored; teachers {content['teacher_bytes']:,}"
    weak = ", ".join(content["teachers_at_chance"])
    return [*([("warning: teachers at chance level", weak)] if weak else []), ("labels of teachers", size)]


def duration_text(seconds: float) -> str:
    """A time as a person says it: ``8.4 s``, ``12.5 min``, ``3.4 h``."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def arithmetic_text(provenance: Mapping[str, Any]) -> str:
    """Whether the same bits come out of every run, as an artifact's provenance says."""
    if provenance["deterministic"]:
        return "deterministic: the same bits in every run on this device"
    return "not deterministic (run.deterministic: false): other bits in every run"


def storage_text(images: int, labels: int, decoder: int) -> str:
    """Bytes of a synthetic set in words: ``120,000 bytes of images, 400 of labels``; a part of no bytes goes unsaid."""
    parts = [f"{count:,} of {name}" for name, count in (("labels", labels), ("decoder", decoder)) if count]
    return ", ".join([f"{images:,} bytes of images", *parts])


def energy_text(attributes: Mapping[str, Any]) -> str:
    """What the device took while a set was made, and whose it is: ``12.3 kJ (NVML), of the whole device; ...``."""
    if "energy_joules" not in attributes:
        return "unknown: the device did not tell it"
    share = attributes.get("energy_share")
    whose = (
        "the device did not say who else used it"
        if share is None
        else f"the job had {100 * share:.0f} % of the device's use"
    )
    energy = three_digits(float(attributes["energy_joules"]) / 1000)
    return f"{energy} kJ ({attributes['energy_source']}), of the whole device; {whose}"


def _labels_text(attributes: Mapping[str, Any]) -> str:
    kind = attributes.get("soft_labels_kind")
    return "the class of each image" if kind is None else f"the class of each image, and a soft label ({kind})"


def _rates_facts(file: h5py.File) -> list[tuple[str, str]]:
    """The learned learning rate, or how many there are and from where to where they go."""
    if not int(file.attrs["learned_rates"]):
        return []
    rates = file[data_set("rates")][()]
    if len(rates) == 1:
        return [("learned learning rate", f"{rates[0]:.4g}")]
    return [("learned learning rates", f"{len(rates)}, one per step, {rates.min():.4g} to {rates.max():.4g}")]


@contextmanager
def _complete(path: Path) -> Iterator[None]:
    """What is missing from a file, or of another type, is the file's fault."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BaconError(f"{path}: its provenance is not complete ({error!r}). {RERUN}") from error


def _artifact(
    what: str,
    *,
    facts: list[tuple[str, str]],
    provenance: Mapping[str, Any],
    fingerprint: str,
    seconds: float,
    networks: int = 0,
    links: tuple[Link, ...],
) -> Artifact:
    packages = ", ".join(f"{name} {version}" for name, version in provenance["packages"].items())
    versions = f"Python {provenance['python']}, {packages}"
    origin = [
        ("device", str(provenance["device"])),
        ("arithmetic", arithmetic_text(provenance)),
        ("host", f"{provenance['host']}, threads used: {provenance['threads']} of {provenance['cpus']}"),
        ("versions", versions),
        ("commit", str(provenance["commit"])),
        ("fingerprint", fingerprint),
    ]
    return Artifact(
        view=ArtifactView(what=what, facts=(*facts, *origin), links=links),
        seconds=seconds,
        networks=networks,
        device=str(provenance["device"]),
        commit=str(provenance["commit"]),
        packages=versions,
    )


def _links(links: Links, file: Path, log: Path) -> tuple[Link, ...]:
    return tuple(link for link in (links.to("file", file), links.to("log", log)) if link)
