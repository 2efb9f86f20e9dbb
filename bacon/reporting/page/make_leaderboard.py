"""Make the leaderboard: one HTML file with the results of many folders, each ranked with what it can be compared with."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

from bacon.reporting.collect.protocol_text import is_whitened
from bacon.reporting.collect.result_folders import Collected, collect_folders
from bacon.reporting.collect.standings import BEST_ONE, TIE, UNTESTED, Standing, standings
from bacon.reporting.page.artifact_facts import duration_text
from bacon.reporting.page.cell_cards import Cards
from bacon.reporting.page.html import render
from bacon.reporting.page.links import Links
from bacon.reporting.page.views import Column, Leaderboard, Link, ProtocolView, Table, Value
from bacon.reporting.tables.markup import MISSING
from bacon.reporting.tables.protocol_tables import interval_text
from bacon.runtime.atomic import write_text
from bacon.settings.protocol_records import PROTOCOLS
from bacon.settings.protocols import short_title

TITLE = "Dataset distillation: leaderboard"
_MOST_FINDINGS = 24
_COMMIT = 10  # characters of a commit that are shown
_COLUMNS = (
    Column(title="Method", numeric=False, choice=True, ordered=True),
    Column(title="Accuracy (%)"),
    Column(title="Standing", numeric=False, choice=True),
    Column(title="Source", numeric=False, choice=True),
    Column(title="Data set", numeric=False, choice=True),
    Column(title="IPC", choice=True, ordered=True),
    Column(title="Protocol", numeric=False, choice=True),
    Column(title="Network", numeric=False, choice=True),
    Column(title="n"),
    Column(title="sd"),
    Column(title="Labels", numeric=False, choice=True),
    Column(title="Storage", choice=True, ordered=True),
    Column(title="Distillation"),
    Column(title="Cards of seeds", numeric=False),
    Column(title="Settings", numeric=False, wide=True),
    Column(title="Version", numeric=False, wide=True),
)
_NOTES = (
    "Accuracy: mean over distillation seeds of the test accuracy at the last epoch, with its 95 % confidence interval "
    "(Student's t over the seed means; none with one seed). sd: sample standard deviation over all networks. n: "
    "distillation seeds x networks of each.",
    "Standing: within one data set, IPC, protocol (with the same settings) and network; nothing is compared beyond. Bold: the "
    "highest mean. Tie: not significantly worse than the best (p of at least 0.05, adjusted by Holm for all pairs of the "
    "group; paired t test over common distillation seeds within a source, Welch's t test between sources). No test: one of "
    "the two has a single seed, or the seeds do not spread. Alone: nothing to compare with.",
    "ZCA after a method's name: its sets, and the test images, are whitened by ZCA, in place of normalisation.",
    "Labels: what the networks were trained with: classes (hard), soft labels stored with the images, or those of a teacher "
    "network trained on the real set. Storage: bytes of images, labels and decoder of one set, uncompressed, and of the "
    "teachers where networks need them. Distillation: mean wall time of one set on its source's machine; unknown for files "
    "from elsewhere.",
)


def make(folders: Sequence[Path], output: Path) -> int:
    """Write the leaderboard of result folders and return its number of rows.

    Args:
        folders: as :func:`bacon.reporting.collect.result_folders.collect_folders` takes them.
        output: the HTML file; cards are linked relative to it.

    Raises:
        BaconError: a folder holds no results, or something in it is damaged or of an older version.
    """
    collected = collect_folders(folders)
    rows = standings(collected.networks)
    write_text(output, render(leaderboard(collected, rows, Cards(Links(output)))))
    return len(rows)


def leaderboard(collected: Collected, rows: Sequence[Standing], cards: Cards) -> Leaderboard:
    """The page as plain values."""
    found = [cards.of(row) for row in rows]
    table = Table(
        name="leaderboard",
        title="Every method, best first in each group",
        columns=_COLUMNS,
        rows=tuple(_row(row, own) for row, own in zip(rows, found, strict=True)),
        notes=_NOTES,
    )
    best = [_finding(rows, row) for row in rows if row.standing == BEST_ONE]
    without = sum(not own for own in found)
    lost = [f"{without} rows have no card: the results that their tables were made from are gone."] if without else []
    return Leaderboard(
        title=TITLE,
        fingerprint=hashlib.sha256(collected.networks.to_csv(index=False).encode()).hexdigest()[:32],
        lead=_lead(len(best)),
        findings=tuple(best) if len(best) <= _MOST_FINDINGS else (),
        table=table,
        protocols=_protocols(rows),
        sources=_sources(collected),
        remarks=(*collected.remarks, *lost),
    )


def _lead(groups: int) -> str:
    """What the list of the best shows, of so many groups, or why there is none."""
    where = "data set, number of images per class (IPC), protocol and network"
    if groups == 0:
        return f"No two methods share a {where}: there is nothing to compare."
    if groups > _MOST_FINDINGS:
        return f"Choose “{BEST_ONE}” under Standing for the best method of each {where}: {groups} of them have several methods."
    return f"Highest mean test accuracy (%) with its 95 % confidence interval, for each {where} with several methods:"


def _row(row: Standing, cards: tuple[Link, ...]) -> tuple[Value, ...]:
    ours, first = row.ours, row.networks.iloc[0]
    ipc = "all" if row.networks["ipc"].isna().all() else row.one("ipc")
    size = float(first["stored_bytes"]) + float(row.networks["teacher_bytes"].max())
    return (
        Value(text=_title(row), choice=row.one("method_title"), context=f"{_where(row)}; {row.one('source')}"),
        Value(
            text=interval_text(ours.mean, ours.ci_low, ours.ci_high),
            sort=ours.mean,
            best=row.standing == BEST_ONE,
            href=cards[0].href if cards else "",
        ),
        Value(text=row.standing),
        Value(text=row.one("source")),
        Value(text=row.one("dataset_title")),
        Value(text=ipc, sort=None if ipc == "all" else int(ipc)),
        Value(text=_protocol(row)),
        Value(text=row.one("network")),
        Value(text=_count_text(row), sort=ours.n),
        Value(text=MISSING if math.isnan(ours.sd) else f"{ours.sd:.1f}", sort=_known(ours.sd)),
        Value(text=row.one("label_kind")),
        Value(text=_size_text(size), sort=_known(size), choice=size_class(size)),
        _seconds(row),
        Value(text="" if cards else MISSING, links=cards),
        Value(text=str(first["protocol_digest"]), href=f"#settings-{first['protocol_digest']}"),
        Value(text=_version(row)),
    )


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _count_text(row: Standing) -> str:
    """``3 x 5``; ``3 x 4 to 5`` where seeds have different numbers of networks; ``5`` of the full data set."""
    if not row.ours.seeds:
        return str(row.ours.n)
    counts = row.networks.groupby("seed").size()
    low, high = int(counts.min()), int(counts.max())
    return f"{row.ours.seeds} x {low if low == high else f'{low} to {high}'}"


def _size_text(size: float) -> str:
    if math.isnan(size):
        return MISSING
    for unit, factor in (("GiB", 2.0**30), ("MiB", 2.0**20), ("KiB", 2.0**10)):
        if size >= factor:
            return f"{size / factor:,.1f} {unit}"
    return f"{size:.0f} B"


def size_class(size: float) -> str:
    """The powers of ten that a size lies between: ``10 to 100 KiB``; full data sets are no distilled set."""
    if math.isnan(size):
        return "full data set"
    power = 0
    while size >= 1024 * 10**power:
        power += 1
    return f"{10 ** (power - 1)} to {10**power} KiB" if power else "0 to 1 KiB"


def _seconds(row: Standing) -> Value:
    seconds = float(row.networks["seconds"].mean())
    return Value(text=MISSING if math.isnan(seconds) else duration_text(seconds), sort=_known(seconds))


def _version(row: Standing) -> str:
    """``0.3.0, commit 0123abc456``; several where the networks of a row are of several."""
    commits = []
    for commit in row.networks["commit"].drop_duplicates():
        name, dirty, _ = str(commit).partition("-dirty")
        commits.append(name[:_COMMIT] + dirty)
    version = row.one("version")
    return ", ".join([*([version] if version else []), f"commit {' and '.join(commits)}"])


def _finding(rows: Sequence[Standing], best: Standing) -> str:
    """The best of a group in a sentence."""
    group = [row for row in rows if row.place == best.place]
    ties = [_named(row) for row in group if row.standing == TIE]
    untested = sum(row.standing == UNTESTED for row in group)
    parts = [f"{_named(best)} {interval_text(best.ours.mean, best.ours.ci_low, best.ours.ci_high)}, of {len(group)}"]
    parts += [f"not significantly worse: {', '.join(ties)}"] if ties else []
    parts += [f"no test of {untested}"] if untested else []
    return f"{_where(best)}: {'; '.join(parts)}."


def _where(row: Standing) -> str:
    """Its group in words."""
    ipc = row.one("ipc")
    parts = (row.one("dataset_title"), f"IPC {ipc}" if ipc else "", _protocol(row), row.one("network"))
    return ", ".join(part for part in parts if part)


def _protocol(row: Standing) -> str:
    """What tables call its protocol; one of a configuration's own, whose title is not in the results, by its name."""
    name = row.one("protocol_name")
    return short_title(name) if name in PROTOCOLS else name


