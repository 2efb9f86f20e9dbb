"""The report as HTML: what it says, that it needs nothing from outside, that no text becomes markup, and bad input."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from urllib.parse import unquote

import h5py
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image, PngImagePlugin

from bacon.cli import main
from bacon.datasets.store import ImageDataset, write_dataset
from bacon.operations.workflow_plan import aggregate_fingerprint
from bacon.reporting.collect.expected import expected_distilled
from bacon.reporting.collect.protocol_text import TIMES
from bacon.reporting.collect.summary import summarise
from bacon.reporting.figures.catalogue import drawn
from bacon.reporting.page.answer import answer_tables
from bacon.reporting.page.artifact_facts import duration_text
from bacon.reporting.page.contents import ReportTable, report_tables
from bacon.reporting.page.grids import grid_tables, number
from bacon.reporting.page.pictures import MAX_HEIGHT, cell_picture
from bacon.reporting.tables.markup import Grid
from bacon.reporting.targets import PUBLISHED
from bacon.runtime.errors import BaconError
from tests.reporting.fakes import distilled
from tests.reporting.page_tree import content, parse, rows
from tests.reporting.results import draw_figures, write_animation, write_report, write_results

CONFIG = {
    "preset": "smoke",
    "grid": {"datasets": ["cifar10"], "methods": ["random", "bacon"], "ipc": [1, 10], "seeds": 2},
    "overrides": {"cifar10/bacon/ipc10/seed1": {"evaluation": {"lr_net": 0.05}}},
}
HOSTILE = "</td><script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;"


@pytest.fixture
def plan(tmp_path):
    return write_results(tmp_path, CONFIG)


@pytest.fixture
def page(plan):
    return parse(write_report(plan).read_text())


def by_id(page, name):
    (found,) = [element for element in page.iter() if element.get("id") == name]
    return found


def by_class(element, name):
    return [one for one in element.iter() if name in one.get("class", "").split()]


def test_data_sets_are_shown_with_what_is_odd_about_them(plan):
    images, labels = np.zeros((6, 3, 4, 4), np.uint8), np.arange(6) % 3
    made = ImageDataset(
        name="cifar10",
        train_images=images,
        train_labels=labels,
        test_images=images[:2],
        test_labels=labels[:2],
        class_names=("a", "b", "c"),
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
        fingerprint=plan.data_fingerprint("cifar10"),
        warnings=("no test images of class 'c'", HOSTILE),
    )
    path = plan.directory / plan.data_path(plan.cells[0])
    path.parent.mkdir(parents=True)
    write_dataset(path, made)
    shown = content(by_id(parse(write_report(plan).read_text()), "data"))
    assert "CIFAR-10" in shown
    assert "3 x 4 x 4 pixels, 3 classes, 6 training and 2 test images" in shown
    assert "Warning: no test images of class 'c'" in shown
    assert HOSTILE in shown


def test_nothing_is_fetched_from_outside(page):
    addresses = [(one.tag, one.get("src")) for one in page.iter() if one.get("src") is not None]
    assert {tag for tag, _ in addresses} == {"img"}
    assert all(address.startswith("data:image/webp;base64,") for _, address in addresses)
    links = [one.get("href") for one in page.iter() if one.get("href") is not None]
    assert len(links) > 20
    assert not [link for link in links if re.match(r"\w+:|//|/", link) and link != "data:,"]
    style = next(page.iter("style")).text
    assert "url(" not in style
    assert "@import" not in style


def test_the_policy_allows_this_style_and_this_program_alone(page):
    policies = [one.get("content") for one in page.iter("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    (policy,) = policies
    for tag, name in (("style", "style-src"), ("script", "script-src")):
        # Blocks of data are not run.
        (element,) = (one for one in page.iter(tag) if one.get("type") != "application/json")
        digest = base64.b64encode(hashlib.sha256(element.text.encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")
    attributes = {name for element in page.iter() for name in element.attrib}
    assert not [name for name in attributes if name == "style" or name.startswith("on")], "the policy refuses them"


def test_the_answer_comes_first_with_mean_sd_n_and_published(page):
    first = next(page.iter("section"))
    assert first.get("id") == "answer"
    table = by_id(page, "accuracy-0")
    # BACON, IPC 10: 80, 82 and 81, 83 percent: seed means 81 and 82, t(0.975, 1) = 12.7: 81.5 ± 12.7 * 0.5. Variance within
    # seeds 2, of their means 0.5, less than the 2 / 2 that networks alone explain: sd 0 over seeds, 1.4 over networks.
    within = "0.0 / 1.4"
    assert rows(table) == [
        ["", "IPC 1", "IPC 10"],
        ["Method", *["ours", "sd", "published", "gap"] * 2],
        ["Full data set", *["91.0 [78.3, 100.0] (2)", "– / 1.4", "84.8", "+6.2"] * 2],  # noqa: RUF001
        [
            "Random",
            "31.5 [25.1, 37.9] (4)",
            within,
            "14.4*",
            "+17.1",
            "51.5 [45.1, 57.9] (4)",
            within,
            "26.0*",
            "+25.5",
        ],
        [
            "BACON",
            "61.5 [55.1, 67.9] (4)",
            within,
            "45.62†*",
            "+15.9",
            "81.5 [75.1, 87.9] (4)",
            within,
            "62.06†*",
            "+19.4",
        ],
    ]
    assert [content(one) for one in table.iter("strong")] == ["61.5 [55.1, 67.9] (4)", "81.5 [75.1, 87.9] (4)"]
    text = content(first)
    # Every seed differs by the same: no test. Of the variance between seeds nothing is left beside that of the networks.
    full = "91.0 [78.3, 100.0] (2)"
    assert rows(by_id(page, "best"))[1:] == [
        ["CIFAR-10, IPC 1", "BACON", "61.5 [55.1, 67.9] (4)", "none", "0 of 1; no test of 1", full],
        ["CIFAR-10, IPC 10", "BACON", "81.5 [75.1, 87.9] (4)", "none", "0 of 1; no test of 1", full],
    ]
    assert "8 distilled sets, on which 16 networks were trained and tested." in text
    assert "2 of 2 comparisons with the best method allow no test" in text
    assert f"n = 4 networks (2 distillation seeds {TIMES} 2 evaluation seeds)" in text
    assert "100 epochs, SGD lr 0.01" in text
    assert "BACON README @9c3f7af" in text


def test_protocols_are_not_mixed(tmp_path):
    """Cells and the answer show one protocol; a cell's details, the others too."""
    grid = {
        "datasets": ["cifar10"],
        "methods": ["random", "dm"],
        "ipc": [1],
        "seeds": 1,
        "protocols": ["paper", "p-idc"],
    }
    plan = write_results(tmp_path, {"preset": "smoke", "grid": grid})
    text = write_report(plan).read_text()
    assert text.isascii(), "browsers read it in half the time"
    page = parse(text)
    assert "n = 2 networks (1 distillation seed" in content(by_id(page, "answer"))
    cell = by_id(page, "cifar10/dm/ipc1/seed0")
    assert rows(cell)[0][5] == "41.0 ± 1.4 (2)"
    text = content(cell)
    assert "convnet, paper: 41.0 ± 1.4 (2)" in text
    assert "convnet, P-IDC: 41.0 ± 1.4 (2)" in text
    assert [row[6] for row in rows(by_id(page, "results-table"))[1:]] == ["paper", "paper", "P-IDC", "P-IDC"]


