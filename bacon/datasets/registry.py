"""The data sets that are known by name: what they are, where they come from, how they are normalised.

Read while Snakemake parses, so it imports nothing heavy. Normalisation is that of the field (the paper's Appendix and
public code); sizes and checksums are the publishers' own. What is not known for certain is ``None``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bacon.datasets import class_names

# Mirrored digits are other digits, so flip stays out. The paper's SVHN commands keep it.
_NO_FLIP = "color_crop_cutout_scale_rotate"
_WITHOUT_FLIP: dict[str, Any] = {
    "distillation": {"dsa_strategy": _NO_FLIP, "mirrored": False},
    "evaluation": {"dsa_strategy": _NO_FLIP},
}
_READERS = "bacon.datasets.readers"


@dataclass(frozen=True, kw_only=True)
class Source:
    """One official file."""

    file: str
    """Name in the download folder."""
    urls: tuple[str, ...]
    """Official address first, then mirrors that serve the same bytes."""
    md5: str
    """Published checksum, 32 hexadecimal digits."""
    sha256: str | None = None
    """A stronger checksum, where one is published; checked instead of md5."""
    size: int | None = None
    """Bytes; ``None`` when not published."""
    unpacked_sha256: str | None = None
    """Gzip files: SHA-256 of the content; a local copy without ``.gz`` is accepted when it matches."""

    @property
    def checksum(self) -> tuple[str, str]:
        """The algorithm and the hexadecimal digest that a file must have."""
        return ("sha256", self.sha256) if self.sha256 is not None else ("md5", self.md5)


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """One registered data set."""

    name: str
    """Key in configurations and paths."""
    title: str
    """Name in tables and figures."""
    published_name: str | None
    """Name in resources/published_results.csv; ``None``: no published results."""
    shape: tuple[int, int, int]
    """(C, H, W) as prepared by default."""
    classes: int
    """Number of classes."""
    class_names: tuple[str, ...]
    """Names in label order; empty where the archive itself lists them (TinyImageNet)."""
    train_size: int
    """Training images."""
    test_size: int
    """Test images (TinyImageNet: the validation images, whose labels are public)."""
    smallest_class: int
    """Fewest training images of any class."""
    mean: tuple[float, ...] | None
    """Mean per channel of images in [0, 1]; ``None``: measured on the training split."""
    std: tuple[float, ...] | None
    """Standard deviation per channel; ``None``: measured."""
    sources: tuple[Source, ...]
    """Official files; empty: it comes with an installed package."""
    reader: str
    """Dotted module whose ``read`` turns the files into arrays."""
    licence: str
    """Terms of use as the publisher states them."""
    citation: str
    """What to cite."""
    ipc: tuple[int, ...] = (1, 10, 50)
    """Images per class that the field reports."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The data set's layer of partial cell settings; what it does not change is the paper's network, ConvNet-3."""


def _idx_sources(urls: tuple[str, ...], files: tuple[tuple[str, str, int, str], ...]) -> tuple[Source, ...]:
    return tuple(
        Source(file=name, urls=tuple(f"{url}{name}" for url in urls), md5=md5, size=size, unpacked_sha256=unpacked)
        for name, md5, size, unpacked in files
    )


DIGITS = DatasetInfo(
    name="digits",
    title="Digits",
    published_name=None,
    shape=(1, 16, 16),
    classes=10,
    class_names=class_names.DIGITS,
    train_size=1442,
    test_size=355,
    smallest_class=140,
    mean=None,
    std=None,
    sources=(),
    reader=f"{_READERS}.digits",
    licence="CC BY 4.0 (UCI Machine Learning Repository); part of scikit-learn",
    citation="E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998.",
    ipc=(1, 10),
    # A quarter of the paper's width: the embedded demo runs in minutes on two CPU cores.
    settings={"network": {"width": 32, "depth": 3}, **_WITHOUT_FLIP},
)

