"""Methods stay apart in every figure: 25 of them and their variants, for readers of every kind of colour vision."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from bacon.config.loading import check_config
from bacon.methods.base import Method
from bacon.methods.figure_places import given_places
from bacon.methods.registry import METHODS, OWN
from bacon.plan.plan import Plan
from bacon.reporting.figures.heatmap import luminance
from bacon.reporting.figures.style import COLOURS, DASHES, MARKERS, figure_style, method_style, method_styles, style_at

# Linear sRGB to XYZ (D65), and what the colour-blind see: Machado, Oliveira and Fernandes (2009), severity 1.
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
VISION = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def lab(colour: str, vision: str) -> np.ndarray:
    """CIELAB of a colour as seen."""
    encoded = np.array(to_rgb(colour))
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(VISION[vision]) @ linear, 0.0, 1.0)
    ratio = XYZ @ seen / np.array([0.95047, 1.0, 1.08883])
    x, y, z = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def distance(one: str, other: str, vision: str) -> float:
    return float(np.linalg.norm(lab(one, vision) - lab(other, vision)))


def look(style) -> tuple:
    return style.colour, style.marker, style.filled


def test_no_two_of_88_places_have_the_same_colour_and_marker():
    assert len({look(style_at(place)) for place in range(88)}) == 88


# A difference of 2.3 in CIELAB is just noticeable side by side.
@pytest.mark.parametrize(
    ("vision", "least"), [("normal", 25), ("protanopia", 15), ("deuteranopia", 10), ("tritanopia", 15)]
)
def test_colours_of_one_marker_are_far_apart(vision, least):
    styles = [style_at(place) for place in range(25)]
    pairs = [(one, other) for one, other in combinations(styles, 2) if one.marker == other.marker]
    assert len(pairs) > 10
    assert min(distance(one.colour, other.colour, vision) for one, other in pairs) > least
    every = combinations(COLOURS, 2)
    assert min(distance(one, other, vision) for one, other in every) > least


def test_lines_without_markers_differ_in_colour_or_dashes():
    assert len({(style.colour, style.dash) for style in map(style_at, range(25))}) == 25
    assert len(COLOURS) * len(DASHES) >= 25


def test_shapes_that_resemble_each_other_do_not_share_a_colour():
    styles = [style_at(place) for place in range(24)]
    alike = [{"o", "p"}, {"D", "d"}, {"P", "X"}, {"<", ">"}, {"^", "v"}]
    assert set().union(*alike) <= set(MARKERS)
    for one, other in combinations(styles, 2):
        assert not (one.colour == other.colour and {one.marker, other.marker} in alike)


def test_colours_are_seen_on_white():
    assert min(1.05 / (luminance(np.array(to_rgb(colour))) + 0.05) for colour in COLOURS) > 2.2


def test_variants_have_the_colour_of_their_method_and_a_look_of_their_own():
    places = {f"m{place}": place for place in range(25)}
    variants = {
        f"m{base}-{turn}": f"m{base}" for base in (3, 11, 19) for turn in range(3)
    }  # three methods of one colour
    styles = method_styles(places, variants)
    assert len({look(style) for style in styles.values()}) == len(places) + len(variants)
    for variant, base in variants.items():
        assert styles[variant].colour == styles[base].colour
        assert styles[variant].face == "white"


def test_a_method_looks_the_same_whatever_the_grid_holds():
    small = {"grid": {"methods": ["bacon"], "seeds": 1}, "preset": "smoke"}
    large = {**small, "grid": {"methods": ["random", "dm", "idm", "bacon"], "seeds": 1}}
    one, other = (method_styles(Plan(check_config(config)).figure_places, {}) for config in (small, large))
    assert one["bacon"] == other["bacon"]
    assert len({look(style) for style in other.values()}) == len(METHODS)


def method(name: str, place: int | None) -> Method:
    return replace(METHODS["random"], name=name, title=name, figure_place=place)


def test_a_record_without_a_place_of_its_own_comes_behind_the_others():
    methods = [method("own", None), method("a", 0), method("b", 5), method("later", 5)]
    assert given_places(methods) == {"own": 6, "a": 0, "b": 5, "later": 7}


def test_the_methods_here_have_places_of_their_own():
    given = [record.figure_place for record in OWN if record.is_distilled]
    assert None not in given, "give the record a figure_place that no other has"
    assert len(set(given)) == len(given)


def test_styles_hold_for_the_time_of_a_figure():
    before = method_style("bacon")
    with figure_style(method_styles({"bacon": 7}, {})):
        assert method_style("bacon") == style_at(7)
        with figure_style():
            assert method_style("bacon") == style_at(7)
    assert method_style("bacon") == before
    assert method_style("unheard-of") == method_style("unheard-of")
