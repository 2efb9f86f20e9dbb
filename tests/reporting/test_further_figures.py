"""Cost, time, classes, evaluation networks, queue, evolution and nearest images: what the figures show, from known contents."""

from __future__ import annotations

import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from PIL import Image

from bacon.reporting.collect.classes import ClassResults, collect_classes
from bacon.reporting.collect.distilled_files import collect_cost, collect_history, read_images
from bacon.reporting.collect.evaluations import collect_accuracy
from bacon.reporting.collect.nearest import ExpectedDataset, join, reduce_by, split
from bacon.reporting.collect.pareto_points import pareto_front
from bacon.reporting.collect.protocol_text import TIMES
from bacon.reporting.collect.sensitivity_study import Point
from bacon.reporting.collect.shown_snapshots import read_snapshots, spread
from bacon.reporting.collect.summary import summarise
from bacon.reporting.figures import heatmap
from bacon.reporting.figures.canvas import CAPTION_SIZE, FigurePage, interval_arms, wrap_caption
from bacon.reporting.figures.curve import SECONDS, curve_figure, figure3, with_seconds
from bacon.reporting.figures.embedding import _name_classes
from bacon.reporting.figures.evolution import _caption as _strip_caption
from bacon.reporting.figures.evolution import evolution_pages, write_gif
from bacon.reporting.figures.heatmap import classes_figure, confusion_figure, cross_architecture_figure
from bacon.reporting.figures.images import images_figure
from bacon.reporting.figures.loss import _logarithmic
from bacon.reporting.figures.pareto import cost_figure
from bacon.reporting.figures.queue import queue_figure
from bacon.reporting.figures.sensitivity import sensitivity_figure
from bacon.reporting.figures.style import figure_style, method_style
from bacon.reporting.tables.cost_tables import summarise_cost
from bacon.reporting.tables.cross_tables import cross_architecture
from bacon.runtime.errors import BaconError
from tests.reporting.fakes import distilled, evaluation, record
from tests.reporting.test_figures import drawn_texts, texts, visible

IMAGES = np.linspace(-0.5, 1.5, 20 * 16).reshape(20, 1, 4, 4)


@pytest.fixture
def cost(tmp_path):
    """Distilled sets that go with ``accuracy_of``: IPC 1 and 10, random in 0.5 s, BACON in 20 and 30 s for 200 iterations."""
    images, made = np.zeros((10, 1, 4, 4)), []
    for ipc in (1, 10):
        for seed in (0, 1):
            stored = images.repeat(ipc, 0)
            made.append(
                distilled(tmp_path, stored, ipc=ipc, seed=seed, method="random", iterations=0, wall_seconds=0.5)
            )
            made.append(distilled(tmp_path, stored, ipc=ipc, seed=seed, wall_seconds=20.0 + 10 * seed))
    return collect_cost(made)


def test_seconds_are_the_mean_time_of_the_iterations(accuracy_of, cost):
    table = with_seconds(accuracy_of(), cost)
    bacon = table[table["method"] == "bacon"]
    # 25 s of mean wall time for 200 iterations.
    assert set(bacon.loc[bacon["final"], "seconds"]) == {25.0}
    assert set(bacon.loc[~bacon["final"], "seconds"]) == {0.0}
    assert (table.loc[table["method"] != "bacon", "seconds"] == 0).all()
    figure = curve_figure(table, abscissa=SECONDS)
    (curve,) = [line for line in visible(figure)[0].lines if line.get_marker() == "D"]
    np.testing.assert_allclose(curve.get_xdata(), [0, 25])
    assert visible(figure)[0].get_xlabel() == "Distillation time (s)"


def test_pareto_front():
    assert pareto_front([3.0, 1.0, 2.0, 4.0], [80.0, 50.0, 40.0, 70.0]) == [1, 0]
    assert pareto_front([1.0, 1.0], [50.0, 60.0]) == [1]


