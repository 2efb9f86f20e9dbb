"""How fast a report of 200 cells is in Chromium without a window: ``python -m tests.browser.measure``; docs/report.md.

Every pixel of the images and of the animations is noise, which compresses worst. Median of five; milliseconds.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

from bacon.operations.workflow_plan import aggregate_fingerprint
from bacon.plan.plan import Plan
from bacon.reporting.figures.catalogue import drawn
from bacon.reporting.targets import PUBLISHED
from tests.browser.conftest import LARGE, Browser
from tests.reporting.results import write_report, write_results

REPEATS = 5
LOAD = """const [entry] = performance.getEntriesByType('navigation');
    const paint = performance.getEntriesByName('first-contentful-paint')[0];
    return [entry.loadEventEnd, paint ? paint.startTime : NaN];"""
# Until the browser has drawn the frame after the action.
ACT = """const done = arguments[arguments.length - 1], start = performance.now();
    const find = (text) => [...document.querySelectorAll('#cells button')].find((one) => one.textContent === text);
    const search = document.querySelector('#cells input[type=search]');
    ({
      sort: () => find('Accuracy (%)').click(),
      filter: () => { search.value = 'bacon'; search.dispatchEvent(new Event('input')); },
      open: () => [...document.querySelectorAll('#cells .toggle')].find((one) => one.getClientRects().length).click(),
      animate: () => { document.querySelector('#figures figure details').open = true; },
    })[arguments[0]]();
    requestAnimationFrame(() => setTimeout(() => done(performance.now() - start)));"""


def make_noisy(plan: Plan) -> None:
    """Replace every image and every animation by noise."""
    random = np.random.default_rng(0)
    for cell in plan.cells:
        with h5py.File(plan.directory / cell.distilled_path, "r+") as file:
            file["images"][...] = random.random(file["images"].shape, dtype=np.float32)
    fingerprint = aggregate_fingerprint(plan, "figures", PUBLISHED)
    for figure in drawn(plan):
        if "gif" in figure.kinds:
            # Ten classes, three images of each of three methods, 32 pixels drawn as 96, at eleven snapshots.
            small = random.integers(0, 256, (11, 320, 288, 3)).astype(np.uint8)
            frames = [Image.fromarray(one.repeat(3, 0).repeat(3, 1)) for one in small]
            options = {"duration": 600, "loop": 0, "comment": fingerprint.encode()}
            frames[0].save(plan.directory / figure.path("gif"), save_all=True, append_images=frames[1:], **options)


def measure(browser: Browser, page: Path) -> dict[str, float]:
    """Median milliseconds of loading a page and of what is done with it."""
    found: dict[str, list[float]] = {name: [] for name in ("load", "paint", "sort", "filter", "open", "animate")}
    for _ in range(REPEATS):
        browser.open(page)
        load, paint = browser.js(LOAD)
        found["load"].append(load)
        found["paint"].append(paint)
        for name in ("sort", "filter", "open", "animate"):
            found[name].append(browser.driver.execute_async_script(ACT, name))
    return {name: statistics.median(values) for name, values in found.items()}


def main() -> None:
    """Make the page, measure it, and print what was found."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plan = write_results(folder, LARGE, side=32)
        make_noisy(plan)
        page = write_report(plan)
        browser = Browser(folder / "profile")
        try:
            found = measure(browser, page)
            version = browser.driver.capabilities["browserVersion"]
        finally:
            browser.driver.quit()
        print(f"{len(plan.cells)} cells, {page.stat().st_size / 1e6:.1f} MB, Chromium {version}")
        print(", ".join(f"{name} {milliseconds:.0f} ms" for name, milliseconds in found.items()))


if __name__ == "__main__":
    main()
