"""The prepared file: what is written is read, damage is noticed, and neither a full disk nor a kill leaves half a file."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from bacon.cli import main
from bacon.datasets.store import ImageDataset, read_dataset, verify_dataset, write_dataset
from bacon.datasets.whitening import fit_whitening
from bacon.distillation.real import RealImages
from bacon.evaluation.images import ImageSet
from bacon.runtime.errors import BaconError

ROOT = Path(__file__).parents[2]
GENERATOR = np.random.default_rng(1)


def dataset(count=60, side=8, **changes):
    images = GENERATOR.integers(0, 256, (count, 3, side, side)).astype(np.uint8)
    made = ImageDataset(
        name="own",
        train_images=images,
        train_labels=np.arange(count) % 3,
        test_images=images[:9],
        test_labels=np.arange(9) % 3,
        class_names=("a", "b", "c"),
        mean=(0.5, 0.4, 0.3),
        std=(0.2, 0.3, 0.4),
        fingerprint="f",
    )
    return dataclasses.replace(made, **changes)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "own.h5"


def test_what_is_written_is_read(path):
    whitening = fit_whitening(dataset().train_images, 0.1, "own")
    made = dataset(validation_images=dataset().test_images, validation_labels=np.arange(9) % 3, whitening=whitening)
    write_dataset(path, made, attributes={"source": "here"})
    read = verify_dataset(path)
    for (name, (images, labels)), (_, (found, found_labels)) in zip(made.splits(), read.splits(), strict=True):
        np.testing.assert_array_equal(found, images, err_msg=name)
        np.testing.assert_array_equal(found_labels, labels, err_msg=name)
    np.testing.assert_array_equal(read.whitening.matrix, whitening.matrix)
    assert (read.class_names, read.mean, read.std, read.fingerprint) == (made.class_names, made.mean, made.std, "f")
    with h5py.File(path) as file:
        stored = file["train/images"]
        assert (stored.compression, stored.fletcher32) == ("lzf", True)
        assert stored.chunks[1:] == (3, 8, 8)


def test_a_file_cut_short_anywhere_is_an_error(path):
    write_dataset(path, dataset())
    content = path.read_bytes()
    for cut in (0, 4, 100, 2000, *range(len(content) // 7, len(content), len(content) // 7), len(content) - 1):
        path.write_bytes(content[:cut])
        with pytest.raises(BaconError, match=r"own\.h5: (not an HDF5|truncated or damaged)"):
            read_dataset(path)


def test_a_flipped_byte_in_the_images_is_an_error(path):
    write_dataset(path, dataset())
    with h5py.File(path) as file:
        info = file["train/images"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[info.byte_offset + info.size // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BaconError, match="truncated or damaged"):
        read_dataset(path)


def test_contents_that_are_not_those_of_the_checksum_are_found_by_verifying(path):
    write_dataset(path, dataset())
    with h5py.File(path, "r+") as file:
        file["train/labels"][0] = 2
    read_dataset(path)
    with pytest.raises(BaconError, match="its contents have the sha256"):
        verify_dataset(path)
    result = CliRunner().invoke(main, ["data", "inspect", str(path)])
    assert result.exit_code == 1
    assert "its contents have the sha256" in result.output


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.attrs.__setitem__("schema_version", 0), "written by an older version .*schema 0"),
        (lambda file: file.attrs.__setitem__("schema_version", 2), "written by a newer version .*schema 2"),
        (lambda file: file.attrs.__setitem__("format", "other"), "not a preprocessed data set of this project"),
        (lambda file: file.__delitem__("test"), "truncated or damaged"),
        (lambda file: file.attrs.__delitem__("mean"), "truncated or damaged"),
        (lambda file: file.attrs.__setitem__("fingerprint", "g"), "made for fingerprint g, asked for is f"),
    ],
)
def test_foreign_and_older_files_are_clear_errors(path, change, message):
    write_dataset(path, dataset())
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(BaconError, match=message):
        read_dataset(path, expected_fingerprint="f")


def test_a_missing_file_is_named(path):
    with pytest.raises(BaconError, match=r"own\.h5: does not exist"):
        read_dataset(path)


FULL = """
import resource, sys
import numpy as np
from bacon.datasets.store import ImageDataset, write_dataset
from bacon.runtime.errors import BaconError
images, labels = np.random.default_rng(0).integers(0, 256, (4000, 3, 32, 32)).astype(np.uint8), np.arange(4000) % 2
made = ImageDataset(name="own", train_images=images, train_labels=labels, test_images=images, test_labels=labels,
                    class_names=("a", "b"), mean=(0.5,) * 3, std=(0.3,) * 3, fingerprint="g")
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, resource.RLIM_INFINITY))
try:
    write_dataset(sys.argv[1], made)
except BaconError as error:
    print(error)