def test_many_cells_share_what_their_first_seed_shows(plan, monkeypatch):
    """All eight cells are many here; one has a setting of its own."""
    for module in ("views", "make_report"):
        monkeypatch.setattr(f"bacon.reporting.page.{module}.MANY_CELLS", 7)
    page = parse(write_report(plan).read_text())
    assert len(list(by_id(page, "cells").iter("img"))) == 4, "one for each method and IPC"
    first, second = (by_id(page, f"cifar10/bacon/ipc10/seed{seed}") for seed in (0, 1))
    assert len(rows(by_class(first, "settings")[0])) > 20
    assert rows(by_class(second, "settings")[0])[1:] == [
        ["evaluation.lr_net", "0.05", "overrides[cifar10/bacon/ipc10/seed1]"]
    ]
    (alike,) = [one for one in second.iter("a") if content(one) == "cifar10/bacon/ipc10/seed0"]
    assert alike.get("href") == "#cifar10/bacon/ipc10/seed0"
    fold = by_id(page, "all-cells")
    assert content(fold.find("summary")) == "All 9 cells"
    assert fold.get("open") is None


def test_notes_that_all_tables_share_stand_once_beneath_the_last(accuracy_of, published):
    accuracy = accuracy_of()
    (alone,) = answer_tables(accuracy, summarise(accuracy, published))
    both = pd.concat([accuracy, accuracy.assign(dataset="other", dataset_title="Other")], ignore_index=True)
    first, last = answer_tables(both, summarise(both, published))
    shared = [note.removeprefix("Both tables: ") for note in last.notes if note.startswith("Both tables: ")]
    assert len(shared) >= 3
    assert not set(shared) & set(first.notes)
    assert set(first.notes) | set(shared) == set(alone.notes)
    assert not any(note.startswith("All") for note in alone.notes)


