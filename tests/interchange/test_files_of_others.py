"""What people have under the name of a distilled set: read for what it is, or refused in one line."""

from __future__ import annotations

import gzip
import io
import pickle
import re
import zipfile
from collections import OrderedDict
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from bacon.cli import main
from bacon.datasets.store import ImageDataset, write_dataset
from bacon.interchange.class_images import read_class_images
from bacon.interchange.evaluate_file import evaluate_file
from bacon.interchange.file_content import FileContent, FileFormat, training_set
from bacon.interchange.published_layouts import read_tensors
from bacon.interchange.requested_set import Request
from bacon.operations.recorded_runs import record_run
from bacon.runtime.errors import BaconError
from tests.toy_images import CPU

# Eighths are exact in every floating-point type.
IMAGES = torch.randint(0, 8, (6, 3, 8, 8), generator=torch.Generator().manual_seed(0)) / 8
LEVELS = (IMAGES * 255).round().to(torch.uint8)
LABELS = torch.tensor([0, 0, 1, 1, 2, 2])
ONE_HOT = nn.functional.one_hot(LABELS, 3)
CLASSES = ("apple", "pear", "plum")


class Foreign:
    """A class that the reader does not have."""


# What is read


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def test_every_number_type_of_images_is_read(tmp_path):
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        images, labels = read_tensors(saved(tmp_path / "a.pt", (IMAGES.to(dtype), LABELS)))
        assert torch.equal(images.float(), IMAGES)
        assert images.dtype in (torch.float32, torch.float64)
        assert torch.equal(labels, LABELS)
    for dtype in (torch.uint8, torch.int16, torch.int32, torch.int64, torch.uint16):
        images, _ = read_tensors(saved(tmp_path / "a.pt", (LEVELS.to(torch.int64).to(dtype), LABELS)))
        assert images.dtype == torch.uint8
        assert torch.equal(images, LEVELS)


@pytest.mark.parametrize(
    "labels",
    [
        LABELS.tolist(),
        tuple(LABELS.tolist()),
        list(LABELS),
        LABELS.numpy(),
        LABELS.to(torch.uint8),
        LABELS.to(torch.int32),
        LABELS.float(),
        LABELS.to(torch.bfloat16),
        LABELS[:, None],
        [[label] for label in LABELS.tolist()],
        list(LABELS.numpy()),
        nn.Parameter(LABELS.float()),
    ],
)
def test_every_form_of_class_numbers_is_read(tmp_path, labels):
    _, found = read_tensors(saved(tmp_path / "a.pt", {"images": IMAGES, "labels": labels}))
    assert found.dtype == torch.int64
    assert torch.equal(found, LABELS)


@pytest.mark.parametrize("labels", [ONE_HOT, ONE_HOT.bool(), ONE_HOT.float(), ONE_HOT.tolist(), ONE_HOT.half().numpy()])
def test_one_hot_labels_are_classes_unless_said_otherwise(tmp_path, labels):
    toy_dataset(tmp_path)
    path = saved(tmp_path / "a.pt", (IMAGES, labels))
    stated = {
        "data": str(tmp_path / "toy.h5"),
        "pixels": "raw",
        "partition": 1,
        "evaluation": {"epochs": 1, "seeds": 1},
    }
    for kind, expected in ((None, "classes"), ("classes", "classes"), ("probabilities", "probabilities")):
        done = evaluate_file(Request(file=path, labels=kind, **stated), device=CPU, cache=tmp_path / "cache")
        assert done.content.format.labels == expected
        assert torch.equal(done.content.classes, LABELS)