"""


def test_a_write_that_fails_midway_leaves_the_former_file_and_nothing_else(path):
    """The largest file that a process may write stands for a full disk: the system refuses in the middle of the images."""
    write_dataset(path, dataset())
    before = path.read_bytes()
    command = [sys.executable, "-c", FULL, str(path)]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, f"{path}: cannot be written: File too large\n"), done.stderr
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


PREPARE = """
import sys
from pathlib import Path
from bacon.datasets.prepare import prepare
from bacon.settings import DataSettings
source, output = map(Path, sys.argv[1:])
prepare("own", DataSettings(format="npz", path=str(source)), download_dir=Path("none"), output=output, fingerprint="f")
"""


def test_a_preparation_killed_while_it_writes_leaves_no_file_and_the_next_one_succeeds(tmp_path):
    images = GENERATOR.integers(0, 256, (2500, 3, 64, 64)).astype(np.uint8)
    source, output = tmp_path / "own.npz", tmp_path / "out" / "own.h5"
    labels = np.arange(2500) % 3
    np.savez(source, x_train=images, y_train=labels, x_test=images[:9], y_test=labels[:9])
    command = [sys.executable, "-c", PREPARE, str(source), str(output)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    running = subprocess.Popen(command, env=environment)
    # The temporary file grows beside the target while it is written.
    while not any(file.stat().st_size > 1_000_000 for file in output.parent.glob(".tmp-*")):
        assert running.poll() is None, "it ended before it could be killed"
        time.sleep(0.002)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert not output.exists()
    subprocess.run(command, env=environment, check=True)
    np.testing.assert_array_equal(verify_dataset(output).train_images, images)


class TestWhitening:
    def test_covariance_becomes_that_of_the_formula(self):
        """With eigenvalues l of the covariance, whitened images have l / (l + epsilon), and the inverse gives them back."""
        images = GENERATOR.integers(0, 256, (400, 1, 4, 4)).astype(np.uint8)
        images[:, 0, 0] = images[:, 0, 1]
        whitening = fit_whitening(images, 0.01, "own")
        pixels = images.astype(np.float32) / 255
        white = whitening.apply(pixels).reshape(400, 16).astype(np.float64)
        values = np.linalg.eigvalsh(np.cov(pixels.reshape(400, 16).T.astype(np.float64), bias=True))
        found = np.linalg.eigvalsh(np.cov(white.T, bias=True))
        np.testing.assert_allclose(found, np.sort(values / (values + 0.01)), atol=1e-5)
        np.testing.assert_allclose(white.mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(whitening.invert(whitening.apply(pixels)), pixels, atol=1e-5)
        np.testing.assert_allclose(whitening.matrix, whitening.matrix.T, atol=1e-6)

    def test_distillation_and_evaluation_apply_the_same(self):
        made = dataset()
        whitening = fit_whitening(made.train_images, 0.1, "own")
        made = dataclasses.replace(made, whitening=whitening)
        expected = whitening.apply(made.train_images.astype(np.float32) / 255)
        real = RealImages(made, device=torch.device("cpu"))
        order = np.argsort(made.train_labels, kind="stable")
        np.testing.assert_allclose(real.batch(torch.arange(60)).numpy(), expected[order], atol=1e-5)
        test = ImageSet.of_uint8(
            made.train_images,
            made.train_labels,
            mean=made.mean,
            std=made.std,
            device=torch.device("cpu"),
            whitening=whitening,
        )
        np.testing.assert_allclose(test.normalised(test.images).numpy(), expected, atol=1e-5)
        assert test.images.dtype == torch.uint8

    def test_images_too_large_are_an_error(self):
        with pytest.raises(BaconError, match=r"set a smaller data\.own\.size or zca: false|Set a smaller"):
            fit_whitening(np.zeros((1, 3, 65, 65), np.uint8), 0.1, "own")


class TestCommands:
    def test_inspect_prints_and_verifies(self, path):
        write_dataset(path, dataset(), attributes={"source": "from [here]"})
        result = CliRunner().invoke(main, ["data", "inspect", str(path)])
        assert result.exit_code == 0, result.output
        for text in ("(60, 3, 8, 8)", "from [here]", "0.5, 0.4, 0.3", "Verified"):
            assert text in result.output

    def test_list_tells_the_state(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "mine.npz").write_bytes(b"x")
        (tmp_path / "config").mkdir()
        (tmp_path / "config" / "config.yaml").write_text(
            "data:\n  mine: {format: npz, path: mine.npz}\n  gone: {format: npz, path: gone.npz}\n"
        )
        mnist = tmp_path / "resources" / "downloads" / "mnist"
        mnist.mkdir(parents=True)
        for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
            (mnist / f"{name}-ubyte").write_bytes(b"")
        write_dataset(tmp_path / "results" / "data" / "cifar10.h5", dataset())
        (tmp_path / "results" / "data" / "svhn.h5").write_bytes(b"broken")
        result = CliRunner().invoke(main, ["data", "list"])
        assert result.exit_code == 0, result.output
        lines = [line.split("│") for line in result.output.splitlines() if line.count("│") == 8]
        states = {line[1].strip(): line[6].strip() for line in lines}
        assert states == {
            "digits": "embedded",
            "mnist": "downloaded",
            "fashionmnist": "absent",
            "svhn": "damaged",
            "cifar10": "stale",
            "cifar100": "absent",
            "tinyimagenet": "absent",
            "mine": "present",
            "gone": "absent",
        }
