"""A report of 25 methods under two protocols as a person meets it: the answer, a chosen reference, what opens when asked."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from bacon.reporting.page.pair_numbers import pair_text
from benchmarks.page import ACTS, measure_page
from tests.browser.test_browser import CONTRAST, control

SHOWN = """return [...document.querySelectorAll('#results-table > tbody')].filter((body) => body.getClientRects().length)
    .map((body) => [...body.rows[0].cells].map((cell) => cell.firstChild.textContent.trim()));"""
# Every entry of the column, for the best and for every method as reference.
DIFFERENCES = """const select = [...document.querySelectorAll('#results .controls label')]
    .find((label) => label.textContent.startsWith('Compare with')).querySelector('select');
    return Object.fromEntries([...select.options].map((option) => {
      select.value = option.value;
      select.dispatchEvent(new Event('change'));
      const rows = [...document.querySelectorAll('#results-table > tbody > tr')];
      return [option.textContent, rows.map((row) => [row.cells[2].textContent, row.cells[2].dataset.sort ?? null])];
    }));"""


def differences(rows):
    """Of the entries of ``SHOWN``, in points."""
    return [0.0 if row[2] == "reference" else float(row[2].split()[0].rstrip("*")) for row in rows]


def test_the_answer_is_on_the_first_screen(chromium, many):
    page, places = many
    chromium.open(page)
    best = chromium.driver.find_element(By.CSS_SELECTOR, "#best > tbody > tr").text
    assert best.startswith(f"CIFAR-10, IPC 1 {places[0].best.title} {places[0].best.ours.mean:.1f} [")
    assert chromium.js("return document.getElementById('best').getBoundingClientRect().bottom < innerHeight")
    assert chromium.messages() == []


def test_every_reference_gives_the_differences_of_its_pairs(chromium, many):
    page, places = many
    chromium.open(page)
    found = chromium.js(DIFFERENCES)
    assert len(found) == 1 + 25
    rows = [(place, one) for place in places for one in place.results if one.standing != "full data set"]
    for reference, entries in found.items():
        for (place, one), (text, sort) in zip(rows, entries, strict=True):
            other = place.best if reference == "the best" else next(r for r in place.results if r.title == reference)
            if one.method == other.method:
                assert (text, sort) == ("best" if reference == "the best" else "reference", "0")
                continue
            pair = place.pair(one.method, other.method)
            assert text == pair_text(pair)
            assert float(sort) == pytest.approx(pair.difference, abs=0.051)


def test_results_are_filtered_and_sorted_by_their_difference_from_the_reference(chromium, many):
    page, places = many
    chromium.open(page)
    assert len(chromium.js(SHOWN)) == 25, "one page"
    Select(control(chromium, "Protocol", table="results-table")).select_by_visible_text("P-SRe2L")
    Select(control(chromium, "Compare with", table="results-table")).select_by_visible_text("Random")
    chromium.driver.find_element(By.XPATH, "//table[@id='results-table']//button[.='Difference']").click()
    rows = chromium.js(SHOWN)
    assert {row[6] for row in rows} == {"P-SRe2L"}
    assert {row[7] for row in rows} == {"teacher"}
    ascending = [one.title for one in reversed(places[1].results) if one.standing != "full data set"]
    assert [row[0] for row in rows][:1] == ascending[:1]
    found = differences(rows)
    assert found == sorted(found)
    Select(control(chromium, "Compare with", table="results-table")).select_by_visible_text("DM")
    again = differences(chromium.js(SHOWN))
    assert again != found
    assert again == sorted(again), "the rows stay sorted by what the column shows"
    Select(control(chromium, "Standing", table="results-table")).select_by_visible_text("best")
    assert [row[0] for row in chromium.js(SHOWN)] == [places[1].best.title]


def test_cells_and_their_details_are_read_when_they_are_asked_for(chromium, many):
    page, _ = many
    chromium.open(page)
    elements = "return document.querySelectorAll('#cells tr.detail > td > div:not(:empty)').length"
    assert not chromium.js("return document.getElementById('cells-table')"), "one text until it is asked for"
    assert chromium.js("return document.querySelectorAll('#cells .toggle').length") == 0
    chromium.js("location.hash = '#figures'")
    assert not chromium.js("return document.getElementById('cells-table')"), "no cell is asked for"
    chromium.js("location.hash = '#cifar10/dm/ipc1/seed1'")
    detail = chromium.driver.find_element(By.CSS_SELECTOR, "[id='cifar10/dm/ipc1/seed1'] tr.detail")
    assert detail.is_displayed()
    assert chromium.js(elements) == 1, "only this cell's details are elements"
    assert chromium.js("return document.querySelectorAll('#cells-table > tbody').length") == 51
    detail.find_element(By.LINK_TEXT, "cifar10/dm/ipc1/seed0").click()
    first = chromium.driver.find_element(By.CSS_SELECTOR, "[id='cifar10/dm/ipc1/seed0'] tr.detail")
    assert "evaluation.lr_net" in first.text
    image = first.find_element(By.TAG_NAME, "img")
    assert chromium.driver.execute_async_script("arguments[0].decode().then(arguments[1])", image) is None
    assert chromium.messages() == []


def test_a_number_of_the_answer_opens_the_folded_cells(chromium, many):
    page, places = many
    chromium.open(page)
    chromium.driver.find_element(By.CSS_SELECTOR, "#best a[data-cells]").click()
    names = chromium.driver.find_elements(By.CSS_SELECTOR, "#cells-table > tbody > tr:first-child > th")
    shown = [name.text for name in names if name.is_displayed()]
    assert shown == [f"cifar10/{places[0].best.method}/ipc1/seed{seed}" for seed in (0, 1)]


def test_a_folded_table_is_read_when_it_opens_and_sorts(chromium, many):
    page, _ = many
    chromium.open(page)
    fold = chromium.driver.find_element(By.XPATH, "//section[@id='tables']//details[contains(summary, 'Cost of')]")
    assert fold.find_elements(By.TAG_NAME, "table") == []
    fold.find_element(By.TAG_NAME, "summary").click()
    table = WebDriverWait(chromium.driver, 30).until(lambda _: fold.find_elements(By.CSS_SELECTOR, "table.ready"))[0]
    assert table.is_displayed()
    shown = chromium.js("return arguments[0].textContent", fold)
    assert "mean \N{PLUS-MINUS SIGN} sd" in shown, "letters beyond ASCII"
    assert "&#" not in shown
    assert chromium.messages() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_the_answer_is_cards_and_nothing_scrolls_sideways(chromium, many, scheme):
    page, _ = many
    chromium.open(page, width=390, scheme=scheme)
    chromium.js("document.querySelectorAll('details.fold').forEach((one) => { one.open = true; })")
    assert chromium.js("return [document.documentElement.scrollWidth, innerWidth]") == [390, 390]
    card = chromium.driver.find_element(By.CSS_SELECTOR, "#best > tbody > tr")
    assert chromium.js("return arguments[0].getBoundingClientRect().right", card) <= 390
    label = "return getComputedStyle(arguments[0].cells[4], '::before').content"
    assert "Significantly worse" in chromium.js(label, card)
    row = chromium.driver.find_element(By.CSS_SELECTOR, "#results-table > tbody > tr")
    reach = "return [1, 2].map((place) => arguments[0].cells[place].getBoundingClientRect().right)"
    assert max(chromium.js(reach, row)) <= 390, "accuracy and difference are there without scrolling"
    poor, _ = chromium.js(CONTRAST)
    assert poor == []


def test_what_is_folded_is_on_paper(chromium, many):
    page, _ = many
    chromium.open(page)
    chromium.js("window.dispatchEvent(new Event('beforeprint'))")
    assert chromium.js("return [...document.querySelectorAll('details.fold')].every((one) => one.open)")
    assert chromium.driver.find_element(By.ID, "cells-table").is_displayed()


def test_without_its_program_details_are_there(chromium, many):
    page, _ = many
    chromium.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        chromium.open(page)
        chromium.driver.find_element(By.CSS_SELECTOR, "#all-cells > summary").click()
        detail = chromium.driver.find_element(By.CSS_SELECTOR, "[id='cifar10/dm/ipc1/seed0'] tr.detail")
        assert "evaluation.lr_net" in detail.text
    finally:
        chromium.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.parametrize("screen", ["desktop", "phone"])
def test_the_benchmark_measures_loading_and_every_act(chromium, many, screen):
    page, _ = many
    found = measure_page(chromium, page, 1, screen, "cifar10/dm/ipc1/seed1")
    assert set(found) == {"first_paint_ms", "results_ready_ms", "load_ms", "elements", *(f"{act}_ms" for act in ACTS)}
    assert 0 < found["results_ready_ms"] <= found["load_ms"]
    assert all(found[f"{act}_ms"] > 0 for act in ACTS)
    assert chromium.driver.find_element(By.CSS_SELECTOR, "[id='cifar10/dm/ipc1/seed1'] tr.detail").is_displayed()
