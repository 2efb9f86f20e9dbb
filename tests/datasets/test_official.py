"""The publishers' formats, from archives made here to the prepared data set."""

import pickle

import numpy as np
import pytest

from bacon.datasets import class_names
from bacon.datasets.prepare import build, prepare
from bacon.datasets.registry import REGISTRY
from bacon.datasets.store import read_dataset
from bacon.runtime.errors import BaconError
from bacon.settings.data import DataSettings
from tests.datasets import archives
from tests.datasets.conftest import official


def images(count, *, side=32, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, channels, side, side)).astype(np.uint8)


def labels(count, classes=10):
    return (np.arange(count) * 7 % classes).astype(np.int64)


@pytest.fixture
def made(monkeypatch, tmp_path):
    """Put files into the download folder and make them the official ones: (name, contents, sizes) -> data set read."""

    def make(name, contents, *, sizes, settings=None, **changes):
        train, test = sizes
        info = official(name, contents, train_size=train, test_size=test, **changes)
        monkeypatch.setitem(REGISTRY, name, info)
        folder = archives.put(tmp_path / "downloads", contents)
        return build(name, settings or DataSettings(), download_dir=folder)

    return make


def cifar(name, *, train=40, test=20, classes=10, names=class_names.CIFAR10, **changes):
    members = archives.cifar_members(
        name, images(train), labels(train, classes), images(test, seed=1), labels(test, classes), list(names)
    )
    file = f"cifar-{name[5:]}-python.tar.gz"
    return {file: archives.tar_gz(members | changes)}


