"""The report of a large grid in Chromium without a window: how large it is, and how long it takes to load and to answer.

Results are made up (``tests/reporting/many_results.py``): 25 methods x four data sets x three IPC x five seeds under three
protocols, 22,500 networks. Every pixel of a distilled image is noise, which compresses worst; figures are blank. A phone is a
screen of 390 pixels with the processor slowed down four times, which Chromium emulates.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.browser.conftest import Browser
from tests.reporting.many_results import GRID, write_many_results
from tests.reporting.results import write_report

SCREENS = {"desktop": (1280, 1), "phone": (390, 4)}
"""Name -> width in pixels and how many times slower the processor is."""
_LOAD = """const [entry] = performance.getEntriesByType('navigation');
    const [paint] = performance.getEntriesByName('first-contentful-paint');
    const [prepared] = performance.getEntriesByName('prepared');
    return {first_paint_ms: paint ? paint.startTime : NaN, results_ready_ms: prepared.startTime, load_ms: entry.loadEventEnd,
      elements: document.querySelectorAll('*').length};"""
# Until the browser has drawn the frame after the action.
_ACT = """const done = arguments[arguments.length - 1], start = performance.now();
    const choose = (label, place) => {
      const list = [...document.querySelectorAll('#results .controls label')]
        .find((one) => one.textContent.startsWith(label)).querySelector('select');
      list.selectedIndex = place;
      list.dispatchEvent(new Event('change'));
    };
    const buttons = [...document.querySelectorAll('#results thead button')];
    ({
      sort: () => buttons.find((one) => one.textContent === 'Accuracy (%)').click(),
      filter: () => choose('Standing', 2),
      compare: () => choose('Compare with', 12),
      open_cell: () => { location.hash = arguments[1]; },
    })[arguments[0]]();
    requestAnimationFrame(() => setTimeout(() => done(performance.now() - start)));"""
ACTS = ("sort", "filter", "compare", "open_cell")


def measure(rounds: int, config: Mapping[str, Any] = GRID) -> list[dict[str, Any]]:
    """One row per screen: medians of ``rounds`` loads, in milliseconds, each in a new document."""
    with tempfile.TemporaryDirectory(prefix="bacon-benchmark-") as name:
        folder = Path(name)
        plan = write_many_results(folder, config)
        begun = time.perf_counter()
        page = write_report(plan)
        written = {
            "cells": len(plan.cells),
            "write_seconds": time.perf_counter() - begun,
            "megabytes": page.stat().st_size / 1e6,
        }
        browser = Browser(folder / "profile")
        try:
            version = {"chromium": browser.driver.capabilities["browserVersion"]}
            return [
                {
                    "screen": screen,
                    **written,
                    **version,
                    **measure_page(browser, page, rounds, screen, str(plan.cells[-1])),
                }
                for screen in SCREENS
            ]
        finally:
            browser.driver.quit()


def measure_page(browser: Browser, page: Path, rounds: int, screen: str, cell: str) -> dict[str, float]:
    """Medians for one page on one screen.

    Args:
        browser: where it is opened.
        page: a report.
        rounds: how often it is loaded.
        screen: one of ``SCREENS``.
        cell: name of a cell that is opened by its address.
    """
    width, slower = SCREENS[screen]
    browser.driver.execute_cdp_cmd("Emulation.setCPUThrottlingRate", {"rate": slower})
    found: list[dict[str, float]] = []
    for _ in range(rounds):
        browser.open(page, width=width)
        row = dict(browser.js(_LOAD))  # type: ignore[call-overload]
        for act in ACTS:
            row[f"{act}_ms"] = browser.driver.execute_async_script(_ACT, act, f"#{cell}")
        found.append(row)
    browser.driver.execute_cdp_cmd("Emulation.setCPUThrottlingRate", {"rate": 1})
    return {key: statistics.median(row[key] for row in found) for key in found[0]}