def test_cost_figure(accuracy_of, cost, published):
    accuracy = accuracy_of()
    figure = cost_figure(summarise(accuracy, published), summarise_cost(cost), accuracy)
    first = visible(figure)[0]
    points = {to_hex(one.lines[0].get_color()): one.lines[0].get_xydata()[0] for one in first.containers}
    np.testing.assert_allclose(points[method_style("bacon").colour.lower()], [25.0, 51.5])
    np.testing.assert_allclose(points[method_style("random").colour.lower()], [0.5, 31.5])
    (front,) = [line for line in first.lines if line.get_drawstyle() == "steps-post"]
    np.testing.assert_allclose(front.get_xydata(), [[0.5, 31.5], [25.0, 51.5]])
    assert first.get_xscale() == "log"
    assert "95 % confidence interval" in figure.caption


def test_error_bars_end_where_the_interval_ends():
    table = pd.DataFrame(
        {
            "mean_percent": [98.0, 50.0, 100.0 + 1e-12],
            "ci_low": [93.0, np.nan, 100.0],
            "ci_high": [100.0, np.nan, 100.0],
        }
    )
    np.testing.assert_allclose(interval_arms(table), [[5, 0, 0], [2, 0, 0]], atol=1e-9)
    assert (interval_arms(table) >= 0).all(), "matplotlib refuses others"


def test_figure_3_has_published_end_points(accuracy_of, published):
    accuracy = accuracy_of("cifar10")
    figure = figure3(pd.concat([accuracy, accuracy_of("svhn")]), summarise(accuracy, published))
    assert [ax.get_title() for ax in visible(figure)] == ["CIFAR-10, IPC 1", "CIFAR-10, IPC 10"]
    stars = [line for line in visible(figure)[1].lines if line.get_marker() == "*"]
    found = {to_hex(line.get_markeredgecolor()): line.get_xydata()[0].tolist() for line in stars}
    assert found == {
        method_style("bacon").colour.lower(): [200, 62.06],
        method_style("random").colour.lower(): [200, 26.0],
    }
    assert "20,000 iterations" in figure.caption
    for ax in visible(figure):
        low, high = ax.get_ylim()
        assert all(low < line.get_ydata()[0] < high for line in ax.lines if line.get_marker() == "*")


def test_figure_3_leaves_out_what_has_no_published_number(tmp_path, published):
    def made(method, accuracy):
        records = [record(0, 0, 0.2, final=False), record(200, 0, accuracy), record(200, 1, accuracy)]
        return evaluation(tmp_path, records, dataset="cifar10", method=method, ipc=1)

    accuracy = collect_accuracy([made("bacon", 0.40), made("bacon-lambda0", 0.39)])
    figure = figure3(accuracy, summarise(accuracy, published))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["BACON", "Published"]


def test_a_star_does_not_cover_the_words_beside_it(tmp_path, published):
    """The full set off the scale of curves that end at 40 percent, and a star at 45.62: as it came out once."""
    accuracy = collect_accuracy(
        [
            evaluation(tmp_path, [record(0, one, 0.97) for one in (0, 1)], dataset="cifar10", method="full", ipc=None,
                       seed=None),
            evaluation(tmp_path, [record(0, 0, 0.2, final=False), record(200, 0, 0.4), record(200, 1, 0.41)],
                       dataset="cifar10", ipc=1),
        ]
    )  # fmt: skip
    with figure_style():
        figure = figure3(accuracy, summarise(accuracy, published))
        figure.canvas.draw()
        (ax,) = visible(figure)
        (words,) = [text for text in ax.texts if "off scale" in text.get_text()]
        (star,) = [line for line in ax.lines if line.get_marker() == "*"]
        bottom = words.get_window_extent(figure.canvas.get_renderer()).y0
        middle = ax.transData.transform(star.get_xydata()[0])[1]
        points = figure.dpi / 72
        assert middle + 0.5 * star.get_markersize() * points < bottom


def test_an_n_is_not_torn_from_its_number():
    text = "Mean over n = 15 networks of all seeds, n = 3 of each."
    for width in np.arange(1.2, 4, 0.1):
        wrapped = wrap_caption(text, width)
        assert "n = 15" in wrapped
        assert "n = 3" in wrapped
        assert " ".join(wrapped.split()) == text


