"""Results of a plan that are not there: what a report of the others leaves out, and says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from bacon.reporting.collect.distilled_files import cost_row
from bacon.reporting.collect.evaluations import RERUN, OutOfDateError, collect_accuracy, network_rows
from bacon.reporting.collect.expected import expected_distilled, expected_evaluations
from bacon.reporting.collect.task_results import read_task
from bacon.runtime.errors import BaconError
from bacon.settings.cells import Cell

if TYPE_CHECKING:
    import pandas as pd

    from bacon.plan.plan import Plan

DISTILLED, EVALUATION, TASK = "distilled set", "evaluation", "downstream result"
Kind = tuple[str, str]
"""What a result is: ``DISTILLED``, ``EVALUATION`` or ``TASK``, and of which protocol or downstream task."""
ITS_MEANS = (
    "A mean is over the distillation seeds that are there, which may be others for another method; differences are paired over "
    "the seeds that both methods have."
)


class _Expected(Protocol):
    @property
    def path(self) -> Path: ...


Expected = TypeVar("Expected", bound=_Expected)


@dataclass(frozen=True, kw_only=True)
class AbsentResult:
    """A result that the plan asks for and that cannot be used."""

    cell: Cell
    kind: Kind
    what: str
    """In words, such as ``evaluation with convnet under P-IDC``."""
    path: Path
    reason: str
    """``missing``, ``out of date`` or ``damaged``."""


@dataclass(frozen=True)
class Absent:
    """Every absent result of a plan.

    Args:
        results: in the order of the plan.
        expected: kind -> how many results the plan asks for.
        allowed: whether a report may do without them; else any is an error.
    """

    results: tuple[AbsentResult, ...] = ()
    expected: Mapping[Kind, int] = field(default_factory=dict)
    allowed: bool = False

    @cached_property
    def paths(self) -> frozenset[Path]:
        """Files that are not to be read."""
        return frozenset(one.path for one in self.results)

    def without(self, expected: Iterable[Expected]) -> list[Expected]:
        """Those of the expected files that are there."""
        return [one for one in expected if one.path not in self.paths]

    def counts(self) -> str:
        """``3 of 40 evaluations, 1 of 20 distilled sets``; empty: nothing is absent."""
        absent = Counter(one.kind[0] for one in self.results)
        wanted = Counter[str]()
        for (name, _), count in self.expected.items():
            wanted[name] += count
        return ", ".join(f"{count} of {wanted[name]} {name}s" for name, count in absent.items())

    def of(self, kinds: Collection[Kind]) -> Absent:
        """The same of some kinds of results alone."""
        found = tuple(one for one in self.results if one.kind in kinds)
        wanted = {kind: count for kind, count in self.expected.items() if kind in kinds}
        return Absent(found, wanted, allowed=self.allowed)

    def note(self, kinds: Collection[Kind]) -> list[str]:
        """A line for a table that is made from these kinds of results; none where all of them are there."""
        counts = self.of(kinds).counts()
        return [f"Incomplete: {counts} are not there, listed at the top of the report. {ITS_MEANS}"] if counts else []

    def lines(self) -> list[str]:
        """Every absent result in words, seeds with the same ones in one line."""
        whole: dict[str, list[str]] = {str(one.cell): [] for one in self.results}
        for one in self.results:
            whole[str(one.cell)].append(f"{one.what} ({one.reason})")
        alike: dict[tuple[str, str], list[str]] = {}
        for cell, found in whole.items():
            place, _, seed = cell.partition("/seed")
            alike.setdefault((place, "; ".join(found)), []).extend([seed] if seed else [])
        return [f"{place}{_seeds(seeds)}: {found}" for (place, found), seeds in alike.items()]


COMPLETE = Absent()
"""A report that may lack nothing."""


def _seeds(seeds: list[str]) -> str:
    if not seeds:
        return ""
    return f", seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)}"


def evaluation_kinds(plan: Plan) -> tuple[Kind, ...]:
    """The evaluations under each protocol."""
    return tuple((EVALUATION, name) for name in plan.protocols)


def find_absent(plan: Plan, *, methods: Collection[str] | None = None) -> Absent:
    """What cannot be used of a plan's results, of all methods or of some, each read as tables read it."""
    every = [(one, read) for one, read in _results(plan) if methods is None or one.cell.method in methods]
    checked = (_checked(one, read) for one, read in every)
    found = tuple(one for one in checked if one is not None)
    return Absent(found, Counter(one.kind for one, _ in every), allowed=True)


def present_accuracies(
    plan: Plan, absent: Absent, *, methods: Collection[str] | None = None
) -> dict[str, pd.DataFrame]:
    """Protocol -> rows of ``collect_accuracy`` of the evaluations that are there, that of headline tables first.

    Args:
        plan: the grid.
        absent: its results that are not there.
        methods: those to read; ``None``: all, and the full data set.

    Raises:
        BaconError: no evaluation is there.
    """
    first = plan.headline.config.protocol
    ordered = {first: plan.protocols[first]} | dict(plan.protocols)
    expected = {name: absent.without(expected_evaluations(each)) for name, each in ordered.items()}
    chosen = {
        name: [one for one in those if methods is None or one.method in methods] for name, those in expected.items()
    }
    found = {name: collect_accuracy(those) for name, those in chosen.items() if those}
    if not found:
        raise BaconError(f"there is no evaluation yet. {RERUN}")
    return found


def _results(plan: Plan) -> Iterator[tuple[AbsentResult, Callable[[], object]]]:
    for cell in plan.cells:
        distilled = expected_distilled(plan, cell)
        yield _result(cell, (DISTILLED, ""), DISTILLED, distilled.path), partial(cost_row, distilled)
    for name, each in plan.protocols.items():
        under = f" under {plan.config.protocol_title(name)}" if plan.has_protocols else ""
        for one in expected_evaluations(each):
            cell = Cell(one.dataset, one.method, one.ipc, one.seed)
            what = f"{EVALUATION} with {one.network}{under}"
            yield _result(cell, (EVALUATION, name), what, one.path), partial(network_rows, one)
    for name in plan.tasks.names:
        for cell, network in plan.tasks.places(name):
            path = plan.directory / cell.downstream_path(name, network)
            what = f"{name}{f' with {network}' if network else ''}"
            yield _result(cell, (TASK, name), what, path), partial(read_task, plan, name, cell, network)


def _result(cell: Cell, kind: Kind, what: str, path: Path) -> AbsentResult:
    return AbsentResult(cell=cell, kind=kind, what=what, path=path, reason="missing")


def _checked(one: AbsentResult, read: Callable[[], object]) -> AbsentResult | None:
    """The result with the reason why it cannot be used; ``None`` where it can."""
    if not one.path.is_file():
        return one
    try:
        read()
    except BaconError as error:
        reason = "out of date" if isinstance(error, OutOfDateError) else "damaged"
        return AbsentResult(cell=one.cell, kind=one.kind, what=one.what, path=one.path, reason=reason)
    return None
