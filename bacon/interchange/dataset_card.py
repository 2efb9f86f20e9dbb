"""The dataset card of an export: what Hugging Face shows, and what a reader must know before they use the images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml
from tabulate import tabulate

from bacon.methods.registry import METHODS

# The hub's names of licences; any other text goes in words, as the hub wants it.
_LICENCES = {"CC BY 4.0": "cc-by-4.0", "CC BY-SA 3.0": "cc-by-sa-3.0", "MIT": "mit"}
_SIZES = ((1000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"))


def dataset_card(metadata: Mapping[str, Any], *, title: str, count: int, pixels_sha256: str) -> str:
    """``README.md`` of a Hugging Face data set folder.

    Args:
        metadata: of the export (``bacon.interchange.content``).
        title: the data set's name in words.
        count: images in the folder.
        pixels_sha256: checksum of pixels and labels.
    """
    method_title, reference = _method(metadata["method"])
    head = yaml.safe_dump(_head(metadata, title, count), sort_keys=False, allow_unicode=True)
    return _CARD.format(
        head=head.strip(),
        title=title,
        method=method_title,
        reference=reference,
        count=count,
        ipc=metadata["ipc"],
        classes=len(metadata["class_names"]),
        seed=metadata["seed"],
        origin=_origin(metadata["iterations"]),
        form=_form(metadata),
        labels=_labels(metadata),
        storage=_storage(metadata),
        accuracy=_accuracy(metadata["evaluations"]),
        settings=yaml.safe_dump(metadata["settings"], sort_keys=False).strip(),
        licence=metadata["licence"],
        mean=metadata["mean"],
        std=metadata["std"],
        pixels_sha256=pixels_sha256,
        images_sha256=metadata["images_sha256"],
        fingerprint=metadata["fingerprint"],
        commit=metadata["provenance"]["commit"],
        arithmetic=_arithmetic(metadata["provenance"]),
        packages=", ".join(f"{name} {number}" for name, number in metadata["provenance"]["packages"].items()),
    )


def _method(name: str) -> tuple[str, str]:
    """Title and reference; a configuration's own variant of a method has no more than its name and its settings."""
    if name in METHODS:
        return METHODS[name].title, METHODS[name].reference
    return name, "a variant defined in the configuration; its settings are below"


def _head(metadata: Mapping[str, Any], title: str, count: int) -> dict[str, Any]:
    identifier = next((tag for text, tag in _LICENCES.items() if metadata["licence"].startswith(text)), None)
    licence = {"license": identifier} if identifier else {"license": "other", "license_name": metadata["licence"]}
    return {
        **licence,
        "pretty_name": f"{title} distilled with {_method(metadata['method'])[0]}, IPC {metadata['ipc']}",
        "task_categories": ["image-classification"],
        "tags": ["dataset-distillation", metadata["method"], metadata["dataset"]],
        "size_categories": [next((name for limit, name in _SIZES if count < limit), "100K<n<1M")],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "train/**"}]}],
    }


def _arithmetic(provenance: Mapping[str, Any]) -> str:
    """The device, and whether it gives the same bits again; sets that were exported before it was recorded do not say."""
    device = str(provenance.get("device", "an unknown device"))
    if "deterministic" not in provenance:
        return device
    return f"{device}; {'another run gives the same bits' if provenance['deterministic'] else 'the bits of another run differ'}"


def _form(metadata: Mapping[str, Any]) -> str:
    if metadata["form"] == "decoded":
        return "Images are decoded: each is a training image."
    factor = metadata["partition"]
    if factor == 1:
        return "Images are stored as they were optimised; each is a training image."
    return (
        f"Images are in stored form: cut each into {factor} x {factor} parts and enlarge each part to the image's size, "
        f"bilinearly, for {factor**2} training images of the same label (`bacon.load_distilled` does)."
    )


def _origin(iterations: int) -> str:
    if iterations:
        return f"made by data-set distillation in {iterations:,} iterations"
    return "selected or initialised, without an iteration of distillation"


def _labels(metadata: Mapping[str, Any]) -> str:
    """What an image's label is, and the learning rates that were learned with it."""
    kind, rates = metadata["soft_labels_kind"], metadata["learned_rates"]
    if kind is None:
        parts = ["An image's label is its class, which is the name of its folder."]
    else:
        shape = f"({kind}, one row per image, one column per class)"
        use = "take the softmax of a row" if kind == "logits" else "a row sums to 1"
        parts = [
            "An image's folder is its class. It also has a soft label, which networks should be trained with: row "
            f"i of `soft_labels.npy` {shape} belongs to the image whose file has the number i; {use}."
        ]
    if rates:
        which = "the learning rate" if rates == 1 else f"{rates} learning rates, one for each step of training,"
        parts.append(f"`rates.npy` holds {which} learned with the images.")
    return " ".join(parts)


def _storage(metadata: Mapping[str, Any]) -> str:
    """Bytes of the set in the form in which the method stores it, which a decoded export is larger than."""
    sizes = {name: metadata[f"{key}_bytes"] for name, key in (("labels", "label"), ("decoder", "decoder"))}
    more = "".join(f", {count:,} of {name}" for name, count in sizes.items() if count)
    return f"As the method stores it, uncompressed, the set takes {metadata['image_bytes']:,} bytes of images{more}."


def _accuracy(evaluations: list[dict[str, Any]]) -> str:
    if not evaluations:
        return "It has not been evaluated."
    rows = [
        (
            one["network"],
            f"{100 * one['mean']:.1f}" + ("" if one["sd"] is None else f" ± {100 * one['sd']:.1f}"),
            one["n"],
            _interval(one.get("interval")),
            f"{one['network_text']}, " + f"{one.get('protocol_name', '')}: {one['protocol']}".removeprefix(": "),
        )
        for one in evaluations
    ]
    columns = ("network", "test accuracy (%)", "n", "95 % interval", "protocol")
    table = tabulate(rows, columns, tablefmt="pipe", disable_numparse=True)
    return (
        f"Of networks trained on these images (not rounded to PNG) from scratch, on the whole real test set, mean ± sample "
        f"standard deviation over n evaluation seeds of this one distilled set, with the interval of that mean:\n\n{table}\n\n"
        "`bacon.json` holds every setting of these networks; `bacon verify .` trains others and compares."
    )


def _interval(interval: list[float] | None) -> str:
    return "" if interval is None else f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}"


_CARD = """---
{head}
---

# {title}, distilled with {method}: {ipc} images per class

{count} images of {classes} classes, {origin}, distillation seed {seed}. Method: {reference}.

{form} PNG files hold pixels clamped to [0, 1] and rounded to 256 levels; `bacon.json` holds everything that explains them.
Networks are to be trained on images normalised with mean {mean} and standard deviation {std} per channel, and tested on
real images normalised alike.

{labels} {storage}

## How to load

```python
from datasets import load_dataset

train = load_dataset("imagefolder", data_dir=".", split="train")  # this folder, or its name on the hub
```

Or `bacon.load_distilled(".")`, or torchvision's `ImageFolder("train")`.

## Accuracy

{accuracy}

## Licence

Of the data it was distilled from, {title}: {licence}.

## Checksums

- SHA-256 of pixels, labels and learned rates: `{pixels_sha256}` (`bacon.load_distilled` checks it)
- SHA-256 of the same before pixels were rounded: `{images_sha256}`
- SHA-256 of every file: in `bacon.json` (`bacon verify . --checksums-only` checks them)
- Fingerprint of settings, code and data: `{fingerprint}`; commit `{commit}`; {packages}
- Computed on {arithmetic}

## Settings

```yaml
{settings}
```
"""
