"""What the commands take for the configuration, and what `bacon prune` leaves alone, by the runs that a folder records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from bacon.cli import main
from bacon.config.loading import load_config
from bacon.operations.recorded_runs import CONFIGURATIONS, record_run, recorded_runs
from bacon.runtime.errors import BaconError

CELL = "results/distilled/digits/{}/ipc1/seed0.h5"


def configuration(method: str, **more: object) -> dict:
    return {"preset": "smoke", "grid": {"datasets": ["digits"], "methods": [method], "ipc": [1], "seeds": 1}, **more}


def write(name: str, config: dict) -> dict:
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text(yaml.safe_dump(config))
    return config


def run_of(name: str, config: dict, *, overridden: bool = False):
    return record_run(write(name, config), files=[Path(name).absolute()], overridden=overridden)


def bacon(*arguments: str):
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_is_recorded_by_its_content(here):
    first = run_of("my.yaml", configuration("dm"))
    assert recorded_runs() == (first,)
    assert (first.files, first.only_file, first.source) == (("my.yaml",), "my.yaml", "my.yaml")
    assert load_config(first.path) == load_config("my.yaml")
    assert record_run(configuration("dm"), files=["my.yaml"], overridden=False).digest == first.digest
    assert len(recorded_runs()) == 1, "the same run again"
    second = run_of("other.yaml", configuration("idm"))
    assert [run.digest for run in recorded_runs()] == [first.digest, second.digest]
    changed = run_of("my.yaml", configuration("random"), overridden=True)
    assert (changed.only_file, changed.source) == (None, "my.yaml + --config")
    edited = run_of("my.yaml", configuration("bacon"))
    assert [run.digest for run in recorded_runs()] == [second.digest, changed.digest, edited.digest], "an edited file"
    second.path.unlink()
    assert [run.digest for run in recorded_runs()] == [changed.digest, edited.digest], "a deleted one is forgotten"
    assert not [path for path in Path(CONFIGURATIONS).iterdir() if path.name.startswith(".tmp")]
    outside = record_run(configuration("dm"), files=[here.parent / "a.yaml"], overridden=False)
    assert outside.files == (str(here.parent / "a.yaml"),)


COMMANDS = (
    ("status",),
    ("prune",),
    ("data", "list"),
    ("config", "--cell", "digits/dm/ipc1/seed0"),
    ("export", "digits/dm/ipc1/seed0", "--format", "pt", "--output", "out"),
    ("report",),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_takes_the_configuration_of_the_last_run_and_says_so(command):
    run = run_of("my.yaml", configuration("dm"))
    write("config/config.yaml", configuration("idm"))
    done = bacon(*command)
    assert f"Configuration: {run.path} (from my.yaml), of the last run here" in done.stderr
    assert "is unknown" not in done.output
    named = bacon(*command, "--config", "config/config.yaml")
    assert (
        f"Warning: config/config.yaml differs from the configuration of the last run here, {run.path}" in named.stderr
    )
    same = bacon(*command, "--config", "my.yaml")
    assert "Warning" not in same.stderr
    assert "Configuration:" not in same.stderr


def test_an_edited_file_is_said_to_differ_from_the_run():
    run_of("my.yaml", configuration("dm"))
    assert "has changed since" not in bacon("status").stderr
    Path("my.yaml").write_text("# a comment, and the same values in another order\n" + json.dumps(configuration("dm")))
    assert "has changed since" not in bacon("status").stderr
    write("my.yaml", configuration("idm"))
    warned = bacon("status")
    assert "Warning: my.yaml has changed since that run; --config my.yaml reads it as it is now" in warned.stderr
    assert "digits/dm" in warned.stdout
    Path("my.yaml").unlink()
    assert "has changed since" not in bacon("status").stderr


def test_before_the_first_run_it_is_the_default_file():
    without = bacon("status")
    assert without.exit_code == 1
    assert "no run is recorded in" in without.stderr
    assert bacon("data", "list").exit_code == 0
    write("config/config.yaml", configuration("dm"))
    done = bacon("status")
    assert done.exit_code == 0
    assert "Configuration: config/config.yaml (no run is recorded here)" in done.stderr


def test_json_is_alone_on_stdout():
    run_of("my.yaml", configuration("dm"))
    write("my.yaml", configuration("idm"))
    assert json.loads(bacon("status", "--json").stdout)["jobs"]


def touch(*methods: str) -> None:
    for method in methods:
        Path(CELL.format(method)).parent.mkdir(parents=True, exist_ok=True)
        Path(CELL.format(method)).touch()


def offered(*options: str) -> set[str]:
    done = bacon("prune", *options)
    assert done.exit_code == 0, done.output
    return {method for method in ("dm", "idm", "bacon", "random") if CELL.format(method) in done.stdout}


def test_prune_offers_nothing_that_another_recorded_run_made():
    touch("dm", "idm", "bacon", "random")
    run_of("a.yaml", configuration("dm"))
    run_of("b.yaml", configuration("idm"))
    record_run(configuration("bacon"), files=["b.yaml"], overridden=True)
    expected = {"random"}
    assert offered() == expected
    for name in ("a.yaml", "b.yaml"):
        assert offered("--config", name) == expected
    assert offered("--config", "b.yaml", "--records") == expected
    write("config/config.yaml", configuration("random"))
    assert offered("--config", "config/config.yaml") == set()
    bacon("prune", "--remove")
    assert [Path(CELL.format(method)).exists() for method in ("dm", "idm", "bacon", "random")] == [
        True,
        True,
        True,
        False,
    ]


def test_prune_offers_what_an_edited_file_does_not_have_any_more():
    touch("dm", "idm")
    run = run_of("a.yaml", configuration("dm"))
    write("a.yaml", configuration("idm"))
    assert offered() == {"idm"}
    assert offered("--config", "a.yaml") == {"dm"}
    run_of("a.yaml", configuration("idm"))
    assert offered() == {"dm"}
    assert not any(one.digest == run.digest for one in recorded_runs())


def test_a_deleted_record_protects_nothing():
    touch("dm")
    run_of("a.yaml", configuration("dm")).path.unlink()
    run_of("b.yaml", configuration("idm"))
    assert offered() == {"dm"}


def test_prune_offers_nothing_while_an_earlier_run_is_not_known():
    touch("dm")
    broken = run_of("a.yaml", configuration("dm"))
    run_of("b.yaml", configuration("idm"))
    broken.path.write_text("grid: {methods: [gone]}\n")
    done = bacon("prune")
    assert done.exit_code == 1
    assert f"{broken.path}, the configuration of an earlier run, cannot be planned any more" in done.stderr
    assert Path(CELL.format("dm")).exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"runs": 3}', '{"runs": [{"digest": "a"}]}', '{"runs": [3]}'])
def test_a_damaged_list_of_runs_is_one_error(text):
    run_of("a.yaml", configuration("dm"))
    Path(CONFIGURATIONS, "runs.json").write_text(text)
    with pytest.raises(BaconError, match=r"runs\.json: the list of runs cannot be read .*delete it"):
        recorded_runs()
    assert bacon("status").exit_code == 1


def test_unknown_cells_are_answered_with_the_nearest_few():
    grid = {"datasets": ["digits"], "methods": ["dm", "idm", "bacon", "random"], "ipc": [1, 5, 10], "seeds": 5}
    run_of("a.yaml", configuration("dm", grid=grid) | {"grid": grid})
    done = bacon("export", "digits/dm/ipc5/seed7", "--format", "pt", "--output", "out")
    assert done.exit_code == 1
    message = done.stderr.splitlines()[-1]
    assert "CELL = 'digits/dm/ipc5/seed7' is unknown; did you mean 'digits/dm/ipc5/seed" in message
    assert "60 are allowed" in message
    assert message.count("digits/") == 7
    assert len(message) < 300
