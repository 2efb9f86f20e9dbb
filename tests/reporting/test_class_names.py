"""Class names of other people in every figure that shows them; any warning about layout or glyphs is an error."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from bacon.reporting.collect.classes import ClassResults
from bacon.reporting.collect.distilled_files import DisplayImages
from bacon.reporting.collect.embedded_images import EmbeddedSet, Embedding
from bacon.reporting.figures import heatmap
from bacon.reporting.figures.canvas import finish, panels
from bacon.reporting.figures.class_labels import class_labels, drawable, is_drawable, shortened
from bacon.reporting.figures.embedding import embedding_figure
from bacon.reporting.figures.images import images_figure, shown_classes
from bacon.reporting.figures.style import figure_style
from bacon.reporting.tables.markup import Grid, escape_latex, escape_markdown, markdown

ILLNESSES = ("Cercospora_leaf_spot Gray_leaf_spot", "healthy", "Haunglongbing_(Citrus_greening)", "Black_rot")
PLANTS = [
    f"{fruit}___{illness}"
    for fruit in ("Apple", "Cherry_(including_sour)", "Corn_(maize)", "Pepper,_bell")
    for illness in ILLNESSES
]
SIGNS = [
    "$x_1$",
    "a_b%",
    "R&D",
    "\\alpha",
    "<b>bold</b>",
    '"quoted"',
    "it's",
    "two\nlines",
    "tab\there",
    "{a}",
    "~^",
    "#1",
    "a|b",
]
NAMES = {
    "plants": PLANTS,
    "Chinese": ["苹果", "香蕉", "樱桃"],
    "Japanese and Korean": ["りんご", "사과"],
    "Hindi and Thai": ["सेब", "แอปเปิล"],
    "Arabic and Hebrew": ["تفاح", "موز", "תפוח"],
    "Cyrillic and Greek": ["яблоко", "μήλο"],
    "emoji": ["🍎 apple", "👩‍🌾", "🇩🇪", "❤️"],
    "two hundred": [f"{number:03d}.Black_footed_Albatross" for number in range(200)],
    "signs": SIGNS,
    "alike once in one line": ["a b", "a  b", "a\nb"],
    "no name": ["", "b"],
    "one letter": list("abcdefghij"),
    "endless": ["x" * 4000, "y" * 4000],
    "control characters": ["a\x00b", "c\u202ed", "e\x1b[31m"],
}


def figures(names: list[str]) -> list:
    count = len(names)
    shown = shown_classes(count)
    counts = np.eye(count) * 3 + 1
    results = [
        ClassResults(
            dataset="d", dataset_title="Data", method=method, method_title=method, ipc=ipc, class_names=tuple(names),
            confusion=counts, networks=2, network="convnet",
        )
        for method, ipc in (("full", None), ("dm", 1), ("bacon", 1))
    ]  # fmt: skip
    pixels, labels = np.zeros((count, 1, 4, 4), np.float32), np.arange(count)
    images = DisplayImages(
        final=pixels, initial=pixels, labels=labels, initial_labels=labels, class_names=tuple(names), iterations=3,
        partition=1, label_words="",
    )  # fmt: skip
    points = np.stack([np.arange(len(shown)), np.arange(len(shown)) % 3], axis=1).astype(float)
    clouds = [
        EmbeddedSet(method=method, title="T", labels=np.arange(len(shown)), pca=points, tsne=points)
        for method in (None, "dm")
    ]
    embedding = Embedding(
        clouds=tuple(clouds), class_names=tuple(names[label] for label in shown), classes=count, explained=(0.5, 0.2)
    )
    accuracy = pd.DataFrame({"final": [True], "network": ["convnet"]})
    return [
        heatmap.classes_figure(results, accuracy),
        heatmap.confusion_figure(results, accuracy),
        images_figure(images, title="Data"),
        embedding_figure(embedding, title="Embeddings", ipc=1, network="ConvNet"),
    ]


@pytest.mark.parametrize("name", NAMES)
def test_figures_hold_any_class_names(name, monkeypatch):
    monkeypatch.setattr(heatmap, "protocol_note", lambda _: "Protocol")
    with warnings.catch_warnings(), figure_style():
        warnings.simplefilter("error")
        for figure in figures(NAMES[name]):
            figure.canvas.draw()
            width, height = figure.get_size_inches()
            assert width <= 14
            assert height <= 14
            panels_drawn = [ax.get_window_extent() for ax in figure.axes if ax.get_visible()]
            assert min(min(box.width, box.height) for box in panels_drawn) > 30, "no panel collapsed"
            for text in figure.texts:
                box = text.get_window_extent()
                assert box.x1 <= figure.bbox.width + 1, text
                assert box.y1 <= figure.bbox.height + 1, text
                assert is_drawable(text.get_text().replace("\n", "")), text


def test_names_that_fit_stay_as_they_are():
    for names in (["cat", "dog"], SIGNS[:7], NAMES["Arabic and Hebrew"], NAMES["Cyrillic and Greek"]):
        labels = class_labels(names, range(len(names)), most=12)
        assert labels.texts == tuple(names)
        assert labels.key == ""


def test_long_names_are_shortened_or_numbered_with_a_key():
    short = class_labels(["golden retriever", "labrador retriever"], [0, 1], most=12)
    assert short.texts == ("golden…ever", "labrado…ever")
    assert short.key == ""
    long = class_labels(PLANTS[:2], [4, 7], most=12)
    assert long.texts == ("4", "7")
    assert long.key == (
        "Classes by their number, from 0: 4 Apple___Cercospora_leaf_spot Gray_leaf_spot; 7 Apple___healthy."
    )
    alike = class_labels(["retriever, golden, old", "retriever, brown, old"], [0, 1], most=12)
    assert alike.texts == ("0", "1")
    assert shortened("abcdefghij", 10) == "abcdefghij"
    assert shortened("abcdefghijk", 10) == "abcdef…ijk"


def test_letters_that_the_font_lacks_are_never_drawn():
    labels = class_labels(["苹果", "apple"], [0, 1], most=12)
    assert labels.texts == ("0", "1")
    assert labels.key == "Classes by their number, from 0: 0 苹果; 1 apple."
    assert "this font lacks letters of their names" in labels.drawn_key
    assert is_drawable(labels.drawn_key)
    assert drawable("Data 数据\ncafé") == "Data □□\ncafé"


def test_titles_of_data_sets_and_methods_are_drawn_without_warnings():
    with warnings.catch_warnings(), figure_style():
        warnings.simplefilter("error")
        figure, axes = panels(1, 1, width=3, height=2)
        axes[0][0].set_title("数据 $x_1$")
        axes[0][0].set_xticks([0.5], ["方法"])
        finish(figure, title="数据", caption="变体 \\alpha")
        figure.canvas.draw()
        assert axes[0][0].get_title() == "□□ $x_1$"
    assert figure.title == "数据"
    assert figure.caption == "变体 \\alpha", "the report's font has them"


def test_a_long_title_is_one_line_that_fits():
    with figure_style():
        figure, _ = panels(1, 1, width=3, height=2)
        finish(figure, title="Embeddings: " + "MMMM\nmmmm" * 40, caption="A caption")
        figure.canvas.draw()
        (title,) = (text for text in figure.texts if text.get_text().startswith("Embeddings"))
        assert "\n" not in title.get_text()
        assert "\N{HORIZONTAL ELLIPSIS}" in title.get_text()


@pytest.mark.parametrize("title", SIGNS)
def test_titles_are_whole_in_tables(title):
    row = markdown(Grid(title=title, groups=(), columns=("method", title), rows=((title, "1"),)))
    assert len(row.splitlines()) == 5, "a line break would end the table"
    assert "\n" not in escape_latex(title)
    assert "\n" not in escape_markdown(title)
