"""Figures of 25 methods: what is laid out otherwise than for four."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from bacon.reporting.collect.embedded_images import EmbeddedSet, Embedding
from bacon.reporting.figures.accuracy import accuracy_figure
from bacon.reporting.figures.curve import curve_figure
from bacon.reporting.figures.embedding import embedding_figure
from bacon.reporting.figures.evolution import evolution_pages
from bacon.reporting.figures.heatmap import classes_figure
from bacon.reporting.figures.loss import loss_figure
from bacon.reporting.figures.style import figure_style, method_styles, style_at
from tests.reporting.fakes import distilled
from tests.reporting.results import class_results

NAMES = [f"m{place}" for place in range(25)]
PLACES = {name: place for place, name in enumerate(NAMES)}


def visible(figure) -> list:
    return [ax for ax in figure.axes if ax.get_visible()]


@pytest.fixture
def accuracy() -> pd.DataFrame:
    """25 methods, two IPC, two seeds; the first method does not iterate, the others have snapshots at 0."""
    rows = [
        {
            "method": "full",
            "method_title": "Full data set",
            "test_accuracy_percent": value,
            "final": True,
            "iteration": 0,
        }
        for value in (60.0, 62.0)
    ]
    for place, name in enumerate(NAMES):
        for ipc, seed in ((1, 0), (1, 1), (10, 0), (10, 1)):
            one = {"method": name, "method_title": name.upper(), "ipc": ipc, "seed": seed}
            value = 20.0 + place + ipc + seed
            rows.append(one | {"test_accuracy_percent": value, "final": True, "iteration": 100 * (place > 0)})
            if place:
                rows.append(one | {"test_accuracy_percent": value - 5, "final": False, "iteration": 0})
    shared = {"dataset": "d", "dataset_title": "D", "network": "convnet", "n": 2, "evaluation_seed": 0}
    table = pd.DataFrame([row | shared for row in rows])
    return table.assign(protocol="100 epochs", network_text="ConvNet").astype({"ipc": "Int64", "seed": "Int64"})


def test_each_of_many_methods_has_a_line_of_its_own(accuracy):
    with figure_style(method_styles(PLACES, {})):
        figure = accuracy_figure(accuracy)
    first, second = visible(figure)
    assert [ax.get_title() for ax in (first, second)] == ["D, IPC 1", "D, IPC 10"]
    assert [label.get_text() for label in first.get_yticklabels()] == [name.upper() for name in NAMES]
    assert not any(label.get_text() for label in second.get_yticklabels())
    for ax, ipc in ((first, 1), (second, 10)):
        points = [container.lines[0] for container in ax.containers]
        np.testing.assert_allclose(
            [line.get_xdata()[0] for line in points], [20.5 + place + ipc for place in range(25)]
        )
        np.testing.assert_allclose([line.get_ydata()[0] for line in points], range(25))
        assert [to_hex(line.get_color()) for line in points] == [style_at(place).colour.lower() for place in range(25)]
        bottom, top = ax.get_ylim()
        assert bottom > 24 > 0 > top  # the first method is at the top
    assert figure.get_size_inches()[0] < 8


def test_the_full_data_set_is_drawn_or_stated_beside_many_methods(accuracy):
    figure = accuracy_figure(accuracy)
    for ax in visible(figure):
        assert any(set(line.get_xdata()) == {61.0} for line in ax.lines)
        assert "61.0 ± 1.4 (n = 2)" in [text.get_text() for text in ax.texts]
    accuracy.loc[accuracy["method"] == "full", "test_accuracy_percent"] += 35
    accuracy["method_title"] = "A longer name, " + accuracy["method_title"]  # which makes the panels narrower
    figure = accuracy_figure(accuracy)
    figure.draw_without_rendering()
    for ax in visible(figure):
        assert not any(set(line.get_xdata()) == {96.0} for line in ax.lines)
        (words,) = ax.texts
        assert words.get_text() == "Full data set, off scale:\n96.0 ± 1.4 (n = 2)"
        box, panel = words.get_window_extent(), ax.get_window_extent()
        assert panel.x0 <= box.x0, "within its panel"
        assert box.y1 <= ax.containers[-1].lines[0].get_window_extent().y0, "beneath the last method"


def test_curves_of_many_methods_have_no_bands(accuracy):
    few = accuracy[accuracy["method"].isin([*NAMES[:4], "full"])]
    for table, banded in ((few, True), (accuracy, False)):
        figure = curve_figure(table)
        (ax, _) = visible(figure)
        assert bool(ax.collections) == banded
        assert ("band" in figure.caption) == banded
        assert len(figure.legends[0].get_texts()) == table["method"].nunique()


def test_a_legend_of_many_methods_stays_within_the_figure(accuracy):
    figure = curve_figure(accuracy)
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    width, _ = figure.get_size_inches() * figure.dpi
    assert box.x1 <= width
    panels = [ax.get_tightbbox() for ax in visible(figure)]
    assert box.y0 >= max(panel.y1 for panel in panels)


def test_losses_of_many_methods_have_no_bands():
    rows = [
        {"method": name, "method_title": name, "seed": seed, "iteration": iteration, "value": 1.0 + seed + iteration}
        for name in NAMES
        for seed in (0, 1)
        for iteration in (0, 1, 2)
    ]
    table = pd.DataFrame(rows).assign(dataset="d", dataset_title="D", ipc=1, term="mean", window=1)
    figure = loss_figure(table)
    assert not visible(figure)[0].collections
    assert "line: mean over n = 2" in figure.caption


def test_colours_of_a_heat_map_are_of_the_methods_range_not_the_full_data_sets(accuracy):
    shares = {"full": (99.0, 97.0), "a": (10.0, 20.0), "b": (30.0, 40.0)}
    figure = classes_figure(class_results(shares), accuracy)
    (ax,) = visible(figure)
    mesh = ax.collections[0]
    assert mesh.get_clim() == (10.0, 40.0)
    np.testing.assert_allclose(mesh.get_array().ravel(), [99, 97, 10, 20, 30, 40])


def test_embeddings_of_many_methods_go_on_below():
    points = np.random.default_rng(0).normal(size=(4, 2))
    clouds = [
        EmbeddedSet(method=name, title=name or "Real", labels=np.arange(4), pca=points, tsne=points)
        for name in (None, *NAMES)
    ]
    embedding = Embedding(clouds=tuple(clouds), class_names=tuple("abcd"), classes=4, explained=(0.5, 0.2))
    figure = embedding_figure(embedding, title="t", ipc=1, network="ConvNet")
    assert len(visible(figure)) == 50
    assert [ax.get_title() for ax in visible(figure) if ax.get_title()] == NAMES
    assert figure.get_size_inches()[0] < 15


def test_the_evolution_of_many_methods_is_a_row_each(tmp_path):
    """Methods of 100 and of 200 iterations: at half of them the first shows its snapshot 50, the second its snapshot 100."""
    shades = {0: 0.0, 50: 0.2, 100: 0.4, 200: 0.6}
    cells = []
    for place, name in enumerate(NAMES):
        last = 200 if place % 2 else 100
        kept = {number: np.full((4, 1, 4, 4), shade) for number, shade in shades.items() if number <= last}
        cells.append(
            distilled(tmp_path, kept[last], method=name, snapshots=kept, iterations=last, mean=[0.0], std=[1.0])
        )
    strip, frames = evolution_pages(cells, title="Images")
    assert [ax.get_title() for ax in strip.axes] == ["0 %", "33 %", "67 %", "100 %"]
    assert [label.get_text() for label in strip.axes[0].get_yticklabels()] == NAMES
    assert max(strip.get_size_inches()) < 12
    assert len(frames) == 11
    assert frames[5].title == "Images, 50 % of the iterations"
    pixels = frames[5].axes[0].images[0].get_array()
    height = pixels.shape[0] // 25
    middles = [pixels[place * (height + 1) + height // 2 - place, 2, 0] for place in (0, 1)]
    np.testing.assert_allclose(middles, [0.2, 0.4], atol=1e-6)
