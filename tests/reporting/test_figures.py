from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from bacon.reporting.collect.distilled_files import DisplayImages, collect_history, read_images
from bacon.reporting.collect.protocol_text import TIMES
from bacon.reporting.figures.accuracy import accuracy_figure
from bacon.reporting.figures.canvas import save
from bacon.reporting.figures.curve import curve_figure
from bacon.reporting.figures.images import images_figure, mosaic, plot_images, shown_classes
from bacon.reporting.figures.loss import loss_figure
from bacon.reporting.figures.style import figure_style, method_style
from bacon.runtime.errors import BaconError
from tests.reporting.fakes import distilled


def texts(figure) -> str:
    """Title and caption, its line breaks undone."""
    return " ".join(text.get_text() for text in figure.texts).replace("\n", " ")


def visible(figure) -> list:
    return [ax for ax in figure.axes if ax.get_visible()]


@pytest.fixture
def cells(tmp_path):
    """Distilled sets of random, DM (one seed) and BACON (two seeds) with histories of 8 iterations."""
    images = np.linspace(-0.5, 1.5, 20 * 16).reshape(20, 1, 4, 4)
    iterations = np.arange(8)
    made = [distilled(tmp_path, images, ipc=2, method="random", iterations=0)]
    dm = {"mean": 2.0 ** -iterations.astype(float), "loss": 2.0 ** -iterations.astype(float)}
    made.append(distilled(tmp_path, images, ipc=2, method="dm", history={"iteration": iterations, **dm}))
    for seed in (0, 1):
        terms = {"llh": 2000.0 - iterations + seed, "clip": np.zeros(8), "loss": 2000.0 - iterations + seed}
        history = {"iteration": iterations, **terms}
        made.append(distilled(tmp_path, images, ipc=2, seed=seed, history=history, snapshots={0: images[::-1]}))
    return made


def test_accuracy_figure_shows_means_and_sds(accuracy_of):
    figure = accuracy_figure(accuracy_of())
    (ax,) = visible(figure)
    bars = {container.get_label(): container for container in ax.containers}
    line, _, (whiskers,) = bars["BACON"].lines
    np.testing.assert_allclose(line.get_ydata(), [51.5, 71.5])
    assert to_hex(line.get_color()) == method_style("bacon").colour.lower()
    sd = np.sqrt(5 / 3)
    ends = [segment[:, 1] for segment in whiskers.get_segments()]
    np.testing.assert_allclose(ends, [[51.5 - sd, 51.5 + sd], [71.5 - sd, 71.5 + sd]])
    np.testing.assert_allclose(bars["Random"].lines[0].get_ydata(), [31.5, 51.5])
    # The dashed line is the full data set's mean, and its label says so.
    assert any(line.get_linestyle() == "--" and set(line.get_ydata()) == {97.0} for line in ax.lines)
    assert "97.0 ± 1.4 (n = 2)" in [text.get_text() for text in ax.texts]
    assert ax.get_title() == "Digits"
    assert "(%)" in ax.get_ylabel()
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "10"]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["Random", "BACON", "Full data set"]
    assert f"n = 4 networks (2 distillation seeds {TIMES} 2 evaluation seeds)" in texts(figure)
    assert "100 epochs" in texts(figure)


def test_curve_figure_shows_snapshots_levels_and_the_full_set(accuracy_of):
    figure = curve_figure(accuracy_of())
    first, second = visible(figure)
    assert [ax.get_title() for ax in (first, second)] == ["Digits, IPC 1", "Digits, IPC 10"]
    (curve,) = [line for line in first.lines if len(line.get_xdata()) == 2 and line.get_marker() == "D"]
    np.testing.assert_allclose(curve.get_xdata(), [0, 200])
    # At 0: 30 and 35 percent; at 200: 50 to 53.
    np.testing.assert_allclose(curve.get_ydata(), [32.5, 51.5])
    band = first.collections[0].get_paths()[0].vertices[:, 1]
    assert band.min() == pytest.approx(32.5 - np.std([30, 35], ddof=1))
    random = [line for line in first.lines if to_hex(line.get_color()) == method_style("random").colour.lower()]
    assert [set(np.round(line.get_ydata(), 6)) for line in random] == [{31.5}]
    # IPC 1: the full data set would squeeze the curves; it is stated instead.
    assert "off scale: 97.0" in first.texts[0].get_text()
    assert not any(line.get_linestyle() == "--" for line in first.lines)
    caption = texts(figure)
    assert "n = 2 networks per snapshot, n = 4 at the end" in caption