@pytest.mark.parametrize(
    "names",
    ["images labels", "image label", "X y", "x_train y_train", "data targets", "imgs labs", "image_syn label_syn",
     "images-syn labels-syn", "syn_images syn_labels", "inputs targets", "Images Labels", "pixel_values labels", "img target"],
)  # fmt: skip
@pytest.mark.parametrize("suffix", [".pt", ".pth", ".npz", ".h5", ".safetensors"])
def test_images_and_labels_of_many_names_are_read_from_every_kind_of_file(tmp_path, names, suffix):
    content = dict(zip(names.split(), (IMAGES, LABELS), strict=True))
    path = tmp_path / f"a{suffix}"
    if suffix == ".npz":
        np.savez(path, **{name: tensor.numpy() for name, tensor in content.items()})
    elif suffix == ".h5":
        with h5py.File(path, "w") as file:
            for name, tensor in content.items():
                file[name] = tensor.numpy()
    elif suffix == ".safetensors":
        save_file(content, path)
    else:
        torch.save(OrderedDict(content, epoch=3, note="best"), path)
    images, labels = read_tensors(path)
    assert torch.equal(images, IMAGES)
    assert torch.equal(labels, LABELS)


def legacy(path: Path) -> None:
    torch.save((IMAGES, LABELS), path, _use_new_zipfile_serialization=False)


def as_npz(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, IMAGES.numpy().astype(">f4"), LABELS.numpy().astype(">i2"))


READ = {
    "items of a data set": lambda path: saved(path, list(zip(IMAGES, LABELS.tolist(), strict=True))),
    "a list of images": lambda path: saved(path, (list(IMAGES), LABELS)),
    "arrays": lambda path: saved(path, (IMAGES.numpy(), LABELS.numpy())),
    "nested lists": lambda path: saved(path, (IMAGES.tolist(), LABELS.tolist())),
    "a parameter": lambda path: saved(path, (nn.Parameter(IMAGES.clone()), LABELS)),
    "the format before PyTorch 1.6": legacy,
    "NumPy's archive with the other byte order, called .pt": as_npz,
    "class names beside them": lambda path: saved(
        path, {"images": IMAGES, "labels": LABELS, "classes": list(CLASSES), "accuracy": 0.5}
    ),
    "a sparse tensor": lambda path: saved(path, (IMAGES.to_sparse(), LABELS)),
    "strides of another order": lambda path: saved(path, (IMAGES.to(memory_format=torch.channels_last), LABELS)),
}


@pytest.mark.parametrize("name", READ)
def test_other_forms_are_read(tmp_path, name):
    READ[name](tmp_path / "a.pt")
    images, labels = read_tensors(tmp_path / "a.pt")
    assert torch.equal(images.float(), IMAGES)
    assert torch.equal(labels, LABELS)


def test_grey_images_need_no_channel(tmp_path):
    images, _ = read_tensors(saved(tmp_path / "a.pt", (IMAGES[:, 0], LABELS)))
    assert torch.equal(images, IMAGES[:, :1])


# What the data set decides


def toy_dataset(folder: Path, channels: int = 3) -> ImageDataset:
    pixels = np.random.default_rng(0).integers(0, 256, (6, channels, 8, 8), dtype=np.uint8)
    dataset = ImageDataset(
        name="toy", train_images=pixels, train_labels=LABELS.numpy(), test_images=pixels, test_labels=LABELS.numpy(),
        class_names=CLASSES, mean=(0.5,) * channels, std=(0.25,) * channels, fingerprint="f" * 32,
    )  # fmt: skip
    write_dataset(folder / "toy.h5", dataset)
    return dataset


@pytest.mark.parametrize(
    ("images", "pixels"),
    [
        (LEVELS, "uint8"),
        (LEVELS.permute(0, 2, 3, 1).contiguous(), "uint8"),
        (LEVELS.float(), "uint8"),
        ((LEVELS / 255).permute(0, 2, 3, 1), "raw"),
    ],
)
def test_channels_last_and_levels_as_floats_are_the_same_images(tmp_path, images, pixels):
    content = FileContent(images=images, classes=LABELS, format=FileFormat(pixels=pixels, partition=1))
    made = training_set(Path("a.pt"), content, toy_dataset(tmp_path), CPU)
    torch.testing.assert_close(made.images, (LEVELS / 255 - 0.5) / 0.25, rtol=0, atol=1e-6)


