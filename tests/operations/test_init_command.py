"""`bacon init`: what it is given, what it says, and that the file it writes runs or is not written."""

import math
import os
import shlex
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from snakemake.cli import parse_args

from bacon.cli import main
from bacon.commands import init
from bacon.config.loading import load_config
from bacon.config.unreached import unreached_values
from bacon.datasets.prepare import build, prepare
from bacon.jobs.machine_speed import measure_machine
from bacon.operations import run_commands
from bacon.plan import machine as machines
from bacon.plan.machine import Machine
from bacon.settings.data import DataSettings
from tests.operations.own_inputs import arrays, folder, picture

MACHINE = Machine(cores=2, memory_mb=16_000, operations_per_second=4e10, pass_seconds=0.003, start_seconds=3)
SNAKEFILE = Path(__file__).parents[2] / "workflow" / "Snakefile"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """An empty working directory, on a machine that need not be measured."""
    monkeypatch.setattr("bacon.cli.set_up_logging", lambda: None)
    monkeypatch.setattr(init, "_machine", lambda: MACHINE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(path, *options):
    return CliRunner().invoke(main, ["init", str(path), *options])


def made(path, *options):
    """What is said about data that can be used, and the configuration that is written for them."""
    before = set(Path().glob("*.yaml"))
    result = run(path, "--preset", "smoke", *options)
    assert result.exit_code == 0, result.output
    (written,) = set(Path().glob("*.yaml")) - before
    return result.output, load_config(written)


def transparent(root):
    folder(root, classes=("a", "b"), mode="RGBA")
    return root


def with_test_folder(root, count):
    folder(root / "train", count=count)
    folder(root / "val", count=2, start=50)
    return root


def with_broken_files(root):
    """One file that has not even a header, and one that ends too early."""
    folder(root, suffix="jpg")
    (root / "cat" / "empty.jpg").write_bytes(b"")
    whole = root / "dog" / "RGB0.jpg"
    whole.write_bytes(whole.read_bytes()[:-60])
    return root


def deep(root):
    for label in "ab":
        (root / label).mkdir(parents=True)
        for number in range(3):
            values = np.arange(256, dtype=np.uint16).reshape(16, 16) * 16 + number
            Image.fromarray(values).save(root / label / f"{number}.png")
    return root


def prepared(path):
    arrays(Path("own.npz"), shape=(16, 16, 3))
    settings = DataSettings(format="npz", path="own.npz")
    prepare("own", settings, download_dir=Path(), output=path, fingerprint="made elsewhere")
    return path


# What is there -> (channels, side, training images, test images) of the data set that the configuration makes of it.
USABLE = {
    "photos": (lambda: folder(Path("photos")), (3, 16, 15, 3)),
    "a name for a shell": (lambda: folder(Path('it\'s "my" {photos}: #1 $HOME')), (3, 16, 15, 3)),
    "another script": (lambda: folder(Path("猫と犬"), classes=("猫", "犬")), (3, 16, 10, 2)),
    "a folder of grey images": (lambda: folder(Path("scans"), mode="L"), (1, 16, 15, 3)),
    "grey images among others": (lambda: folder(folder(Path("mixed"), mode="L"), count=3), (3, 16, 21, 6)),
    "many classes": (
        lambda: folder(Path("many"), classes=map(str, range(300)), count=2, size=(8, 8)),
        (3, 8, 300, 300),
    ),
    "tiny images": (lambda: folder(Path("tiny"), size=(3, 5)), (3, 8, 15, 3)),
    "large images": (
        lambda: folder(Path("large"), classes="ab", count=2, size=(1000, 600), suffix="jpg"),
        (3, 64, 2, 2),
    ),
    "one image per class": (lambda: with_test_folder(Path("single"), 1), (3, 16, 3, 6)),
    "a validation folder": (lambda: with_test_folder(Path("split"), 4), (3, 16, 12, 6)),
    "another level": (lambda: folder(Path("outer/inner")).parent, (3, 16, 15, 3)),
    "broken files": (lambda: with_broken_files(Path("broken")), (3, 16, 14, 3)),
    "transparency": (lambda: transparent(Path("icons")), (3, 16, 10, 2)),
    "12 bits in 16": (lambda: deep(Path("deep")), (1, 16, 4, 2)),
    "a registered name": (lambda: folder(Path("cifar10")), (3, 16, 15, 3)),
    "arrays": (lambda: arrays(Path("a.npz")), (3, 8, 30, 12)),
    "grey arrays": (lambda: arrays(Path("a.npz"), shape=(28, 28)), (1, 28, 30, 12)),
    "fractions": (lambda: arrays(Path("a.npz"), dtype="float32", most=1), (3, 8, 30, 12)),
    "fractions up to 255": (lambda: arrays(Path("a.npz"), dtype="float32"), (3, 8, 30, 12)),
    "64-bit integers": (lambda: arrays(Path("a.npz"), dtype="int64"), (3, 8, 30, 12)),
    "no test arrays": (lambda: arrays(Path("a.npz"), test=False), (3, 8, 24, 6)),
    "channels first": (lambda: arrays(Path("a.npz"), shape=(3, 20, 30)), (3, 16, 30, 12)),
    "a prepared file": (lambda: prepared(Path("prepared.h5")), (3, 16, 30, 12)),
}


@pytest.mark.parametrize("kind", USABLE)
def test_the_configuration_reads_the_data_as_they_are(kind):
    make, (channels, side, train, test) = USABLE[kind]
    path = make()
    _, config = made(path)
    ((name, settings),) = config.data.items()
    assert config.grid.datasets == (name,)
    assert unreached_values(config) == ()
    dataset = build(name, settings, download_dir=Path())
    assert dataset.train_images.shape == (train, channels, side, side)
    assert dataset.test_images.shape == (test, channels, side, side)


def test_it_says_what_is_there():
    path = folder(folder(Path("photos"), count=40), classes=("zebra",), count=3, size=(60, 20))
    (path / "notes.txt").write_text("seen on Tuesday")
    output = " ".join(made(path)[0].split())
    for words in (
        "photos what a folder of class folders classes 4: cat, dog, horse, zebra training 123 images, 3 to 40 per class",
        "no test set: 20% of each class, 25 images, will be held out",
        "20 to 60 pixels wide, 16 to 20 high; shorter side 16 to 20",
        "RGB (123)",
        "! photos: files not taken: 1 .txt",
        "unbalanced: 'cat' has 32 training images, 'zebra' 2",
        "few training images (fewer than 10): 'zebra'",
        "3 of 123 images are more than twice as long as wide",
        "Wrote photos.yaml: random, dm, bacon with 1 image per class at 16 x 16 pixels, 1 seed, preset smoke.",
        "Estimated time on this machine (2 CPU cores, no GPU): ",
    ):
        assert words in output


def copied(train):
    shutil.copytree(train, train.parent / "test")
    return train.parent


def with_one_training_image():
    train = folder(folder(Path("x/train")), classes=("zebra",), count=1, start=30)
    folder(folder(train.parent / "test", start=40), classes=("zebra",), count=2, start=60)
    return train.parent


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: with_broken_files(Path("x")), ["1 of 19 files looked at cannot be read", "2 files in all cannot be read"]),
        (lambda: with_test_folder(Path("x"), 4), ["no class has more than 2 test images"]),
        (lambda: arrays(Path("x.npz"), dtype="float32"), ["0 is taken for black and 255 for white"]),
        (lambda: copied(folder(Path("x/train"))), ["18 of 18 test images are training images too"]),
        (
            lambda: folder(folder(Path("x/train")).parent / "test", classes=("cat",), start=9).parent,
            ["no test images of", "no test images of 2 classes: 'dog', 'horse': accuracy"],
        ),
        (with_one_training_image, ["only one training image of", "only one training image of class 'zebra'"]),
    ],
)  # fmt: skip
def test_it_says_what_is_odd(make, words):
    output = " ".join(made(make())[0].split())
    assert [each for each in words if output.count(each) != 1] == []