MNIST = DatasetInfo(
    name="mnist",
    title="MNIST",
    published_name="MNIST",
    shape=(1, 28, 28),
    classes=10,
    class_names=class_names.DIGITS,
    train_size=60000,
    test_size=10000,
    smallest_class=5421,
    mean=(0.1307,),
    std=(0.3081,),
    sources=_idx_sources(
        ("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"),
        (
            (
                "train-images-idx3-ubyte.gz",
                "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                9912422,
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            ),
            (
                "train-labels-idx1-ubyte.gz",
                "d53e105ee54ea40749a09fcbcd1e9432",
                28881,
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            ),
            (
                "t10k-images-idx3-ubyte.gz",
                "9fb629c4189551a2d022fa330f9573f3",
                1648877,
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            ),
            (
                "t10k-labels-idx1-ubyte.gz",
                "ec29112dd5afa0611ce80d1b7f02629c",
                4542,
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
        ),
    ),
    reader=f"{_READERS}.idx",
    licence="CC BY-SA 3.0",
    citation="Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, Gradient-based learning applied to document recognition, 1998.",
    settings=_WITHOUT_FLIP,
)

FASHIONMNIST = DatasetInfo(
    name="fashionmnist",
    title="FashionMNIST",
    published_name="FashionMNIST",
    shape=(1, 28, 28),
    classes=10,
    class_names=class_names.FASHIONMNIST,
    train_size=60000,
    test_size=10000,
    smallest_class=6000,
    mean=(0.2861,),
    std=(0.3530,),
    sources=_idx_sources(
        ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        (
            (
                "train-images-idx3-ubyte.gz",
                "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                26421880,
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            ),
            (
                "train-labels-idx1-ubyte.gz",
                "25c81989df183df01b3e8a0aad5dffbe",
                29515,
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            ),
            (
                "t10k-images-idx3-ubyte.gz",
                "bef4ecab320f06d8554ea6380940ec79",
                4422102,
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            ),
            (
                "t10k-labels-idx1-ubyte.gz",
                "bb300cfdad3c16e7a12a480ee83cd310",
                5148,
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            ),
        ),
    ),
    reader=f"{_READERS}.idx",
    licence="MIT",
    citation="H. Xiao, K. Rasul and R. Vollgraf, Fashion-MNIST, arXiv 1708.07747, 2017.",
)

CIFAR10 = DatasetInfo(
    name="cifar10",
    title="CIFAR-10",
    published_name="CIFAR10",
    shape=(3, 32, 32),
    classes=10,
    class_names=class_names.CIFAR10,
    train_size=50000,
    test_size=10000,
    smallest_class=5000,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2023, 0.1994, 0.2010),
    sources=(
        Source(
            file="cifar-10-python.tar.gz",
            urls=("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",),
            md5="c58f30108f718f92721af3b95e74349a",
            sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
            size=170498071,
        ),
    ),
    reader=f"{_READERS}.cifar",
    licence="no licence stated; the authors ask to cite the report",
    citation="A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.",
)

CIFAR100 = DatasetInfo(
    name="cifar100",
    title="CIFAR-100",
    published_name="CIFAR100",
    shape=(3, 32, 32),
    classes=100,
    class_names=class_names.CIFAR100,
    train_size=50000,
    test_size=10000,
    smallest_class=500,
    mean=(0.5071, 0.4866, 0.4409),
    std=(0.2673, 0.2564, 0.2762),
    sources=(
        Source(
            file="cifar-100-python.tar.gz",
            urls=("https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",),
            md5="eb9058c3a382ffc7106e4002c42a8d85",
            sha256="85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
            size=169001437,
        ),
    ),
    reader=f"{_READERS}.cifar",
    licence=CIFAR10.licence,
    citation=CIFAR10.citation,
)

SVHN = DatasetInfo(
    name="svhn",
    title="SVHN",
    published_name="SVHN",
    shape=(3, 32, 32),
    classes=10,
    class_names=class_names.DIGITS,
    train_size=73257,
    test_size=26032,
    smallest_class=4659,
    mean=(0.4377, 0.4438, 0.4728),
    std=(0.1980, 0.2010, 0.1970),
    sources=(
        Source(
            file="train_32x32.mat",
            urls=("http://ufldl.stanford.edu/housenumbers/train_32x32.mat",),
            md5="e26dedcc434d2e4c54c9b2d4a06d8373",
            sha256="435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
            size=182040794,
        ),
        Source(
            file="test_32x32.mat",
            urls=("http://ufldl.stanford.edu/housenumbers/test_32x32.mat",),
            md5="eb5a983be6a315427106f1b164d9cef3",
            sha256="cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
            size=64275384,
        ),
    ),
    reader=f"{_READERS}.svhn",
    licence="non-commercial use only",
    citation="Y. Netzer et al., Reading Digits in Natural Images with Unsupervised Feature Learning, 2011.",
)

TINYIMAGENET = DatasetInfo(
    name="tinyimagenet",
    title="TinyImageNet",
    published_name="TinyImageNet",
    shape=(3, 64, 64),
    classes=200,
    class_names=(),
    train_size=100000,
    test_size=10000,
    smallest_class=500,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    sources=(
        Source(
            file="tiny-imagenet-200.zip",
            urls=("http://cs231n.stanford.edu/tiny-imagenet-200.zip",),
            md5="90528d7ca1a48142e341f4ef8d21d0de",
            size=248100043,
        ),
    ),
    reader=f"{_READERS}.tinyimagenet",
    licence="ImageNet terms of access: non-commercial research and education",
    ipc=(1, 10),
    citation="Y. Le and X. Yang, Tiny ImageNet Visual Recognition Challenge, Stanford CS 231N, 2015.",
)

REGISTRY: dict[str, DatasetInfo] = {
    info.name: info for info in (DIGITS, MNIST, FASHIONMNIST, SVHN, CIFAR10, CIFAR100, TINYIMAGENET)
}