def test_curve_figure_draws_the_full_set_where_it_fits(accuracy_of):
    table = accuracy_of()
    table.loc[table["method"] == "full", "test_accuracy_percent"] = [73.0, 75.0]
    second = visible(curve_figure(table))[1]
    assert any(line.get_linestyle() == "--" and set(line.get_ydata()) == {74.0} for line in second.lines)
    assert second.get_ylim()[1] > 74.0


def test_loss_figure_has_a_panel_per_term_and_scales_the_total(cells):
    named = {"mean": "Mean matching", "llh": "LLH (nats)", "clip": "CLIP"}
    figure = loss_figure(collect_history(cells), term_titles=named)
    axes = {ax.get_ylabel(): ax for ax in visible(figure)}
    assert list(axes) == ["Total loss, scaled", "Mean matching", "LLH (nats)", "CLIP"]
    assert visible(figure)[0].get_title() == "Digits, IPC 2"
    for line in axes["Total loss, scaled"].lines:
        assert (line.get_ydata().min(), line.get_ydata().max()) == (0.0, 1.0)
    (llh,) = axes["LLH (nats)"].lines
    np.testing.assert_allclose(llh.get_ydata(), 2000.5 - np.arange(8))
    assert axes["Mean matching"].get_yscale() == "log"
    assert axes["LLH (nats)"].get_yscale() == "linear"
    assert axes["CLIP"].texts[0].get_text() == "identically 0"
    assert "n = 1 to 2 distillation seeds" in texts(figure)
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["DM", "BACON"]


def test_long_names_of_loss_terms_do_not_reach_into_each_other(cells):
    named = {"mean": "Squared error of the regression", "llh": "Cross-entropy on real images (nats)", "clip": "CLIP"}
    figure = loss_figure(collect_history(cells), term_titles=named)
    figure.draw_without_rendering()
    labels = [ax.yaxis.label for ax in visible(figure)]
    assert [" ".join(label.get_text().split("\n")) for label in labels[1:]] == list(named.values())
    boxes = [label.get_window_extent() for label in labels]
    assert all(above.y0 > below.y1 for above, below in pairwise(boxes))


def test_loss_figure_of_selections_says_so(cells):
    assert "all of them select real images" in texts(loss_figure(collect_history(cells[:1])))


def test_mosaic_places_images_row_by_row():
    images = np.arange(4, dtype=np.float32).reshape(4, 1, 1, 1).repeat(2, 2).repeat(2, 3) / 10
    pixels = mosaic(images, columns=2, side=8)
    assert pixels.shape == (8 + 4 + 8, 8 + 4 + 8, 3)
    np.testing.assert_allclose(pixels[:8, :8], 0.0)
    np.testing.assert_allclose(pixels[:8, 12:], 0.1)
    np.testing.assert_allclose(pixels[12:, :8], 0.2)
    np.testing.assert_allclose(pixels[8:12], 1.0)


def test_mosaic_shows_three_channels_as_colour():
    red = np.zeros((1, 3, 2, 2), np.float32)
    red[:, 0] = 1.0
    np.testing.assert_allclose(mosaic(red, columns=1, side=2)[0, 0], [1.0, 0.0, 0.0])


def test_images_figure_has_names_and_the_start_beside_the_end(cells):
    images = read_images(cells[2])
    assert images.initial is not None
    figure = images_figure(images, title="Digits, BACON, IPC 2, seed 0")
    start, end = figure.axes[:2]
    assert [ax.get_title() for ax in (start, end)] == ["iteration 0", "iteration 200"]
    names = [label.get_text() for ax in figure.axes for label in ax.get_yticklabels()]
    assert names == list("0123456789")
    assert "Digits, BACON, IPC 2, seed 0" in texts(figure)
    # Pixel (0, 0) of the first image of each: the stored value, denormalised and clipped.
    assert end.images[0].get_array()[0, 0, 0] == pytest.approx(images.final[0, 0, 0, 0])
    assert start.images[0].get_array()[0, 0, 0] == pytest.approx(images.initial[0, 0, 0, 0])
    assert images.final[0, 0, 0, 0] == 0.0
    assert images.initial[0, 0, 0, 0] == pytest.approx(0.25 + 0.5 * images_value(19))


def images_value(index: int) -> float:
    return float(np.linspace(-0.5, 1.5, 20 * 16).reshape(20, 16)[index, 0])


def test_selected_images_have_one_block(cells):
    figure = images_figure(read_images(cells[0]), title="t")
    assert {ax.get_title() for ax in figure.axes} == {"real images"}