def archive():
    folder(Path("inside"), count=1)
    return shutil.make_archive("photos", "zip", ".", "inside")


def flat():
    Path("flat").mkdir()
    picture(0, 0, 16, 16).save("flat/1.jpg")
    return Path("flat")


def table():
    Path("labels.csv").write_text("file,label\n1.jpg,cat\n")
    return "labels.csv"


def array():
    np.save("x.npy", np.zeros(3))
    return "x.npy"


def other_hdf5():
    with h5py.File("x.h5", "w") as file:
        file["images"] = np.zeros(3)
    return "x.h5"


def tensors():
    torch.save({"images": torch.zeros(3)}, "x.pt")
    return "x.pt"


def ambiguous():
    folder(Path("x/train"), count=1)
    folder(Path("x/more"), count=1)
    return "x"


def not_utf8():
    folder(Path("x"), count=1)
    os.rename(b"x", b"caf\xe9")  # noqa: PTH104 - a Path is text
    return "caf\udce9"


def linked(path):
    path.symlink_to("elsewhere")
    return path


REFUSED = {
    "nothing": (lambda: "photso", "photso: does not exist (looked in"),
    "a near name": (lambda: f"{folder(Path('photos'), count=1)}s", "did you mean photos?"),
    "a link to nothing": (lambda: linked(Path("photos")), "photos: a link to elsewhere, which does not exist"),
    "a registered data set": (lambda: "cifar10", "name it in grid.datasets"),
    "an address": (lambda: "https://example.org/photos.zip", "download and unpack it"),
    "an archive": (archive, "photos.zip: a zip archive with 3 images; unpack it, and give bacon init the folder"),
    "one image": (lambda: flat() / "1.jpg", "a JPEG image; give bacon init the folder that holds one folder of images"),
    "images without classes": (flat, "Make one folder per class in flat"),
    "a table": (table, "a text table (csv); images are not read from tables. Sort the image files"),
    "one array": (array, "a single NumPy array (.npy); save images and labels with numpy.savez as x_train and y_train"),
    "other HDF5": (other_hdf5, "an HDF5 file; save images and labels with numpy.savez"),
    "tensors": (tensors, "a file of torch.save; save images and labels with numpy.savez"),
    "an empty folder": (lambda: Path("empty").mkdir() or "empty", "Found: no files at all"),
    "train beside others": (ambiguous, "Then run bacon init with that path"),
    "one class": (lambda: folder(Path("x"), classes=("cat",)), "there is only one class ('cat')"),
    "one image and no test": (lambda: folder(Path("x"), count=1), "only one image of 'cat', 'dog', 'horse'"),
    "labels with gaps": (lambda: arrays(Path("x.npz"), labels=(0, 2)), "no training image of class 1; labels must run 0..2"),
    "values that are none": (lambda: arrays(Path("x.npz"), dtype="float32", most=math.nan), "NaN or infinite values"),
    "the working directory": (lambda: folder(Path.cwd() / "x").parent, "results would be written among the data"),
    "a name that is not UTF-8": (not_utf8, "holds characters that cannot be printed; rename the folder or file"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_used_is_refused_with_the_next_step(kind):
    make, words = REFUSED[kind]
    path = make()
    result = run(path)
    assert result.exit_code == 1
    assert words in result.output
    assert result.output.startswith("Error: ")
    assert list(Path().glob("*.yaml")) == []


def test_a_file_is_replaced_only_when_told():
    path, kept = folder(Path("photos")), Path("photos.yaml")
    kept.write_text("mine")
    result = run(path, "--preset", "smoke")
    assert (result.exit_code, kept.read_text()) == (1, "mine")
    assert "photos.yaml exists and is kept; --force replaces it, --output names another file" in result.output
    assert run(path, "--preset", "smoke", "--output", "new/other.yaml").exit_code == 0
    assert load_config("new/other.yaml").preset == "smoke"
    assert run(path, "--preset", "smoke", "--force").exit_code == 0
    assert load_config(kept).preset == "smoke"


def test_names():
    path = folder(Path("My Photos"), count=2)
    assert made(path)[1].grid.datasets == ("my-photos",)
    assert made(path, "--name", "trip.2")[1].data["trip.2"].title == "My Photos"
    refused = run(path, "--name", "my photos", "--force")
    assert (refused.exit_code, "write 'my-photos'" in refused.output) == (1, True)
    assert "another" in run(path, "--name", "digits", "--force").output
    assert made(folder(Path("cifar10"), count=2))[1].grid.datasets == ("my-cifar10",)


def test_paths_are_kept_as_they_are_given(place, monkeypatch):
    monkeypatch.setenv("HOME", str(place))
    folder(Path("here/photos"), count=2)
    whole = str(place / "here/photos")
    for number, (given, kept) in enumerate((("here/photos/", "here/photos"), (whole, whole), ("~/here/photos", whole))):
        config = made(given, "--output", f"{number}.yaml")[1]
        assert config.data["photos"].path == kept


def test_where_reading_takes_long_a_part_is_looked_at(monkeypatch):
    monkeypatch.setattr("bacon.commands.own_data._TRIAL_SECONDS", 0.0)
    output, config = made(with_broken_files(Path("photos")))
    assert "headers of 18 images were read; the run will read them all" in output
    assert config.data["photos"].corrupt_limit == 1  # of the two, one has a header


def commands(output):
    return [line.strip() for line in output.splitlines() if line.startswith(("  snakemake ", "  bacon "))]


def test_the_commands_are_those_of_this_place(monkeypatch):
    path = folder(Path("photos"), count=2)
    output, _ = made(path, "--output", "my photos.yaml")
    dry_run, run_all, _, export = (shlex.split(line) for line in commands(output))
    _, options = parse_args(run_all[1:])
    assert Path(options.snakefile) == SNAKEFILE
    assert (options.cores, options.configfile) == (2, [Path("my photos.yaml")])
    assert parse_args(dry_run[1:])[1].dryrun
    assert shlex.join(export[2:]) == "photos/bacon/ipc1/seed0 --format pt --output exports --config 'my photos.yaml'"
    monkeypatch.chdir(SNAKEFILE.parents[1])
    assert run_commands._snakefile() == ""


def test_this_machine_is_measured(tmp_path, monkeypatch):
    threads = torch.get_num_threads()
    found = measure_machine(2.5)
    assert torch.get_num_threads() == threads
    assert found.operations_per_second > 1e8
    assert 0 <= found.pass_seconds < 1
    assert found.start_seconds == 2.5
    assert found.cores >= 1
    limit = tmp_path / "memory.max"
    limit.write_text("3000000000\n")
    monkeypatch.setattr(machines, "_CGROUP_LIMITS", (limit, tmp_path / "absent"))
    assert machines.usable_memory_mb() == 3000
    limit.write_text("max\n")
    assert machines.usable_memory_mb() > 0