def test_numbers_are_sorted_by_value_and_headings_have_a_scope(page):
    table = by_id(page, "accuracy-0")
    bacon = next(row for row in table.iter("tr") if content(row).startswith("BACON"))
    assert [float(cell.get("data-sort")) for cell in bacon.iter("td")] == pytest.approx(
        [61.5, 1.291, 45.62, 15.88, 81.5, 1.291, 62.06, 19.44], abs=1e-3
    )
    assert {heading.get("scope") for heading in page.iter("th")} == {"col", "colgroup", "row"}
    for table in page.iter("table"):
        for row in [row for body in table.iter("tbody") for row in body if row.get("class") != "detail"]:
            assert row[0].get("scope") == "row"


def test_every_cell_is_there_with_its_settings_and_their_layers(plan, page):
    table = by_id(page, "cells-table")
    bodies = [one for one in table if one.tag == "tbody"]
    cells = (*plan.references, *plan.cells)
    assert [unquote(body.get("id")) for body in bodies] == [str(cell) for cell in cells]
    for cell, body in zip(cells, bodies, strict=True):
        (settings,) = by_class(body, "settings")
        expected = [
            [key, value if isinstance(value, str) else json.dumps(value), layer]
            for key, value, layer in plan.resolved(cell).rows()
        ]
        assert rows(settings) == [["Key", "Value", "Layer"], *expected]
    text = content(by_id(page, "cifar10/bacon/ipc10/seed1"))
    assert "evaluation.lr_net 0.05 overrides[cifar10/bacon/ipc10/seed1]" in text


def test_a_cell_says_where_it_comes_from(plan, page):
    cell = next(cell for cell in plan.cells if str(cell) == "cifar10/bacon/ipc10/seed1")
    body = by_id(page, str(cell))
    assert rows(body)[0][:8] == [str(cell), "CIFAR-10", "BACON", "10", "1", "82.0 ± 1.4 (2)", "21.0 s", "3.0 s"]
    text = content(body)
    for expected in (
        "convnet: 82.0 ± 1.4 (2)", "by evaluation seed 81.00, 83.00", "iterations 200 (10 per second)", "peak memory 512 MiB",
        "host node-7, threads used: 2 of 8", "Python 3.11.7, torch 2.14.1", "commit 0123abc", "device CPU (test)",
        plan.distilled_fingerprint(cell), plan.evaluation_fingerprint(cell, "convnet"),
    ):  # fmt: skip
        assert expected in text, expected
    assert "iterations" not in content(by_id(page, "cifar10/random/ipc1/seed0")).split("Settings")[0].replace(
        "Iteration", ""
    )


def test_links_lead_to_the_files_beside_the_page(plan, page, tmp_path):
    def targets(tree):
        return {unquote(one.get("href")) for one in tree.iter("a") if not one.get("href").startswith("#")}

    linked = targets(page)
    for cell in plan.cells:
        for file in (
            cell.distilled_path,
            cell.distill_log,
            cell.evaluate_log("convnet"),
            cell.evaluation_path("convnet"),
        ):
            assert str(file.relative_to("results")) in linked
    assert all((tmp_path / "results" / name).is_file() for name in linked)
    removed = plan.cells[0].distill_log
    (tmp_path / removed).unlink()
    elsewhere = write_report(plan, tmp_path / "shared" / "report.html")
    again = targets(parse(elsewhere.read_text()))
    assert f"../{removed}" not in again
    assert f"../{plan.cells[1].distill_log}" in again
    assert all((tmp_path / "shared" / name).resolve().is_file() for name in again)