@pytest.mark.parametrize(
    "text",
    [
        "DCC, DSAC, IDC, DREAM, DM, IDM, CAFE, CAFE+DSA, DATADAM, DM+IID, IDM+IID, DANCE, NCFM, BACON " * 4,
        "WM" * 80,
        "ill " * 99,
    ],
)
@pytest.mark.parametrize("width", [1.5, 5.1])
def test_a_caption_stays_within_its_figure(text, width):
    figure = FigurePage(figsize=(width, 3), dpi=200)
    wrapped = wrap_caption(text, width)
    drawn = figure.text(0.08 / width, 0.02, wrapped, fontsize=CAPTION_SIZE)
    assert drawn.get_window_extent(FigureCanvasAgg(figure).get_renderer()).x1 <= 200 * width
    assert "".join(wrapped.split()) == "".join(text.split())


@pytest.fixture
def classes(tmp_path):
    """Full set and DM with two networks each; DM's second class is taken for the first in a quarter of the cases."""

    def made(method, ipc, seed, confusion):
        records = [record(0, one, 0.9) | {"confusion": confusion} for one in (0, 1)]
        return evaluation(tmp_path, records, method=method, ipc=ipc, seed=seed)

    return [made("full", None, None, [[4, 0], [0, 4]]), made("dm", 1, 0, [[4, 0], [1, 3]]),
            made("dm", 1, 1, [[4, 0], [1, 3]])]  # fmt: skip


def test_classes_and_confusion(classes, accuracy_of):
    names = {"digits": ("zero", "one")}
    full, dm = collect_classes(classes, class_names=names, network="convnet")
    assert (full.networks, dm.networks) == (2, 4)
    np.testing.assert_allclose(dm.confusion, [[16, 0], [4, 12]])
    np.testing.assert_allclose(dm.class_accuracy, [100, 75])
    accuracy = accuracy_of()
    (ax,) = visible(classes_figure([full, dm], accuracy))
    assert [text.get_text() for text in ax.texts] == ["100.0", "100.0", "100.0", "75.0"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["Full data set", "DM"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["zero", "one"]
    figure = confusion_figure([full, dm], accuracy)
    assert [text.get_text() for text in visible(figure)[1].texts] == ["100", "", "25", "75"]
    assert "n = 2 to 4 networks" in texts(figure)
    rows = [[label.get_text() for label in ax.get_yticklabels()] for ax in visible(figure)]
    assert rows == [["zero", "one"], []], "named once, beside the first"
    with pytest.raises(BaconError, match=r"confusion of shape \(2, 2\)"):
        collect_classes(classes, class_names={"digits": ("a", "b", "c")}, network="convnet")


def test_confusions_of_many_methods_stand_in_rows_of_five(classes, accuracy_of):
    full, dm = collect_classes(classes, class_names={"digits": ("zero", "one")}, network="convnet")
    figure = confusion_figure(
        [full, *[replace(dm, method_title=f"variant {place}") for place in range(6)]], accuracy_of()
    )
    shown = visible(figure)
    assert [ax.get_title().splitlines()[1] for ax in shown] == [
        "Full data set",
        *(f"variant {one}" for one in range(6)),
    ]
    tops = [round(ax.get_subplotspec().rowspan.start) for ax in shown]
    assert tops == [0] * 5 + [1] * 2
    assert [len(ax.get_yticklabels()) for ax in shown] == [2, 0, 0, 0, 0, 2, 0]


def test_numbers_on_a_heat_map_are_readable_on_every_colour():
    """By WCAG's formula, written out here again: black on white has contrast 21, and 4.5 is the least for small text."""
    with figure_style():
        ax = Figure().subplots()
        heatmap._map(ax, np.linspace(0, 100, 30).reshape(3, 10), list("abcdefghij"), list("xyz"), level=4)
    cells = ax.collections[0].get_facecolor()

    def light(colour):
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour))
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05

    assert len(ax.texts) == len(cells) == 30
    for number, cell in zip(ax.texts, cells, strict=True):
        pair = sorted([light(number.get_color()), light(cell)])
        assert pair[1] / pair[0] >= 4.5, number.get_text()


