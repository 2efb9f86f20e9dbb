"""Chromium without a window, and a report of 200 cells to open in it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from bacon.reporting.collect.overview import Standings, overview
from tests.reporting.many_results import GRID, write_many_results
from tests.reporting.results import write_report, write_results

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--window-size=1280,900",
)  # fmt: skip
LARGE = {
    "preset": "smoke",
    "grid": {"datasets": ["cifar10"], "methods": ["random", "dm", "idm", "bacon"], "ipc": [1, 10], "seeds": 25},
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.browser)


def program(variable: str, name: str) -> str:
    """The path of a program; the tests fail without it."""
    found = shutil.which(os.environ.get(variable, name))
    assert found, f"no {name} here: run tests/browser/install.sh, or name it by {variable}"
    return found


class Browser:
    """Chromium, driven through its own protocol."""

    def __init__(self, profile: Path) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = program("CHROMIUM", "chromium")
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        # Naming the driver keeps Selenium from looking for one on the network.
        self.driver = webdriver.Chrome(options=options, service=Service(program("CHROMEDRIVER", "chromedriver")))

    def open(self, page: Path, *, fragment: str = "", width: int = 1280, scheme: str = "light") -> None:
        """Open a page afresh; what it logs and asks for from now on is what :meth:`messages` and :meth:`requests` give."""
        screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        preference = {"name": "prefers-color-scheme", "value": scheme}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [preference]})
        self.driver.get("about:blank")
        self.messages()
        self.driver.get_log("performance")
        self.driver.get(page.as_uri() + fragment)

    def messages(self) -> list[str]:
        """What the console says since the page was opened: errors and warnings, violations of the policy included."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Addresses that the page asked for since it was opened, but those inside the page."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
        urls = [params["request"]["url"] for params in asked if not params["documentURL"].startswith("chrome:")]
        return [url for url in urls if not url.startswith("data:")]

    def js(self, script: str, *arguments: object) -> object:
        """The value of a JavaScript function body."""
        return self.driver.execute_script(script, *arguments)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    made = Browser(tmp_path_factory.mktemp("profile"))
    yield made
    made.driver.quit()


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Standings]]:
    """A report of 25 methods under two protocols, 50 cells and the full data set, which count as many; and what it compares."""
    grid = GRID | {
        "grid": GRID["grid"] | {"datasets": ["cifar10"], "ipc": [1], "seeds": 2, "protocols": ["paper", "p-sre2l"]}
    }
    found: list[Standings] = []

    def kept(*arguments: Any) -> list[Standings]:
        found.extend(overview(*arguments))
        return found

    with pytest.MonkeyPatch.context() as patch:
        for module in ("views", "make_report"):
            patch.setattr(f"bacon.reporting.page.{module}.MANY_CELLS", 49)
        patch.setattr("bacon.reporting.page.views.LONG", 40)
        patch.setattr("bacon.reporting.page.make_report._MANY_PARTS", 2)
        patch.setattr("bacon.reporting.page.make_report.overview", kept)
        return write_report(write_many_results(tmp_path_factory.mktemp("many"), grid, side=8)), found


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of 200 cells and the full data set, CIFAR-10's shape."""
    plan = write_results(tmp_path_factory.mktemp("large"), LARGE, side=32)
    assert len(plan.cells) == 200
    return write_report(plan)