def _title(row: Standing) -> str:
    """The method, and whether its images are whitened: it is ranked with the others, for the test images are the same."""
    whitened = row.networks["protocol"].map(is_whitened).any()
    return f"{row.one('method_title')}{', ZCA' if whitened else ''}"


def _named(row: Standing) -> str:
    return f"{_title(row)} ({row.one('source')})"


def _protocols(rows: Sequence[Standing]) -> tuple[ProtocolView, ...]:
    """Every protocol as it was used; soft labels and learned rates that only some sets carry make several wordings of one."""
    groups: dict[str, list[Standing]] = {}
    for row in rows:
        groups.setdefault(row.one("protocol_digest"), []).append(row)
    found = []
    for digest, own in groups.items():
        names = " | ".join(dict.fromkeys(map(_protocol, own)))
        networks, words = (
            " | ".join(dict.fromkeys(row.one(column) for row in own)) for column in ("network_text", "protocol")
        )
        found.append(ProtocolView(digest=digest, name=names, words=f"{networks}; {words}"))
    return tuple(found)


def _sources(collected: Collected) -> tuple[tuple[str, str], ...]:
    found = []
    for source, rows in collected.networks.groupby("source", sort=False):
        files = int(rows.loc[rows["path"] != "", "path"].nunique())
        cells = len(rows[["dataset", "method", "ipc", "seed"]].drop_duplicates())
        words = f"{cells} sets, {len(rows)} trained networks"
        found.append((str(source), words + (f", of them {files} evaluated from files" if files else "")))
    return tuple(found)
