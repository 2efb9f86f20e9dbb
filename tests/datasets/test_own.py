"""Own data: image folders, npz and hdf5, good and bad, through `prepare`."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from bacon.datasets.prepare import prepare
from bacon.datasets.store import read_dataset, write_dataset
from bacon.runtime.errors import BaconError
from bacon.settings import DataSettings

GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.integers(0, 256, (24, 3, 8, 8)).astype(np.uint8)
LABELS = np.arange(24) % 3


@pytest.fixture
def made(tmp_path):
    """Prepare own data: (format, path, settings...) -> the data set as it is read back."""

    def make(kind, path, **settings):
        output = tmp_path / "made.h5"
        data = DataSettings(format=kind, path=str(path), **settings)
        prepare("own", data, download_dir=tmp_path / "none", output=output, fingerprint="f")
        return read_dataset(output, expected_fingerprint="f")

    return make


class TestNpz:
    @pytest.fixture
    def saved(self, tmp_path):
        def save(**changes):
            arrays = {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:6], "y_test": LABELS[:6]} | changes
            np.savez(tmp_path / "own.npz", **{name: array for name, array in arrays.items() if array is not None})
            return tmp_path / "own.npz"

        return save

    def test_channels_last_floats_in_0_1(self, made, saved):
        floats = IMAGES.transpose(0, 2, 3, 1) / 255
        dataset = made("npz", saved(x_train=floats, x_test=floats[:6]))
        np.testing.assert_array_equal(dataset.train_images, IMAGES)
        np.testing.assert_array_equal(dataset.train_labels, LABELS)
        assert dataset.class_names == ("0", "1", "2")
        assert dataset.mean == pytest.approx((IMAGES / 255).mean(axis=(0, 2, 3)))
        assert dataset.std == pytest.approx((IMAGES / 255).std(axis=(0, 2, 3)))

    def test_grey_labels_in_a_column_and_class_names(self, made, saved):
        grey, names = IMAGES[:, 0], np.array(["a", "b", "c"])
        dataset = made("npz", saved(x_train=grey, x_test=grey[:6], y_train=LABELS[:, None], class_names=names))
        np.testing.assert_array_equal(dataset.train_images[:, 0], grey)
        assert dataset.class_names == ("a", "b", "c")

    def test_given_normalisation_and_size(self, made, saved):
        dataset = made("npz", saved(), size=4, mean=(0.1, 0.2, 0.3), std=(1, 2, 3))
        assert dataset.train_images.shape == (24, 3, 4, 4)
        assert (dataset.mean, dataset.std) == ((0.1, 0.2, 0.3), (1, 2, 3))

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"y_test": None}, "y_test missing; it holds x_train"),
            ({"x_train": IMAGES.astype(str)}, "has type <U"),
            ({"x_train": IMAGES.astype(complex)}, "has type complex128"),
            ({"x_train": IMAGES[:, 0, 0]}, r"has shape \(24, 8\); images are"),
            ({"x_train": IMAGES[:, :2]}, "neither axis 1 nor axis 3 has 1 or 3 channels"),
            ({"x_train": np.full(IMAGES.shape, np.nan)}, "NaN or infinite"),
            ({"x_train": IMAGES / 100}, "fractions and values up to 2.55"),
            ({"x_train": IMAGES.astype(int) - 128}, r"values in \[-128, 127\]"),
            ({"x_train": IMAGES.astype(int) % 2}, "only 0 and 1"),
            ({"x_test": IMAGES[:6, :, :4, :4]}, "they must be of one shape"),
            ({"x_test": IMAGES[:6].astype(float) / 255}, "not in 0..255"),
            ({"x_train": IMAGES[:0], "y_train": LABELS[:0]}, "has no images"),
            ({"y_train": LABELS[:20]}, "24 images and 20 labels"),
            ({"y_train": LABELS / 2}, "labels are integers"),
            ({"y_train": np.eye(3, dtype=int)[LABELS]}, "not one-hot"),
            ({"y_train": LABELS - 1}, "has the label -1"),
            ({"y_train": LABELS * 2}, r"no training image of class 1, 3"),
            ({"y_train": LABELS * 0, "y_test": LABELS[:6] * 0}, "one class only"),
            ({"y_train": LABELS + 10**6}, "a class is empty|must lie in"),
            ({"y_test": LABELS[:6] + 1}, "test labels run from 1 to 3; with 3 classes they must lie in 0..2"),
            ({"x_train": np.zeros_like(IMAGES)}, "same value in every training image"),
            ({"x_train": IMAGES[:, :, :, :6], "x_test": IMAGES[:6, :, :, :6]}, "8 x 6 pixels; networks take square"),
            ({"y_train": np.array([{}] * 24, dtype=object)}, "not an .npz file of plain arrays"),
        ],
    )
    def test_bad_arrays_are_errors_that_name_them(self, made, saved, tmp_path, changes, message):
        with pytest.raises(BaconError, match=message):
            made("npz", saved(**changes))
        assert not (tmp_path / "made.h5").exists()

    @pytest.mark.parametrize("keep", [0, 0.2, 0.7, 0.999])
    def test_a_file_cut_short_is_an_error(self, made, saved, keep):
        path = saved()
        content = path.read_bytes()
        path.write_bytes(content[: int(keep * len(content))])
        with pytest.raises(BaconError, match=r"own\.npz"):
            made("npz", path)

    def test_a_mean_of_other_channels_is_an_error(self, made, saved):
        with pytest.raises(BaconError, match=r"data\.own: mean has 1 and std 1 values; the images have 3 channels"):
            made("npz", saved(), mean=(0.5,), std=(0.5,))


class TestImageFolder:
    @pytest.fixture
    def folder(self, tmp_path):
        """train and test, classes cat and dog, 4 and 2 PNG images of each; image n of a class is filled with 10 n."""
        for split, count in (("train", 4), ("test", 2)):
            for label, name in enumerate(("cat", "dog")):
                place = tmp_path / "own" / split / name
                place.mkdir(parents=True)
                for n in range(count):
                    Image.new("RGB", (8, 8), (10 * n, 100 * label, 7)).save(place / f"{n}.png")
        return tmp_path / "own"

    def test_train_and_test_folders(self, made, folder):
        dataset = made("imagefolder", folder, mean=(0.5,) * 3, std=(1,) * 3)
        assert dataset.class_names == ("cat", "dog")
        assert dataset.train_labels.tolist() == [0] * 4 + [1] * 4
        assert dataset.train_images[:, 0, 0, 0].tolist() == [0, 10, 20, 30] * 2
        assert dataset.train_images[:, 1, 0, 0].tolist() == [0] * 4 + [100] * 4
        assert dataset.test_images.shape == (4, 3, 8, 8)

    def test_one_folder_is_split_by_seed_with_the_same_share_of_each_class(self, made, folder):
        splits = []
        for seed in (0, 0, 1, 2, 3):
            dataset = made(
                "imagefolder", folder / "train", test_fraction=0.5, split_seed=seed, mean=(0.5,) * 3, std=(1,) * 3
            )
            assert np.bincount(dataset.test_labels).tolist() == [2, 2]
            both = np.concatenate([dataset.train_images, dataset.test_images])[:, :2, 0, 0]
            assert len({tuple(pixel) for pixel in both.tolist()}) == 8
            splits.append(dataset.test_images[:, 0, 0, 0].tolist())
        assert splits[0] == splits[1]
        assert len({tuple(split) for split in splits}) > 1

    def test_mixed_sizes_are_an_error_without_a_size_and_cropped_with_one(self, made, folder):
        wide = Image.new("RGB", (40, 16), (0, 0, 0))
        wide.paste((200, 200, 200), (12, 0, 28, 16))
        wide.save(folder / "train" / "cat" / "0.png")
        with pytest.raises(BaconError, match=r"2 different sizes .*16 x 40.*set data\.own\.size"):
            made("imagefolder", folder)
        dataset = made("imagefolder", folder, size=8)
        assert dataset.train_images.shape == (8, 3, 8, 8)
        # Antialiasing mixes the neighbours of the crop into its edge.
        assert (dataset.train_images[0, :, :, 1:-1] == 200).all()

    def test_grey_when_every_image_is_grey(self, made, folder):
        for path in folder.rglob("*.png"):
            Image.open(path).convert("L").save(path)
        assert made("imagefolder", folder).train_images.shape[1] == 1
        assert made("imagefolder", folder, channels=3).train_images.shape[1] == 3

    @pytest.mark.parametrize("content", [b"", b"no image", None], ids=["empty", "text", "cut short"])
    def test_corrupt_files_are_named_and_skipped_up_to_the_limit(self, made, folder, content):
        bad = folder / "train" / "dog" / "2.png"
        noise = Image.fromarray(GENERATOR.integers(0, 256, (8, 8, 3)).astype(np.uint8))
        noise.save(bad)
        bad.write_bytes(bad.read_bytes()[:-80] if content is None else content)
        with pytest.raises(BaconError, match=r"1 files cannot be read.*corrupt_limit allows 0(.|\n)*train/dog/2\.png"):
            made("imagefolder", folder)
        dataset = made("imagefolder", folder, corrupt_limit=1, mean=(0.5,) * 3, std=(1,) * 3)
        assert dataset.train_labels.tolist() == [0] * 4 + [1] * 3
        assert dataset.train_images[4:, 0, 0, 0].tolist() == [0, 10, 30]

    def test_an_empty_class_is_an_error(self, made, folder):
        (folder / "train" / "emu").mkdir()
        with pytest.raises(BaconError, match=r"no training image of class 2 \(emu\)"):
            made("imagefolder", folder)

    def test_a_class_of_corrupt_files_is_an_error(self, made, folder):
        for path in (folder / "train" / "dog").iterdir():
            path.write_bytes(b"")
        with pytest.raises(BaconError, match=r"no training image of class 1 \(dog\)"):
            made("imagefolder", folder, corrupt_limit=10)

    def test_a_class_that_only_the_test_folder_has_is_an_error(self, made, folder):
        (folder / "test" / "emu").mkdir()
        with pytest.raises(BaconError, match="emu is no class of the training folder"):
            made("imagefolder", folder)

    def test_an_image_beside_the_classes_is_an_error(self, made, folder):
        Image.new("L", (8, 8)).save(folder / "train" / "lost.png")
        with pytest.raises(BaconError, match=r"lost\.png lies beside the class folders"):
            made("imagefolder", folder)

    def test_a_folder_without_images_is_an_error(self, made, tmp_path):
        (tmp_path / "own" / "cat").mkdir(parents=True)
        with pytest.raises(BaconError, match="no folder in it holds an image file"):
            made("imagefolder", tmp_path / "own")

    def test_a_folder_that_cannot_be_read_is_named(self, made, folder, monkeypatch):
        # Modes do not stop the superuser, so the system call itself is made to fail.
        import os

        scan = os.scandir

        def refuse(path):
            if str(path).endswith("dog"):
                raise PermissionError(13, "Permission denied", str(path))
            return scan(path)

        monkeypatch.setattr(os, "scandir", refuse)
        with pytest.raises(BaconError, match="dog: cannot be read: Permission denied"):
            made("imagefolder", folder)


class TestHdf5:
    def test_a_store_is_own_data_and_its_validation_split_returns_to_training(self, made, tmp_path):
        np.savez(tmp_path / "own.npz", x_train=IMAGES, y_train=LABELS, x_test=IMAGES[:6], y_test=LABELS[:6])
        first = made("npz", tmp_path / "own.npz", validation=0.25)
        assert np.bincount(first.validation_labels).tolist() == [2, 2, 2]
        write_dataset(tmp_path / "own.h5", dataclasses.replace(first, class_names=("a", "b", "c")))
        second = made("hdf5", tmp_path / "own.h5")
        assert second.class_names == ("a", "b", "c")
        assert {image.tobytes() for image in second.train_images} == {image.tobytes() for image in IMAGES}
        np.testing.assert_array_equal(second.test_images, IMAGES[:6])
        assert second.mean == pytest.approx((IMAGES / 255).mean(axis=(0, 2, 3)))


def test_fewer_images_than_the_ipc_are_a_clear_error_at_run_time():
    import torch

    from bacon.distillation.initialisation import noise_images, real_images
    from bacon.distillation.real import RealImages
    from tests.distillation.conftest import toy_dataset

    real = RealImages(toy_dataset(counts=(14, 5, 17)), device=torch.device("cpu"))
    assert len(real_images(real, ipc=5, partition=1, seed=0)) == 15
    with pytest.raises(BaconError, match="needs 6 different real images per class; class 'class 1' has 5: lower"):
        real_images(real, ipc=6, partition=1, seed=0)
    with pytest.raises(BaconError, match=r"IPC 2 with partition 2 needs 8 .* at most 1"):
        real_images(real, ipc=2, partition=2, seed=0)
    assert len(noise_images(real, ipc=6, seed=0)) == 18