def test_many_classes_and_images_are_thinned_and_said():
    count = 100
    images = DisplayImages(
        final=np.zeros((count * 12, 3, 4, 4), np.float32),
        initial=None,
        labels=np.repeat(np.arange(count), 12),
        initial_labels=np.repeat(np.arange(count), 12),
        label_words="",
        class_names=tuple(f"class {index}" for index in range(count)),
        iterations=5,
        partition=2,
    )
    chosen = shown_classes(count)
    assert (len(chosen), chosen[0], chosen[-1]) == (20, 0, 99)
    figure = images_figure(images, title="t")
    caption = texts(figure)
    assert "20 of 100 classes" in caption
    assert "first 10 of 12 images" in caption
    assert f"2 {TIMES} 2 smaller ones" in caption


NAMES = ("accuracy", "curve", "loss", "images")
KINDS = ("png", "pdf", "json")


def draw_all(folder: Path, accuracy: pd.DataFrame, cells: list) -> list[Path]:
    outputs = [folder / f"{name}.{kind}" for name in NAMES for kind in KINDS]
    with figure_style():
        figures = accuracy_figure(accuracy), curve_figure(accuracy), loss_figure(collect_history(cells))
        for place, figure in enumerate(figures):
            save(figure, fingerprint="fp-0123456789", outputs=outputs[3 * place : 3 * place + 3])
    plot_images(cells[2], fingerprint="fp-0123456789", outputs=outputs[9:])
    return outputs


def test_files_repeat_bit_for_bit_and_carry_the_fingerprint(accuracy_of, cells, tmp_path):
    accuracy = accuracy_of()
    with mpl.rc_context({"font.size": 20, "lines.linewidth": 9}):
        first = draw_all(tmp_path / "first", accuracy, cells)
    second = draw_all(tmp_path / "second", accuracy, cells)
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes(), one
        if one.suffix == ".png":
            with Image.open(one) as image:
                assert image.text["Fingerprint"] == "fp-0123456789"
                assert image.info["dpi"] == pytest.approx((200, 200), abs=0.1)
        elif one.suffix == ".json":
            words = json.loads(one.read_text())
            assert words.keys() == {"title", "caption", "fingerprint"}
            assert words["fingerprint"] == "fp-0123456789"
            assert len(words["title"]) > 20
            assert len(words["caption"]) > 40
        else:
            assert b"fp-0123456789" in one.read_bytes()
            assert b"CreationDate" not in one.read_bytes()


def test_no_text_is_clipped_or_covers_another(accuracy_of, cells):
    """Every text lies within the figure and no two texts overlap."""
    tables = [accuracy_of("digits"), pd.concat([accuracy_of("digits"), accuracy_of("cifar10"), accuracy_of("svhn")])]
    with figure_style():
        figures = [draw(table) for table in tables for draw in (accuracy_figure, curve_figure)]
        figures += [loss_figure(collect_history(cells))]
        figures += [images_figure(read_images(cell), title="Digits, BACON, IPC 2, seed 0") for cell in cells]
        for figure in figures:
            figure.canvas.draw()
            renderer = figure.canvas.get_renderer()
            found = drawn_texts(figure)
            boxes = [text.get_window_extent(renderer) for text in found]
            for text, box in zip(found, boxes, strict=True):
                assert box.x0 >= -1, text
                assert box.y0 >= -1, text
                assert box.x1 <= figure.bbox.width + 1, text
                assert box.y1 <= figure.bbox.height + 1, text
            for i, box in enumerate(boxes):
                for j in range(i):
                    assert not box.overlaps(boxes[j]), (found[i], found[j])


def drawn_texts(figure) -> list:
    """Every text that is drawn; tick labels outside an axis's limits are not."""
    found = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    for ax in visible(figure):
        found += [ax.title, ax.xaxis.label, ax.yaxis.label, *ax.texts]
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            found += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    return [text for text in found if text.get_text() and text.get_visible()]


def test_global_settings_and_pyplot_are_left_alone(accuracy_of, tmp_path):
    before = dict(mpl.rcParams)
    with figure_style():
        save(accuracy_figure(accuracy_of()), fingerprint="f", outputs=[tmp_path / "a.png"])
    assert dict(mpl.rcParams) == before
    import matplotlib.pyplot as plt

    assert plt.get_fignums() == []


def test_unknown_suffix_is_refused(accuracy_of, tmp_path):
    with pytest.raises(BaconError, match=r"a\.jpeg"):
        save(accuracy_figure(accuracy_of()), fingerprint="f", outputs=[tmp_path / "a.jpeg"])
    assert list(tmp_path.glob("*.jpeg")) == []


def test_a_stale_distilled_set_is_not_drawn(tmp_path):
    stale = distilled(tmp_path, np.zeros((10, 1, 4, 4)), fingerprint="stale")
    with pytest.raises(BaconError, match="'stale'"):
        plot_images(stale, fingerprint="f", outputs=[tmp_path / "a.png"])
