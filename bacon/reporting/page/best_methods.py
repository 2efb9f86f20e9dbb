"""What the page opens with: the best method at every place and how sure that is, and how complete the results are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from bacon.reporting.collect.overview import MethodResult, Standings
from bacon.reporting.collect.standings import CEILING, TIE, UNTESTED, WORSE
from bacon.reporting.page.cell_entries import CellReport
from bacon.reporting.page.views import Column, Link, PageRemark, Table, Value
from bacon.reporting.tables.markup import MISSING
from bacon.reporting.tables.protocol_tables import interval_text

_MOST_NAMES, _MOST_CELLS = 6, 12
WARNING = "warning: "
"""What the name of a fact begins with if something is wrong with a distilled set or an evaluation."""


def best_table(places: Sequence[Standings], protocols: Mapping[str, str]) -> Table:
    """One row per data set, network and IPC, under the first protocol; the others say whether their best is another.

    Args:
        places: of :func:`bacon.reporting.collect.overview.overview`.
        protocols: name -> title, that of headline tables first.
    """
    first, *others = protocols
    several = len({one.place.network for one in places}) > 1
    rows = [one for one in places if one.place.protocol == first]
    return Table(
        name="best",
        title="Highest mean test accuracy" + (f" (protocol {protocols[first]})" if others else ""),
        columns=(
            Column(title="Data set", numeric=False),
            Column(title="Best method", numeric=False),
            Column(title="Accuracy (%)"),
            Column(title="Not significantly worse", numeric=False),
            Column(title="Significantly worse", numeric=False),
            *([Column(title="Best under other protocols", numeric=False)] if others else []),
            Column(title="Full data set (%)"),
        ),
        rows=tuple(_row(one, _under_others(places, one, protocols), several=several) for one in rows),
        notes=_notes(has_others=bool(others)),
        cards=True,
    )


def _notes(*, has_others: bool) -> tuple[str, ...]:
    text = (
        "Mean test accuracy on real images at the last epoch [95 % confidence interval] (n networks). Not significantly worse: "
        "p of at least 0.05, paired t test over distillation seeds, adjusted by Holm for every pair of methods and all IPCs of "
        "the data set, because the best is chosen from the same numbers."
    )
    again = " Under other protocols: in brackets how the best method of this row stands there."
    return (text + (again if has_others else ""),)


def _row(one: Standings, elsewhere: str | None, *, several: bool) -> tuple[Value, ...]:
    best, place = one.best, one.place
    heading = Value(text=f"{place.dataset_title}, IPC {place.ipc}{f', {place.network}' if several else ''}")
    others = [] if elsewhere is None else [Value(text=elsewhere)]
    if best is None:
        return (heading, *(Value(text=MISSING) for _ in range(4)), *others, _full(one.full))
    return (
        heading,
        Value(text=best.title, best=True),
        Value(text=accuracy_text(best), sort=best.ours.mean, cells=f"{place.dataset}/{best.method}/ipc{place.ipc}/"),
        Value(text=_names([each.title for each in one.results if each.standing == TIE])),
        Value(text=_worse(one.results)),
        *others,
        _full(one.full),
    )


def accuracy_text(one: MethodResult) -> str:
    """``90.7 [90.0, 91.4] (15)``."""
    return f"{interval_text(one.ours.mean, one.ours.ci_low, one.ours.ci_high)} ({one.ours.n})"


def _full(full: MethodResult | None) -> Value:
    return Value(text=MISSING) if full is None else Value(text=accuracy_text(full), sort=full.ours.mean)


def _names(titles: Sequence[str]) -> str:
    if not titles:
        return "none"
    more = len(titles) - _MOST_NAMES
    return ", ".join([*titles[:_MOST_NAMES], *([f"and {more} more"] if more > 0 else [])])


def _worse(results: Iterable[MethodResult]) -> str:
    """``21 of 24``, and of how many there is no test."""
    standings = [one.standing for one in results]
    worse, untested = standings.count(WORSE), standings.count(UNTESTED)
    compared = worse + standings.count(TIE) + untested
    if not compared:
        return "nothing to compare with"
    return f"{worse} of {compared}" + (f"; no test of {untested}" if untested else "")


def _under_others(places: Sequence[Standings], one: Standings, protocols: Mapping[str, str]) -> str | None:
    """The best method under every other protocol, those that agree first; ``None`` with one protocol."""
    first, *others = protocols
    place = one.place
    under = {each.place.protocol: each for each in places if replace(each.place, protocol=first) == place}
    found = {name: under[name].best for name in others if name in under}
    same = [protocols[name] for name, best in found.items() if best and one.best and best.method == one.best.method]
    parts = [f"the same under {', '.join(same)}"] if same else []
    parts += [
        f"{protocols[name]}: {best.title}{_there(one.best, under[name])}"
        for name, best in found.items()
        if best and (one.best is None or best.method != one.best.method)
    ]
    return ("; ".join(parts) or MISSING) if others else None


def _there(best: MethodResult | None, other: Standings) -> str:
    """`` (DSA: tie)``: how the best method of one protocol stands under another."""
    standing = next((one.standing for one in other.results if best and one.method == best.method), None)
    return "" if best is None or standing is None else f" ({best.title}: {standing})"


def state(
    places: Sequence[Standings], sets: int, cells: Sequence[CellReport], missing_controls: Sequence[str]
) -> list[PageRemark]:
    """How complete the results are: ``sets`` and networks, what the grid leaves out, what went wrong, what cannot be tested."""
    networks = sum(one.ours.n for each in places for one in each.results if one.standing != CEILING)
    counts = PageRemark(text=f"{sets:,} distilled sets, on which {networks:,} networks were trained and tested.")
    controls = (
        [PageRemark(text=f"Controls that the grid lacks: {', '.join(missing_controls)}.")] if missing_controls else []
    )
    return [counts, *_left_out(places), *_warnings(cells), *_untested(places), *controls]


def _left_out(places: Sequence[Standings]) -> list[PageRemark]:
    """Methods that are not everywhere, or have fewer distillation seeds somewhere than elsewhere."""
    titles = {one.method: one.title for each in places for one in each.results if one.standing != CEILING}
    most = max((one.ours.seeds for each in places for one in each.results), default=0)
    found = []
    for name, title in titles.items():
        own = [{one.method: one.ours.seeds for one in each.results}.get(name, 0) for each in places]
        absent, fewer = sum(not seeds for seeds in own), sum(0 < seeds < most for seeds in own)
        found += [f"{title} in {absent} of {len(own)}"] if absent else []
        found += [f"{title} has fewer than {most} seeds in {fewer} of {len(own)}"] if fewer else []
    where = "combinations of data set, network, IPC and protocol"
    return [PageRemark(text=f"Missing from the grid ({where}): {'; '.join(found)}.")] if found else []


def _warnings(cells: Sequence[CellReport]) -> list[PageRemark]:
    """What distilled sets and evaluations warn of, each with its cells."""
    found: dict[str, list[Link]] = {}
    for cell in cells:
        names = {name for artifact in cell.view.artifacts for name, _ in artifact.facts if name.startswith(WARNING)}
        for name in sorted(names):
            found.setdefault(name.removeprefix(WARNING), []).append(
                Link(text=cell.view.name, href=f"#{cell.view.anchor}")
            )
    return [
        PageRemark(
            text=f"Warning, {name}: {len(links)} cell{'' if len(links) == 1 else 's'}"
            + (f", the first {_MOST_CELLS}:" if len(links) > _MOST_CELLS else ":"),
            cells=tuple(links[:_MOST_CELLS]),
        )
        for name, links in found.items()
    ]


def _untested(places: Sequence[Standings]) -> list[PageRemark]:
    standings = [one.standing for each in places for one in each.results]
    without = standings.count(UNTESTED)
    compared = without + standings.count(TIE) + standings.count(WORSE)
    if not without:
        return []
    reason = "with one common distillation seed, or the same difference on every seed"
    return [PageRemark(text=f"{without} of {compared} comparisons with the best method allow no test: {reason}.")]