class TestCifar:
    def test_cifar10_is_read_in_the_order_of_its_batches(self, made):
        dataset = made("cifar10", cifar("cifar10"), sizes=(40, 20))
        np.testing.assert_array_equal(dataset.train_images, images(40))
        np.testing.assert_array_equal(dataset.train_labels, labels(40))
        np.testing.assert_array_equal(dataset.test_images, images(20, seed=1))
        assert dataset.class_names == class_names.CIFAR10
        assert dataset.mean == (0.4914, 0.4822, 0.4465)

    def test_cifar100_takes_the_fine_labels(self, made):
        contents = cifar("cifar100", train=200, test=100, classes=100, names=class_names.CIFAR100)
        dataset = made("cifar100", contents, sizes=(200, 100))
        np.testing.assert_array_equal(dataset.train_labels, labels(200, 100))
        assert dataset.class_names == class_names.CIFAR100

    def test_an_archive_pickled_by_python_3_is_read_too(self, made):
        batch = {b"labels": list(range(10)), b"data": images(10).reshape(10, -1)}
        changes = {f"cifar-10-batches-py/data_batch_{n}": pickle.dumps(batch, protocol=2) for n in range(1, 6)}
        dataset = made("cifar10", cifar("cifar10", **changes), sizes=(50, 20))
        np.testing.assert_array_equal(dataset.train_images[20:30], images(10))

    def test_a_pickle_bomb_is_refused_before_it_runs(self, made, tmp_path):
        class Bomb:
            def __reduce__(self):
                return exec, (f"open({str(tmp_path / 'exploded')!r}, 'w')",)

        changes = {"cifar-10-batches-py/data_batch_3": pickle.dumps({b"data": Bomb()}, protocol=2)}
        with pytest.raises(BaconError, match=r"data_batch_3: the pickle asks for .*exec"):
            made("cifar10", cifar("cifar10", **changes), sizes=(40, 20))
        assert not (tmp_path / "exploded").exists()

    def test_nothing_is_unpickled_before_the_checksum_matches(self, made, monkeypatch, tmp_path):
        contents = cifar("cifar10")
        made("cifar10", contents, sizes=(40, 20))
        file = tmp_path / "downloads" / "cifar-10-python.tar.gz"
        changed = bytearray(file.read_bytes())
        changed[-1] ^= 1
        file.write_bytes(changed)
        monkeypatch.setattr("bacon.datasets.readers.cifar.load_pickle", pytest.fail)
        with pytest.raises(BaconError, match=r"sha256: expected [0-9a-f]{64}, found [0-9a-f]{64}"):
            build("cifar10", DataSettings(), download_dir=tmp_path / "downloads")

    @pytest.mark.parametrize("name", ["../../evil", "/etc/evil", "a/../../evil", "C:\\evil", "..\\evil"])
    def test_a_path_that_leaves_the_archive_is_refused(self, made, name):
        with pytest.raises(BaconError, match="points outside"):
            made("cifar10", cifar("cifar10", **{name: b"evil"}), sizes=(40, 20))

    def test_a_missing_batch_is_named(self, made):
        members = archives.cifar_members(
            "cifar10", images(40), labels(40), images(20), labels(20), list(class_names.CIFAR10)
        )
        del members["cifar-10-batches-py/data_batch_4"]
        with pytest.raises(BaconError, match="has no data_batch_4"):
            made("cifar10", {"cifar-10-python.tar.gz": archives.tar_gz(members)}, sizes=(40, 20))

    @pytest.mark.parametrize(
        ("batch", "message"),
        [
            ([1, 2], "holds list, expected a dict"),
            ({b"labels": [0]}, "no `data` of type uint8"),
            ({b"data": np.zeros((2, 3072), np.float32), b"labels": [0, 1]}, "no `data` of type uint8"),
            ({b"data": np.zeros((2, 3071), np.uint8), b"labels": [0, 1]}, "no `data` of type uint8"),
            ({b"data": np.zeros((8, 3072), np.uint8), b"labels": [0, 1]}, "38 labels|40 images and 34 labels"),
            ({b"data": np.zeros((8, 3072), np.uint8), b"labels": [0.5] * 8}, "labels are integers"),
            ({b"data": np.zeros((8, 3072), np.uint8)}, "labels"),
            ({b"data": np.zeros((8, 3072), np.uint8), b"labels": [10] * 8}, "they must be in 0..9"),
        ],
    )
    def test_bad_batches_are_errors(self, made, batch, message):
        changes = {"cifar-10-batches-py/data_batch_2": archives.python2_pickle(batch)}
        with pytest.raises(BaconError, match=message):
            made("cifar10", cifar("cifar10", **changes), sizes=(40, 20))

    def test_an_archive_cut_short_is_an_error(self, made):
        ((file, content),) = cifar("cifar10").items()
        with pytest.raises(BaconError, match="damaged"):
            made("cifar10", {file: content[: len(content) // 2]}, sizes=(40, 20))

    def test_another_number_of_images_than_the_official_one_is_an_error(self, made):
        with pytest.raises(BaconError, match=r"found .*40, 20.*, expected of CIFAR-10 are .*50000, 20"):
            made("cifar10", cifar("cifar10"), sizes=(50000, 20))


class TestIdx:
    def contents(self, **changes):
        grey = images(30, side=28, channels=1)[:, 0]
        test = images(20, side=28, channels=1, seed=1)[:, 0]
        return archives.idx_files(grey, labels(30), test, labels(20)) | changes

    def test_mnist(self, made):
        dataset = made("mnist", self.contents(), sizes=(30, 20))
        np.testing.assert_array_equal(dataset.train_images, images(30, side=28, channels=1))
        np.testing.assert_array_equal(dataset.test_images, images(20, side=28, channels=1, seed=1))
        np.testing.assert_array_equal(dataset.test_labels, labels(20))
        assert (dataset.mean, dataset.std) == ((0.1307,), (0.3081,))

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (archives.idx(np.zeros((30, 28), np.uint8)), "not an idx file of unsigned bytes with 3 dimensions"),
            (archives.idx(np.zeros((29, 28, 28), np.uint8)), "29 images and 30 labels"),
            (archives.idx(np.zeros((30, 28, 28), np.uint8))[:-20], "cannot be read"),
            (b"", "not an idx file"),
            (b"not gzip", "cannot be read"),
        ],
    )
    def test_damaged_files_are_errors(self, made, content, message):
        with pytest.raises(BaconError, match=message):
            made("mnist", self.contents(**{"train-images-idx3-ubyte.gz": content}), sizes=(30, 20))

    def test_a_file_shorter_than_its_header_says_is_an_error(self, made):
        import gzip

        whole = gzip.decompress(archives.idx(np.zeros((30, 28, 28), np.uint8)))
        contents = self.contents(**{"train-images-idx3-ubyte.gz": gzip.compress(whole[:-1])})
        with pytest.raises(BaconError, match=r"its header says \(30, 28, 28\), 23520 bytes; it holds 23519"):
            made("mnist", contents, sizes=(30, 20))


class TestSvhn:
    def contents(self, **changes):
        return {
            "train_32x32.mat": archives.svhn_mat(images(30), labels(30)),
            "test_32x32.mat": archives.svhn_mat(images(20, seed=1), labels(20)),
        } | changes

    def test_label_10_is_the_digit_0(self, made):
        dataset = made("svhn", self.contents(), sizes=(30, 20))
        np.testing.assert_array_equal(dataset.train_images, images(30))
        np.testing.assert_array_equal(dataset.train_labels, labels(30))
        np.testing.assert_array_equal(dataset.test_images, images(20, seed=1))
        assert 0 in dataset.train_labels
        assert dataset.class_names == class_names.DIGITS

    @pytest.mark.parametrize("cut", [0, 60, 200, 5000])
    def test_a_file_cut_short_is_an_error(self, made, cut):
        content = self.contents()["train_32x32.mat"][:cut]
        with pytest.raises(BaconError, match=r"train_32x32\.mat"):
            made("svhn", self.contents(**{"train_32x32.mat": content}), sizes=(30, 20))

    def test_labels_out_of_range_are_an_error(self, made):
        wrong = archives.svhn_mat(images(30), labels(30) + 11)
        with pytest.raises(BaconError, match=r"y runs from 11 to 20; expected 1\.\.10"):
            made("svhn", self.contents(**{"train_32x32.mat": wrong}), sizes=(30, 20))


WNIDS = ("n01443537", "n01629819", "n02124075")
WORDS = {
    "n01443537": "goldfish, Carassius auratus",
    "n01629819": "cat",
    "n02124075": "cat, Egyptian cat",
    "n99999999": "unused",
}


class TestTinyImageNet:
    @staticmethod
    def picture(number, *, grey=False):
        shape = (64, 64) if grey else (64, 64, 3)
        return np.full(shape, 10 * number, dtype=np.uint8)

    def contents(self, *, replace=None, validation=("n02124075", "n01443537", "n01629819", "n01443537")):
        train = {wnid: [self.picture(3 * row + n) for n in range(3)] for row, wnid in enumerate(WNIDS)}
        train["n01629819"][1] = self.picture(4, grey=True)
        val = [(wnid, self.picture(20 + number, grey=number == 1)) for number, wnid in enumerate(validation)]
        members = archives.tinyimagenet_members(train, val, WORDS) | (replace or {})
        return {"tiny-imagenet-200.zip": archives.zipped(members)}

    def read(self, made, contents):
        return made("tinyimagenet", contents, sizes=(9, 4), classes=3)

    def test_train_by_folder_and_validation_by_annotations(self, made):
        dataset = self.read(made, self.contents())
        assert dataset.train_images.shape == (9, 3, 64, 64)
        assert dataset.train_labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
        assert dataset.train_images[:, 0, 0, 0].tolist() == [10 * number for number in range(9)]
        assert dataset.test_labels.tolist() == [2, 0, 1, 0]
        assert dataset.test_images[:, 1, 5, 5].tolist() == [200, 210, 220, 230]
        assert dataset.class_names == ("goldfish", "cat (n01629819)", "cat (n02124075)")

    @pytest.mark.parametrize(
        ("member", "content", "message"),
        [
            ("../evil", b"", "points outside"),
            ("/abs/evil", b"", "points outside"),
            ("tiny-imagenet-200/train/n01443537/images/n01443537_1.JPEG", b"", "not a JPEG image"),
            (
                "tiny-imagenet-200/train/n01443537/images/n01443537_1.JPEG",
                b"\xff\xd8\xff\xe0broken",
                "not a JPEG image",
            ),
            (
                "tiny-imagenet-200/val/images/val_2.JPEG",
                archives.jpeg(np.zeros((32, 64, 3), np.uint8)),
                "64 x 32 pixels; expected 64 x 64",
            ),
            (
                "tiny-imagenet-200/val/val_annotations.txt",
                b"val_0.JPEG\tn7\t0\t0\t1\t1\n",
                "which wnids.txt does not list",
            ),
            ("tiny-imagenet-200/val/val_annotations.txt", b"val_9.JPEG\tn01443537\t0\n", "has no member .*val_9.JPEG"),
        ],
    )
    def test_bad_members_are_errors(self, made, member, content, message):
        with pytest.raises(BaconError, match=message):
            self.read(made, self.contents(replace={member: content}))

    def test_a_member_that_claims_little_and_holds_much_is_refused(self, made):
        bomb = b"\0" * (17 * 1024 * 1024)
        member = "tiny-imagenet-200/words.txt"
        with pytest.raises(BaconError, match="at most 16777216 are expected"):
            self.read(made, self.contents(replace={member: bomb}))

    @pytest.mark.parametrize("keep", [0.3, 0.9, 0.999])
    def test_an_archive_cut_short_is_an_error(self, made, keep):
        ((file, content),) = self.contents().items()
        with pytest.raises(BaconError, match="damaged"):
            self.read(made, {file: content[: int(keep * len(content))]})


def test_the_embedded_digits(tmp_path):
    prepare("digits", DataSettings(), download_dir=tmp_path, output=tmp_path / "digits.h5", fingerprint="f")
    dataset = read_dataset(tmp_path / "digits.h5", expected_fingerprint="f")
    info = REGISTRY["digits"]
    assert dataset.train_images.shape == (info.train_size, *info.shape)
    assert dataset.test_images.shape == (info.test_size, *info.shape)
    assert np.bincount(dataset.train_labels).min() == info.smallest_class
    assert np.bincount(dataset.test_labels).min() >= 34
    assert dataset.train_images.max() == 255
    assert dataset.train_images.mean(axis=(0, 2, 3)) / 255 == pytest.approx(dataset.mean)


@pytest.mark.parametrize("info", REGISTRY.values(), ids=lambda info: info.name)
def test_the_registry_is_consistent(info):
    assert info.shape[0] == len(info.mean or (0,) * info.shape[0]) == len(info.std or (0,) * info.shape[0])
    assert len(info.class_names) in (0, info.classes)
    assert len(set(info.class_names)) == len(info.class_names)
    assert info.smallest_class * info.classes <= info.train_size
    for source in info.sources:
        assert source.size is not None
        assert source.urls
        assert len(source.md5) == 32
        assert source.sha256 is None or len(source.sha256) == 64