def image_folder(folder: Path, names: tuple[str, ...], images: torch.Tensor = LEVELS, mode: str = "RGB") -> Path:
    for number, (image, label) in enumerate(zip(images.numpy(), LABELS.tolist(), strict=True)):
        (folder / names[label]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.transpose(1, 2, 0)).convert(mode).save(folder / names[label] / f"{number}.png")
    (folder / ".DS_Store").write_bytes(b"x")
    return folder


@pytest.mark.parametrize("names", [CLASSES, ("0", "1", "2"), ("Apple", "PEAR", "plum")])
def test_a_folder_of_class_images_is_evaluated(tmp_path, names):
    toy_dataset(tmp_path)
    folder = image_folder(tmp_path / "images", names)
    done = evaluate("--partition", 1, "--output", tmp_path / "o.json", path=folder, here=tmp_path)
    assert done.exit_code == 0, done.output
    assert "6 training images; pixels uint8" in done.output
    pixels, labels = read_class_images(folder, class_names=CLASSES, channels=3)
    assert torch.equal(pixels, LEVELS)
    assert torch.equal(labels, LABELS)


def test_grey_images_saved_in_colour_are_grey(tmp_path):
    grey = LEVELS[:, :1].expand(-1, 3, -1, -1)
    pixels, _ = read_class_images(image_folder(tmp_path / "images", CLASSES, grey), class_names=CLASSES, channels=1)
    assert torch.equal(pixels, LEVELS[:, :1])


# What is refused


def evaluate(*options: object, path: Path, here: Path):
    stated = ("--data", here / "toy.h5", "--device", "cpu", "--epochs", 1, "--seeds", 1, "--cache", here / "cache")
    return CliRunner().invoke(main, ["evaluate", str(path), *map(str, (*stated, *options))])


def pickled(path: Path, content: object) -> None:
    path.write_bytes(pickle.dumps(content))