def test_hostile_texts_stay_texts(tmp_path):
    """Titles, hosts, devices and class names come from outside; none may become markup."""
    plan = write_results(
        tmp_path,
        CONFIG | {"data": {"cifar10": {"title": HOSTILE}}},
        provenance={"host": HOSTILE, "device": HOSTILE, "commit": HOSTILE, "packages": {HOSTILE: HOSTILE}},
    )
    for cell in plan.cells:
        with h5py.File(tmp_path / cell.distilled_path, "r+") as file:
            file.attrs["class_names"] = json.dumps([f"{HOSTILE}{label}" for label in range(10)])
    page = parse(write_report(plan).read_text())
    programs = [one for one in page.iter("script") if one.get("type") != "application/json"]
    data = [content(one) for one in page.iter("script") if one not in programs]
    assert len(programs) == 1
    assert all(re.fullmatch(r"[\[\]\d,\-nul ]*", one) for one in data), "numbers alone"
    assert not [one for one in page.iter() if "onerror" in one.attrib or one.get("src") == "x"]
    assert content(next(page.iter("h1"))) == f"Dataset distillation: {HOSTILE}"
    cell = by_id(page, "cifar10/bacon/ipc1/seed0")
    assert f"host {HOSTILE}, threads used" in content(cell)
    (image,) = cell.iter("img")
    assert f"{HOSTILE}9" in image.get("alt")


def test_every_image_has_words_and_a_size(plan, page):
    images = list(page.iter("img"))
    moving = sum("gif" in figure.kinds for figure in drawn(plan))
    assert moving >= 2
    assert len(images) == len(drawn(plan)) + moving + len(plan.cells)
    for image in images:
        assert len(image.get("alt")) > 20
        assert int(image.get("width")) > 100
        assert int(image.get("height")) > 10
        assert image.get("loading") == "lazy"


def test_a_figure_too_tall_for_a_screen_is_folded(plan):
    path = plan.directory / "results/figures/accuracy.png"
    information = PngImagePlugin.PngInfo()
    information.add_text("Fingerprint", aggregate_fingerprint(plan, "figures", PUBLISHED))
    Image.new("RGB", (400, 801), "white").save(path, pnginfo=information)
    page = parse(write_report(plan).read_text())
    (fold,) = by_class(by_id(page, "figures"), "fold")
    assert content(fold.find("summary")) == "Title of accuracy"
    assert [image.get("class") for image in fold.iter("img")] == ["plot tall"]


def test_every_further_table_is_there_and_sorts_by_its_numbers(plan, page):
    further = [table for name, table in report_tables(plan, published=PUBLISHED).items() if name != "summary"]
    parts = [(table, grid) for table in further for grid, _ in table.grids]
    shown = list(by_id(page, "tables").iter("table"))
    assert len(shown) == len(parts) >= 4
    for element, (_, grid) in zip(shown, parts, strict=True):
        assert rows(element)[-len(grid.rows) :] == [[" ".join(text.split()) for text in row] for row in grid.rows]
    cost = next(one for one in shown if "Iterations/s" in rows(one)[0])
    bacon = [row for row in cost.iter("tr") if content(row).startswith("BACON")]
    assert [float(row[5].get("data-sort")) for row in bacon] == [10.0, 10.0]
    random = next(row for row in cost.iter("tr") if content(row).startswith("Random"))
    assert random[5].get("data-sort") is None, "no rate where there is no iteration"


def test_tables_with_nothing_to_show_are_named_with_the_reason(tmp_path):
    grid = CONFIG["grid"] | {"datasets": ["digits"], "methods": ["bacon"], "ipc": [2]}
    page = parse(write_report(write_results(tmp_path, {"preset": "smoke", "grid": grid})).read_text())
    text = content(by_id(page, "tables"))
    said = text.split("Tables with nothing to show for this grid ")[1]
    for reason in (
        "Methods compared There is only one method: nothing to compare it with.",
        "Ours against published Nothing is published for",
        "The paper's Table 1 and ours The grid has none of its cells: it covers SVHN, CIFAR-10, CIFAR-100, TinyImageNet",
    ):  # fmt: skip
        assert reason in said
    assert "Every trained network" not in text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("90.7 [90.0, 91.4] (15)", 90.7), ("+3.1*", 3.1), ("−3.1", -3.1), ("45.62†", 45.62), ("< 0.001", 0.001),  # noqa: RUF001
        ("2.5e-05", 2.5e-5), ("–", None), ("", None), ("BACON", None), ("3-NN", None), ("1/2", None), ("28x28", None),  # noqa: RUF001
    ],
)  # fmt: skip
def test_the_number_that_an_entry_begins_with(text, value):
    assert number(text) == value