def test_evaluation_networks_as_a_heat_map(tmp_path, published):
    made = [
        evaluation(tmp_path, [record(0, 0, base)], method=method, ipc=ipc, seed=seed, network=network)
        for method, ipc, seed in (("full", None, None), ("dm", 1, 0), ("bacon", 1, 0))
        for network, base in (("convnet", 0.5), ("mlp", 0.4))
    ]
    accuracy = collect_accuracy(made)
    (ax,) = visible(cross_architecture_figure(cross_architecture(summarise(accuracy, published)), accuracy))
    assert [text.get_text() for text in ax.texts] == ["50.0", "40.0"] * 3
    assert [label.get_text() for label in ax.get_yticklabels()] == ["Full data set", "DM", "BACON"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["convnet", "mlp"]
    assert {label.get_rotation() for label in ax.get_xticklabels()} == {0}, "short names stand level"


def test_queue_figure(tmp_path):
    history = {"iteration": np.arange(4), "loss": np.ones(4), "queue_accuracy": np.array([0.0, 20, 40, 60])}
    cells = [distilled(tmp_path, IMAGES, ipc=2, seed=seed, history=history) for seed in (0, 1)]
    (ax,) = visible(figure := queue_figure(collect_history(cells)))
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [0, 20, 40, 60])
    assert "n = 2 distillation seeds" in texts(figure)


@pytest.fixture
def moving(tmp_path):
    snapshots = {0: IMAGES[::-1], 100: IMAGES * 0, 200: IMAGES}
    return [distilled(tmp_path, IMAGES, ipc=2, method=name, snapshots=snapshots) for name in ("dm", "bacon")]


def test_snapshots_are_read_class_by_class(moving):
    found = read_snapshots(moving[0], classes=2, per_class=1)
    assert found.iterations == [0, 100, 200]
    assert found.names == ("0", "9")
    np.testing.assert_allclose(found.images[200], np.clip(0.25 + 0.5 * IMAGES[[0, 18]], 0, 1), rtol=1e-5)
    np.testing.assert_allclose(found.images[100], 0.25)
    assert spread(range(100), 3) == [0, 50, 99]
    assert spread([5], 3) == [5]


def test_evolution_has_every_method_and_snapshot(moving, tmp_path):
    with figure_style():
        strip, frames = evolution_pages(moving, title="Images during distillation: Digits, IPC 2")
        headings = [ax.get_title().split("\n")[-1] for ax in strip.axes]
        assert headings == ["0", "100", "200"] * 2
        assert [frame.title.split(", ")[-1] for frame in frames] == ["iteration 0", "iteration 100", "iteration 200"]
        write_gif(frames, tmp_path / "a.gif", fingerprint="fp")
        write_gif(frames, tmp_path / "b.gif", fingerprint="fp")
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 3
        assert gif.info["comment"] == b"fp"
        first = np.asarray(gif.convert("L"))
        gif.seek(1)
        assert np.abs(first.astype(int) - np.asarray(gif.convert("L"))).max() > 50


def real_images(folder, images, labels, fingerprint="data"):
    from bacon.datasets.store import ImageDataset, write_dataset

    path = folder / "data.h5"
    made = ImageDataset(
        name="d", train_images=images, train_labels=labels, test_images=images, test_labels=labels,
        class_names=("a", "b"), mean=(0.0,), std=(1.0,), fingerprint=fingerprint,
    )  # fmt: skip
    write_dataset(path, made)
    return ExpectedDataset(path=path, fingerprint="data")