def cut(path: Path, share: float) -> None:
    saved(path, (IMAGES, LABELS))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def lfs(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 12345\n")


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train/apple/0.png", b"x")


def objects(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, images=np.array([IMAGES.numpy(), 3], dtype=object), labels=LABELS.numpy())


def npy(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, IMAGES.numpy())


def hdf5_groups(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["train/images"] = IMAGES.numpy()


def hdf5_splits(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for split in ("train", "test"):
            file[f"{split}/images"], file[f"{split}/labels"] = IMAGES.numpy(), LABELS.numpy()


def in_memory(content: object) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


REFUSED = {
    "empty images": ((IMAGES[:0], LABELS[:0]), r"holds no images \(a tensor of shape \(0, 3, 8, 8\)\)"),
    "images without pixels": ((IMAGES[:, :, :0], LABELS), "holds no images"),
    "an empty list": (([], []), "holds no images"),
    "nothing": (None, "holds NoneType"),
    "an empty tuple": ((), "holds a tuple of 0"),
    "a number": (3.5, "holds float"),
    "text": ("best", "holds str"),
    "images alone": (IMAGES, r"holds Tensor \(6, 3, 8, 8\) alone; if its labels are in another file"),
    "weights of a network": (nn.Linear(2, 2).state_dict(), "a dict with weight, bias"),
    "a thousand weights": ({f"layer{n}.weight": IMAGES for n in range(1000)}, "and 995 more"),
    "an object of a class": ((IMAGES, LABELS, Foreign()), "it needs .*Foreign.*reading it any other way could run code"),
    "a network": (nn.Linear(2, 2), "it needs torch.nn.modules.linear.Linear"),
    "a data set": (torch.utils.data.TensorDataset(IMAGES, LABELS), "it needs torch.utils.data.dataset.TensorDataset"),
    "a pickle": (lambda path: pickled(path, {"images": Foreign()}), "cannot be read with weights_only=True"),
    "a Pillow image": ((Image.new("RGB", (8, 8)), LABELS), "it needs PIL.Image.Image"),
    "images of several sizes": (([IMAGES[0], IMAGES[1, :, :4]], [0, 1]), "images are list of Tensor, which make no tensor"),
    "text as labels": ((IMAGES, ["apple"] * 6), "labels are list of str, which make no tensor"),
    "no labels": ((IMAGES, None), "labels are NoneType"),
    "too few labels": ((IMAGES, LABELS[:4]), r"labels are torch.int64 \(4,\) for 6 images"),
    "one label": ((IMAGES, 3), r"labels are torch.int64 \(1,\) for 6 images"),
    "broken labels": ((IMAGES, LABELS + 0.5), "they must be integers"),
    "labels that are not numbers": ((IMAGES, LABELS * float("nan")), "they must be integers"),
    "labels of another data set": ((IMAGES, LABELS + 7), "labels go from 7 to 9; toy has the classes 0 to 2"),
    "negative labels": ((IMAGES, LABELS - 1), "labels go from -1 to 1"),
    "soft labels of unknown kind": ((IMAGES, torch.rand(6, 3)), "--labels probabilities or --labels logits"),
    "booleans": ((IMAGES > 0.5, LABELS), "images are torch.bool"),
    "integers beyond a byte": ((LEVELS.int() * 200, LABELS), r"images are torch.int32 from 0 to 44600"),
    "complex numbers": ((IMAGES.to(torch.complex64), LABELS), "images are torch.complex64"),
    "infinite pixels": ((IMAGES / 0, LABELS), "some pixels are not finite"),
    "flattened images": ((IMAGES.flatten(1), LABELS), r"images are \(6, 192\).*reshape flattened images"),
    "images by class": ((IMAGES.reshape(3, 2, 3, 8, 8), LABELS), r"save images.flatten\(0, 1\)"),
    "one image": ((IMAGES[0], LABELS[:1]), r"images are \(3, 8, 8\)"),
    "another size": ((IMAGES[..., :4], LABELS), r"images are \(3, 8, 4\), those of toy are \(3, 8, 8\)"),
    "labels twice": (
        {"images": IMAGES, "labels": LABELS, "soft_labels": torch.rand(6, 3)},
        "holds labels and soft_labels, and nothing is guessed",
    ),
    "sets of three": ({"data": [[IMAGES, LABELS, 1]]}, r"its 'data' is not a list of \[images, labels\]"),
    "a file of nothing": (lambda path: path.touch(), r"is empty \(0 bytes\); download it again"),
    "half a download": (lambda path: cut(path, 0.5), r"is cut off \(its end is missing.*download it again"),
    "nearly a download": (lambda path: cut(path, 0.98), "is cut off"),
    "a tenth of a download": (lambda path: cut(path, 0.1), "is cut off"),
    "a web page": (lambda path: path.write_text("<!DOCTYPE html>\n<html>404"), "is a web page: download it again"),
    "a web page in lower case": (lambda path: path.write_text("\n  <html lang='en'>"), "is a web page"),
    "a pointer": (lfs, "is a pointer of Git LFS.*git lfs pull"),
    "a compressed file": (lambda path: path.write_bytes(gzip.compress(in_memory(IMAGES))), "is a compressed archive"),
    "a zip of images": (zipped, "is a zip archive of train/apple/0.png: unpack it"),
    "a picture": (lambda path: Image.new("RGB", (8, 8)).save(path, format="PNG"), "is an image: give the folder"),
    "text instead": (lambda path: path.write_text("Quota exceeded\n"), "cannot be read"),
    "random bytes": (lambda path: path.write_bytes(bytes(range(256)) * 9), "cannot be read"),
    "arrays of objects": (objects, "'images' is not a readable array of numbers: it holds Python objects"),
    "one array": (npy, r"holds ndarray \(6, 3, 8, 8\) alone"),
    "groups": (hdf5_groups, r"holds a dict with train/images; supported are"),
    "two splits": (hdf5_splits, "holds test/images and train/images, and nothing is guessed"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_all_else_is_refused_in_one_line(tmp_path, name):
    toy_dataset(tmp_path)
    content, message = REFUSED[name]
    path = tmp_path / "a.pt"
    if callable(content) and not isinstance(content, nn.Module):
        content(path)
    else:
        torch.save(content, path)
    assert_refused(evaluate("--pixels", "raw", "--partition", 1, path=path, here=tmp_path), message)


def assert_refused(done, message: str) -> None:
    assert done.exit_code in (1, 2), done.output
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert done.stderr.splitlines()[-1] == errors[0], "one line, and the last"
    assert re.search(message, errors[0]), errors[0]


FOLDERS = {
    "other classes": (lambda at: image_folder(at, ("cat", "dog", "plum")), "cat, dog are no classes.*apple, pear, plum"),
    "no classes": (lambda at: image_folder(at, (".", ".", ".")), r"holds no class folders \(files: .png\)"),
    "nothing": (lambda at: at.mkdir(), "holds no class folders"),
    "an empty class": (lambda at: [(at / name).mkdir(parents=True) for name in CLASSES], "holds no images"),
    "text": (lambda at: (image_folder(at, CLASSES) / "apple/a.txt").write_text("x"), "a.txt are no images"),
    "a broken image": (lambda at: (image_folder(at, CLASSES) / "apple/a.png").write_text("x"), "a.png: not a readable image"),
    "sizes": (
        lambda at: Image.new("RGB", (9, 9)).save(image_folder(at, CLASSES) / "apple/a.png"),
        r"images differ in size \(8 x 8, 9 x 9 pixels\)",
    ),
    "another size": (lambda at: image_folder(at, CLASSES, LEVELS[..., :4]), "those of toy are"),
}  # fmt: skip


@pytest.mark.parametrize("name", FOLDERS)
def test_other_folders_are_refused_in_one_line(tmp_path, name):
    toy_dataset(tmp_path)
    make, message = FOLDERS[name]
    make(tmp_path / "images")
    assert_refused(evaluate("--partition", 1, path=tmp_path / "images", here=tmp_path), message)


def test_what_is_no_file_is_refused_in_one_line(tmp_path):
    toy_dataset(tmp_path)
    assert_refused(evaluate(path=tmp_path / "none.pt", here=tmp_path), "the file does not exist")
    assert_refused(
        evaluate(path=tmp_path / "toy.h5", here=tmp_path), "toy.h5: is a prepared data set, not a distilled one"
    )
    (tmp_path / "a.pkl").touch()
    assert_refused(evaluate(path=tmp_path / "a.pkl", here=tmp_path), "unknown file type '.pkl'")
    coloured = image_folder(tmp_path / "images", CLASSES)
    with pytest.raises(BaconError, match="the image is coloured, the data set is grey"):
        read_class_images(coloured, class_names=CLASSES, channels=1)
    path = saved(tmp_path / "a.pt", (IMAGES, LABELS))
    blocked = evaluate("--pixels", "raw", "--partition", 1, "--output", "/proc/no/o.json", path=path, here=tmp_path)
    assert_refused(blocked, "/proc/no")


def test_an_own_data_set_is_evaluated_with_the_network_of_the_last_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    toy_dataset(tmp_path)
    path = saved(tmp_path / "a.pt", (IMAGES, LABELS))
    stated = ("--pixels", "raw", "--partition", 1)
    assert "ConvNet, depth 3, width 128" in evaluate(*stated, path=path, here=tmp_path).stdout
    own = {
        "data": {"toy": {"format": "npz", "path": "toy.npz"}},
        "datasets": {"toy": {"network": {"width": 16, "depth": 2}}},
    }
    run = record_run({"grid": {"datasets": ["toy"]}, **own}, files=["my.yaml"], overridden=False)
    done = evaluate(*stated, path=path, here=tmp_path)
    assert "ConvNet, depth 2, width 16" in done.stdout, done.output
    assert f"the network of toy is that of the last run here, {run.path}" in done.stderr
    assert "width 16" not in evaluate(*stated, "--network", "mlp", path=path, here=tmp_path).stdout