def test_a_pair_without_a_test_leaves_its_column_one_of_numbers():
    grid = Grid(
        title="t", groups=(), columns=("Methods", "p"), rows=(("a", "undefined"), ("b", "<0.001"), ("c", "0.020"))
    )
    (table,) = grid_tables("comparisons", ReportTable(title="t", frame=pd.DataFrame(), notes=[], grids=[(grid, [])]))
    assert table.columns[1].numeric
    assert [row[1].sort for row in table.rows] == [None, 0.001, 0.02]


def test_a_pair_without_a_test_is_on_the_page(page):
    """BACON is 30 points above random for every seed: the same difference, and no test."""
    assert rows(by_id(page, "comparisons-0"))[2:] == [["BACON", "+30.0", "undefined", "+30.0", "undefined"]]
    best = rows(by_id(page, "comparisons-1"))
    assert best[0] == ["", "IPC 1: BACON", "IPC 10: BACON"]
    assert best[2:] == [["Random", "-30.0", "undefined", "-30.0", "undefined"], ["BACON", "best", "", "best", ""]]
    assert "p is undefined where no test is possible" in content(by_id(page, "tables"))


def test_the_same_results_give_the_same_bytes(plan):
    first = write_report(plan).read_bytes()
    assert write_report(plan).read_bytes() == first


class TestPictures:
    """The few images of a cell."""

    @staticmethod
    def decoded(picture):
        kind, _, encoded = picture.uri.partition(",")
        assert kind == "data:image/webp;base64"
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("L")).astype(float)

    def test_columns_are_classes_and_rows_their_images(self, tmp_path):
        plan = write_results(tmp_path, CONFIG)
        cell = next(cell for cell in plan.cells if cell.ipc == 10)
        picture, caption = cell_picture(expected_distilled(plan, cell))
        pixels = self.decoded(picture)
        assert pixels.shape == (10 * 9 - 1, 10 * 9 - 1)
        for label in range(10):
            column = pixels[:, 9 * label : 9 * label + 8]
            assert np.median(column) == pytest.approx(25.5 * label, abs=12)  # half the step between two classes
        assert (picture.shown_width, picture.shown_height) == (7 * 89, 7 * 89)
        assert caption.startswith("Columns, left to right: class 0, class 1, ")

    def test_an_animation_is_in_the_page_frame_by_frame(self, plan):
        page = parse(write_report(plan).read_text())
        details = list(by_id(page, "figures").iter("details"))
        assert [content(one.find("summary")) for one in details] == ["Show the animation"] * 2
        assert all(one.get("open") is None for one in details), "nothing moves unasked"
        encoded = details[0].find("img").get("src").partition(",")[2]
        with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
            assert (image.format, image.size, image.n_frames) == ("WEBP", (300, 200), 3)
            shades, durations = [], []
            for place in range(3):
                image.seek(place)
                image.load()
                shades.append(int(np.asarray(image.convert("L")).mean()))
                durations.append(image.info["duration"])
        assert shades == [0, 128, 255]
        assert durations == [600, 600, 2000]

    def test_animations_beyond_their_room_are_linked_alone(self, plan, monkeypatch):
        page = parse(write_report(plan).read_text())
        first, second = (one.find("img").get("src") for one in page.iter("details"))
        monkeypatch.setattr("bacon.reporting.page.figure_entries.ANIMATION_BYTES", len(first) + len(second) - 1)
        page = parse(write_report(plan).read_text())
        assert [one.find("img").get("src") for one in page.iter("details")] == [first]
        linked = [one.get("href") for one in page.iter("a") if content(one) == "gif"]
        assert linked == [f"figures/evolution_cifar10_ipc{ipc}.gif" for ipc in (1, 10)]

    def test_many_classes_and_large_images_are_thinned(self, tmp_path):
        images = np.zeros((200, 1, 64, 64))
        images[::2] = 0.5
        expected = distilled(tmp_path, images, ipc=2, class_names=json.dumps([str(label) for label in range(100)]))
        picture, caption = cell_picture(expected)
        assert self.decoded(picture).shape == (2 * 65 - 1, 10 * 65 - 1)
        assert "Columns, left to right: 0, 11, 22, 33, 44, 55, 66, 77, 88, 99." in caption
        assert "10 of 100 classes, evenly spaced." in caption

    def test_many_images_per_class_are_cut(self, tmp_path):
        picture, caption = cell_picture(distilled(tmp_path, np.zeros((300, 3, 64, 64)), ipc=30, partition=2))
        assert self.decoded(picture).shape[0] <= MAX_HEIGHT
        assert "The first 3 of 30 images per class." in caption
        assert f"Each stored image holds 2 {TIMES} 2 smaller ones." in caption