def test_nearest_image_of_the_class_by_brute_force(tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    train, labels = random.integers(0, 256, (40, 1, 4, 4)).astype(np.uint8), np.arange(40) % 2
    real = real_images(tmp_path, train, labels)
    images, own = random.random((6, 1, 4, 4)).astype(np.float32), np.array([0, 0, 1, 1, 0, 1])
    monkeypatch.setattr("bacon.reporting.collect.nearest._BLOCK", 7)  # several blocks
    found = real.nearest(images, own, partition=1)
    for image, label, nearest in zip(images, own, found, strict=True):
        candidates = [one / 255 for one, other in zip(train, labels, strict=True) if other == label]
        best = min(candidates, key=lambda one: float(((one - image) ** 2).sum()))
        np.testing.assert_allclose(nearest, best, rtol=1e-5)


def test_nearest_of_a_partitioned_image_is_found_part_by_part(tmp_path):
    train = np.random.default_rng(1).integers(0, 256, (8, 1, 4, 4)).astype(np.uint8)
    real = real_images(tmp_path, train, np.zeros(8, np.int64))
    small = reduce_by(train.astype(np.float32) / 255, 2)
    stored = join(small[[3, 1, 6, 2]], 2)
    np.testing.assert_allclose(real.nearest(stored, np.zeros(1, np.int64), partition=2), stored, atol=1e-6)
    np.testing.assert_allclose(join(split(stored, 2), 2), stored)
    assert stored[0, 0, 0, 0] == small[3, 0, 0, 0]
    assert stored[0, 0, 0, 2] == small[1, 0, 0, 0]


def test_an_out_of_date_data_set_is_refused(tmp_path):
    train = np.zeros((2, 1, 4, 4), np.uint8)
    real = real_images(tmp_path, train, np.array([0, 1]), fingerprint="old")
    with pytest.raises(BaconError, match="'old'"):
        real.nearest(np.zeros((1, 1, 4, 4), np.float32), np.zeros(1, np.int64), partition=1)


def test_images_stand_beside_the_nearest_real_ones(moving, tmp_path):
    train = np.random.default_rng(2).integers(0, 256, (30, 1, 4, 4)).astype(np.uint8)
    real = real_images(tmp_path, train, np.arange(30) % 10)
    figure = images_figure(read_images(moving[0]), title="t", real=real)
    assert [ax.get_title() for ax in figure.axes[:3]] == ["iteration 0", "iteration 200", "nearest real"]
    assert "smallest Euclidean distance" in figure.caption


def test_no_text_is_clipped(accuracy_of, cost, published, classes, moving):
    accuracy = accuracy_of()
    results = collect_classes(classes, class_names={"digits": ("zero", "one")}, network="convnet")
    with figure_style():
        figures = [
            cost_figure(summarise(accuracy, published), summarise_cost(cost), accuracy),
            classes_figure(results, accuracy),
            confusion_figure(results, accuracy),
            evolution_pages(moving, title="Images during distillation: Digits, IPC 2")[0],
        ]
        for figure in figures:
            figure.canvas.draw()
            for text in drawn_texts(figure):
                box = text.get_window_extent(figure.canvas.get_renderer())
                assert box.x0 >= -1, text
                assert box.y0 >= -1, text
                assert box.x1 <= figure.bbox.width + 1, text
                assert box.y1 <= figure.bbox.height + 1, text


def test_sensitivity_has_a_curve_per_method_with_the_method_itself_filled(tmp_path, published):
    made = [
        evaluation(tmp_path, [record(200, 0, base), record(200, 1, base + 0.02)], method=method, ipc=1, seed=seed)
        for method, base in (("bacon", 0.5), ("bacon-0", 0.4), ("bacon-1", 0.45))
        for seed in (0, 1)
    ]
    accuracy = collect_accuracy(made)
    points = [
        Point(dataset="digits", ipc=1, base="bacon", base_title="BACON", key="k.lambda", method=method, value=value)
        for method, value in (("bacon", 0.8), ("bacon-0", 0.0), ("bacon-1", 1.0))
    ]
    (ax,) = visible(figure := sensitivity_figure(points, summarise(accuracy, published), accuracy))
    np.testing.assert_allclose(ax.containers[0].lines[0].get_xydata(), [[0, 41], [0.8, 51], [1, 46]])
    filled, opened = (line for line in ax.lines if line.get_linestyle() == "None" and line.get_marker() == "D")
    assert filled.get_xdata().tolist() == [0.8]
    assert opened.get_xdata().tolist() == [0.0, 1.0]
    assert opened.get_markerfacecolor() == "white"
    assert ax.get_xlabel() == "k.lambda"
    assert figure.caption.startswith("Mean and 95 % confidence interval over n = 4 networks (Student's t")
    alone = accuracy[accuracy["seed"] == 0]
    figure = sensitivity_figure(points, summarise(alone, published), alone)
    assert figure.caption.startswith("Mean over n = 2 networks; one distillation seed, so no intervals. Filled: ")


def test_methods_on_the_same_setting_stand_side_by_side(tmp_path, published):
    accuracy = collect_accuracy(
        [
            evaluation(tmp_path, [record(200, 0, 0.5), record(200, 1, 0.5)], method=method, ipc=1, seed=seed)
            for method in ("idm", "idm-1", "bacon", "bacon-1")
            for seed in (0, 1)
        ]
    )
    points = [
        Point(dataset="digits", ipc=1, base=base, base_title=base, key="k", method=f"{base}{suffix}", value=value)
        for base in ("idm", "bacon")
        for suffix, value in (("", 0.5), ("-1", 1.0))
    ]
    (ax,) = visible(sensitivity_figure(points, summarise(accuracy, published), accuracy))
    places = [one.lines[0].get_xdata().tolist() for one in ax.containers]
    # A fiftieth of the values' range apart, around them.
    np.testing.assert_allclose(places, [[0.495, 0.995], [0.505, 1.005]])


def test_a_hundred_classes_stay_readable(accuracy_of):
    """No figure shows more than twenty classes by name; a confusion of more is shown whole, without names."""
    count, names = 100, tuple(f"class number {index}" for index in range(100))
    results = [
        ClassResults(
            dataset="d", dataset_title="D", method=method, method_title=method.upper(), ipc=ipc, class_names=names,
            confusion=np.eye(count), networks=1, network="convnet",
        )
        for method, ipc in (("full", None), ("dm", 1))
    ]  # fmt: skip
    with figure_style():
        figure = classes_figure(results, accuracy_of())
        (ax,) = visible(figure)
        assert len(ax.get_xticklabels()) == 20
        assert "20 of 100 classes" in figure.caption
        figure.canvas.draw()
        boxes = [label.get_window_extent(figure.canvas.get_renderer()) for label in ax.get_xticklabels()]
        assert min(box.y0 for box in boxes) >= 0
        whole = confusion_figure(results, accuracy_of())
    assert all(not ax.get_xticklabels() for ax in visible(whole))
    assert visible(whole)[0].collections[0].get_array().size == count**2


def test_names_of_classes_that_lie_together_do_not_cover_each_other():
    ax = Figure().subplots()
    names = ("airplane", "automobile", "bird", "cat")
    _name_classes(ax, [np.array([0.5, 0.5])] * 4, names)
    boxes = [text.get_window_extent() for text in ax.texts]
    assert [text.get_text() for text in ax.texts] == list(names)
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_methods_of_one_partition_are_named_together_beneath_the_strip():
    shown = [
        SimpleNamespace(title=title, snapshots=SimpleNamespace(partition=factor, names=("a",), classes=1))
        for title, factor in (("DM", 1), ("IDM", 2), ("BACON", 2))
    ]
    caption = _strip_caption(shown)
    assert f"IDM and BACON in stored form: 2 {TIMES} 2 smaller images in each." in caption
    assert "DM in stored form" not in caption.replace("IDM and BACON", "")


def test_a_band_that_reaches_zero_does_not_set_a_logarithmic_axis():
    ax = Figure().subplots()
    ax.fill_between([0, 1], [1e-6, 1e-6], [2.0, 2.0])
    _logarithmic(ax, np.array([0.5, 1.0, 2.0]))
    low, high = ax.get_ylim()
    assert 0.4 < low < 0.5
    assert 2.0 < high < 2.5