class TestBadInput:
    """Each error names the file and what to do, and the page that was there stays."""

    @pytest.fixture
    def refused(self, plan):
        before = write_report(plan).read_bytes()

        def check(pattern):
            with pytest.raises(BaconError, match=pattern):
                write_report(plan)
            assert (plan.directory / "results/report.html").read_bytes() == before

        return check

    def test_a_figure_is_missing(self, plan, refused):
        (plan.directory / "results/figures/curve.png").unlink()
        refused(r"curve\.png: the figure is missing\. Run `snakemake`")

    def test_a_figure_is_no_image(self, plan, refused):
        (plan.directory / "results/figures/curve.png").write_bytes(b"not a png")
        refused(r"curve\.png: not a readable image")

    def test_an_animation_is_missing_or_no_animation_or_old(self, plan, refused):
        path = plan.directory / "results/figures/evolution_cifar10_ipc1.gif"
        path.unlink()
        refused(r"ipc1\.gif: the animation is missing\. Run `snakemake`")
        path.write_bytes(b"not a gif")
        refused(r"ipc1\.gif: not a readable animation")
        write_animation(path, "old")
        refused(r"ipc1\.gif: out of date\. It carries the fingerprint 'old'")

    def test_a_figure_is_cut_off(self, plan, refused):
        path = plan.directory / "results/figures/curve.png"
        path.write_bytes(path.read_bytes()[:-30])
        refused(r"curve\.png: not a readable image")

    def test_a_figure_is_out_of_date(self, plan, refused):
        draw_figures(plan, fingerprint="0" * 32)
        refused(r"accuracy\.png: out of date\. It carries the fingerprint '0000")

    def test_an_evaluation_is_missing(self, plan, refused):
        (plan.directory / plan.cells[0].evaluation_path("convnet")).unlink()
        refused(r"random/ipc1/seed0/convnet\.json: the evaluation is missing")

    @pytest.mark.parametrize("key", ["host", "packages", "commit"])
    def test_an_evaluation_does_not_say_where_it_comes_from(self, plan, refused, key):
        path = plan.directory / plan.cells[0].evaluation_path("convnet")
        content = json.loads(path.read_text())
        del content["provenance"][key]
        path.write_text(json.dumps(content))
        refused(rf"seed0/convnet\.json: .*{key}")

    def test_a_distilled_set_is_out_of_date(self, plan, refused):
        with h5py.File(plan.directory / plan.cells[0].distilled_path, "r+") as file:
            file.attrs["fingerprint"] = "0" * 32
        refused(r"random/ipc1/seed0\.h5: out of date")

    @pytest.mark.parametrize("provenance", ["{not json", "[]", '{"packages": 3}'])
    def test_a_distilled_set_has_a_damaged_provenance(self, plan, refused, provenance):
        with h5py.File(plan.directory / plan.cells[0].distilled_path, "r+") as file:
            file.attrs["provenance"] = provenance
        refused(r"random/ipc1/seed0\.h5: its provenance is not complete")

    def test_a_distilled_set_has_no_images(self, plan, refused):
        with h5py.File(plan.directory / plan.cells[0].distilled_path, "r+") as file:
            del file["images"]
        refused(r"random/ipc1/seed0\.h5: not a complete distilled set")


def test_bacon_report_writes_the_page_of_the_working_directory(plan, monkeypatch):
    monkeypatch.chdir(plan.directory)
    (plan.directory / "grid.json").write_text(json.dumps(CONFIG))
    done = CliRunner().invoke(main, ["report", "--config", "grid.json"])
    assert done.exit_code == 0, done.output
    assert done.output.startswith("wrote results/report.html: 8 cells, ")
    assert (plan.directory / "results/report.html").read_bytes() == write_report(plan).read_bytes()
    elsewhere = CliRunner().invoke(main, ["report", "--config", "grid.json", "--output", "other/page.html"])
    assert elsewhere.exit_code == 0, elsewhere.output
    assert parse((plan.directory / "other/page.html").read_text()) is not None
    (plan.directory / plan.cells[0].distilled_path).unlink()
    refused = CliRunner().invoke(main, ["report", "--config", "grid.json"])
    assert refused.exit_code == 1
    assert "the distilled set is missing" in refused.output


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (119.94, "119.9 s"), (120, "2.0 min"), (7199, "120.0 min"), (7200, "2.0 h")]
)
def test_times_as_people_say_them(seconds, text):
    assert duration_text(seconds) == text
