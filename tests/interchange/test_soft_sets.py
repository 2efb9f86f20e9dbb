"""Distilled sets with soft labels, learned rates and partition: exported, loaded, evaluated, read as others'."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from bacon import load_distilled
from bacon.artifacts.distilled_file import write_distilled
from bacon.cli import main
from bacon.datasets.store import ImageDataset, write_dataset
from bacon.datasets.whitening import Whitening
from bacon.evaluation.evaluate_cell import decoded
from bacon.interchange.arrays import read_arrays, write_arrays
from bacon.interchange.content import Export, export_of
from bacon.interchange.dataset_card import dataset_card
from bacon.interchange.evaluate_file import evaluate_file
from bacon.interchange.file_content import FileContent, FileFormat, training_set
from bacon.interchange.folders import read_folder, without_whitening, write_folder
from bacon.interchange.published_layouts import read_published
from bacon.interchange.requested_set import Request
from bacon.runtime.errors import BaconError
from bacon.transforms.partition import decode
from tests.artifacts.synthetic import CLASSES, drawn, result_of
from tests.toy_images import CPU

TENSORS, FOLDERS = (".pt", ".safetensors", ".npz"), (".", "train")


def export(synthetic, *, form="stored", **changes) -> Export:
    return export_of(result_of(synthetic, **changes), form=form, licence="x", evaluations=[])


def written(made: Export, folder: Path, kind: str) -> Path:
    """An export in a file of a suffix, or in a folder whose images lie in the folder ``kind`` in it."""
    if kind in TENSORS:
        write_arrays(made, folder / f"set{kind}")
        return folder / f"set{kind}"
    path = folder / f"folder{kind.strip('.')}"
    path.mkdir(parents=True)
    write_folder(made, path, images=kind)
    return path


def read(path: Path) -> Export:
    return read_folder(path) if path.is_dir() else read_arrays(path)


# Round trips


@pytest.mark.parametrize("kind", [*TENSORS, *FOLDERS])
@pytest.mark.parametrize(("soft", "rates"), [("probabilities", 1), ("logits", 4), ("logits", 0), (None, 1), (None, 0)])
@pytest.mark.parametrize("form", ["stored", "decoded"])
def test_every_format_gives_back_labels_and_rates_bit_for_bit(tmp_path, kind, soft, rates, form):
    stored = drawn(kind=soft, rates=rates)
    expected = stored if form == "stored" else stored.decoded()
    path = written(export(stored, form=form), tmp_path, kind)
    found = read(path).synthetic
    if kind in TENSORS:
        assert found.equals(expected)
    assert found.equals(replace(expected, images=found.images))
    loaded = load_distilled(path)
    training = stored.decoded()
    assert torch.equal(loaded.labels, training.classes)
    assert (loaded.soft_labels is None, loaded.rates is None) == (soft is None, rates == 0)
    if soft is not None:
        assert torch.equal(loaded.soft_labels, training.soft)
        assert loaded.soft_labels_kind == soft
        assert torch.equal(loaded.training_targets, training.probabilities())
    else:
        assert torch.equal(loaded.training_targets, training.classes)
    if rates:
        assert torch.equal(loaded.rates, stored.rates)
    assert loaded[5][1] == int(training.classes[5])


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**16),
    ipc=st.integers(1, 3),
    kind=st.sampled_from([None, "probabilities", "logits"]),
    rates=st.integers(0, 3),
    partition=st.sampled_from([1, 2, 4]),
    suffix=st.sampled_from(TENSORS),
    order=st.randoms(use_true_random=False),
)
def test_any_set_comes_back_from_any_file(tmp_path_factory, seed, ipc, kind, rates, partition, suffix, order):
    one = drawn(seed, ipc=ipc, kind=kind, rates=rates, partition=partition)
    places = list(range(len(one)))
    order.shuffle(places)
    mixed = replace(one, classes=one.classes[places])
    folder = tmp_path_factory.mktemp("any")
    assert read(written(export(mixed), folder, suffix)).synthetic.equals(mixed)
    write_distilled(folder / "set.h5", result_of(mixed))
    one, two = (load_distilled(folder / name).training_targets for name in ("set.h5", f"set{suffix}"))
    assert torch.equal(one, two)


@pytest.mark.parametrize(("kind", "part"), list(product([*TENSORS, *FOLDERS], ["soft", "rates"])))
def test_changed_labels_and_rates_are_refused(tmp_path, kind, part):
    made = export(drawn(kind="logits", rates=2))
    changed = getattr(made.synthetic, part) * 1.5
    if kind in TENSORS:
        path = written(replace(made, synthetic=replace(made.synthetic, **{part: changed})), tmp_path, kind)
    else:
        path = written(made, tmp_path, kind)
        np.save(path / {"soft": "soft_labels.npy", "rates": "rates.npy"}[part], changed.numpy())
    with pytest.raises(BaconError, match="were changed or damaged after the export: they have the sha256"):
        read(path)


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_folder_without_its_soft_labels_is_named(tmp_path, kind):
    path = written(export(drawn()), tmp_path, kind)
    (path / "soft_labels.npy").unlink()
    with pytest.raises(BaconError, match=r"not a folder that `bacon export` wrote; .*soft_labels\.npy is missing"):
        read(path)


def test_an_export_of_the_first_version_is_read(tmp_path):
    """It had hard labels alone, and no words for others."""
    made = export(drawn(kind=None, rates=0))
    old = {key: value for key, value in made.metadata.items() if not key.endswith(("_bytes", "_kind", "_rates"))}
    path = written(replace(made, metadata={**old, "version": 1}), tmp_path, ".pt")
    assert read(path).synthetic.equals(made.synthetic)


def test_metadata_count_bytes_of_the_stored_form():
    stored, training = (export(drawn(rates=2), form=form).metadata for form in ("stored", "decoded"))
    names = ("image_bytes", "label_bytes", "decoder_bytes")
    assert [stored[name] for name in names] == [1536, 6 * 3 * 4 + 8, 0] == [training[name] for name in names]


# The card


def card(synthetic, **attributes) -> str:
    metadata = export(synthetic, attributes=attributes).metadata
    return dataset_card(metadata, title="Mine", count=6, pixels_sha256="s")


def test_the_card_says_what_labels_rates_and_storage_there_are():
    soft, hard = card(drawn(kind="logits", rates=2)), card(drawn(kind=None, rates=0))
    for words in (
        "`soft_labels.npy` (logits, ",
        "softmax",
        "2 learning rates, one for each step",
        "1,536 bytes of images, 80 of labels.",
    ):
        assert words in soft
        assert words not in hard
    assert "An image's label is its class" in hard
    assert "1,536 bytes of images." in hard
    assert "made by data-set distillation in 20 iterations" in hard
    assert "a row sums to 1" in card(drawn())


def test_the_card_of_selected_images_claims_no_distillation():
    text = card(drawn(kind=None, rates=0), method="random", iterations=0)
    assert "without an iteration of distillation" in text
    assert "made by data-set distillation" not in text


# Evaluation


@pytest.fixture
def dataset(tmp_path) -> ImageDataset:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (30, 1, 8, 8)).astype(np.uint8)
    labels = np.arange(30) % CLASSES
    made = ImageDataset(
        name="mine",
        train_images=pixels,
        train_labels=labels,
        test_images=pixels,
        test_labels=labels,
        class_names=("cat", "dog", "wolf"),
        mean=(0.4,),
        std=(0.2,),
        fingerprint="d",
    )
    write_dataset(tmp_path / "mine.h5", made, attributes={})
    return made


@pytest.mark.parametrize("kind", ["probabilities", "logits"])
def test_a_snapshot_is_evaluated_with_its_own_labels(dataset, kind):
    """Paired with the final ones, an accuracy curve would show networks trained on images with the labels of others."""
    final, first = drawn(20, kind=kind), drawn(0, kind=kind)
    first = replace(first, classes=first.classes.flip(0))
    result = result_of(final, snapshots={0: first, 20: final})
    for iteration, stored in ((0, first), (20, final)):
        train = decoded(result, dataset, iteration, 20, CPU)
        assert torch.equal(train.images, decode(stored.images, 2))
        assert torch.equal(train.labels, stored.classes.repeat_interleave(4))
        assert torch.equal(train.soft, stored.soft.repeat_interleave(4, dim=0))
        assert (train.soft_kind, list(train.rates)) == (kind, stored.rates.tolist())


@pytest.mark.parametrize("kind", ["probabilities", "logits"])
def test_our_files_and_the_same_set_published_by_others_train_on_the_same(dataset, tmp_path, kind):
    stored = drawn(kind=kind)
    largest = replace(stored, classes=stored.soft.argmax(dim=1))
    said = FileFormat(pixels="normalised", partition=2, labels=kind, mean=(0.4,), std=(0.2,))
    expected = decoded(result_of(largest), dataset, 0, 0, CPU)
    torch.save({"images": stored.images, "labels": stored.soft.double()}, tmp_path / "dict.pt")
    torch.save({"data": [[stored.images, stored.soft]]}, tmp_path / "dm.pt")
    np.savez(tmp_path / "arrays.npz", images=stored.images.numpy(), labels=stored.soft.numpy())
    for name in ("dict.pt", "dm.pt", "arrays.npz"):
        found = training_set(tmp_path / name, read_published(tmp_path / name, said), dataset, CPU)
        assert torch.equal(found.images, expected.images)
        assert torch.equal(found.labels, expected.labels)
        assert torch.equal(found.soft, expected.soft)


@pytest.mark.parametrize(
    ("labels", "kind", "message"),
    [
        (drawn(kind="logits").soft, "probabilities", r"a\.pt: soft labels .* are not probabilities .*are they logits"),
        (drawn().soft[:, :2], "logits", r"a\.pt: soft labels over 2 classes; mine has 3"),
        (drawn().soft * torch.inf, "logits", r"a\.pt: some soft labels are not finite"),
    ],
)
def test_soft_labels_that_contradict_what_is_said_are_refused(dataset, tmp_path, labels, kind, message):
    torch.save((drawn().images, labels), tmp_path / "a.pt")
    said = FileFormat(pixels="normalised", partition=1, labels=kind, mean=(0.4,), std=(0.2,))
    with pytest.raises(BaconError, match=message):
        training_set(tmp_path / "a.pt", read_published(tmp_path / "a.pt", said), dataset, CPU)


def evaluate(path: Path, tmp_path: Path, *options: object):
    arguments = [path, "--data", tmp_path / "mine.h5", "--device", "cpu", "--epochs", 1, "--seeds", 1]
    arguments += ["--cache", tmp_path / "cache", "--output", tmp_path / "out.json", *options]
    return CliRunner().invoke(main, ["evaluate", *map(str, arguments)])


PIXELS = ("--pixels", "normalised", "--mean", "data", "--std", "data", "--partition", 2)


@pytest.mark.usefixtures("dataset")
def test_others_soft_labels_are_evaluated_as_their_user_says(tmp_path):
    stored = drawn(kind="logits")
    torch.save({"images": stored.images, "labels": stored.soft}, tmp_path / "theirs.pt")
    asked = evaluate(tmp_path / "theirs.pt", tmp_path, *PIXELS)
    assert "--labels probabilities or --labels logits" in asked.output
    wrong = evaluate(tmp_path / "theirs.pt", tmp_path, *PIXELS, "--labels", "classes")
    assert "(6, 3), which is not what --labels classes says" in wrong.output
    done = evaluate(tmp_path / "theirs.pt", tmp_path, *PIXELS, "--labels", "logits", "--lr", 0.03)
    assert done.exit_code == 0, done.output
    content = json.loads((tmp_path / "out.json").read_text())
    assert (content["labels"], content["source"]["labels"]) == ("logits", "logits")
    assert content["settings"]["evaluation"]["lr_net"] == 0.03
    assert content["records"][0]["lr_net"] == 0.03
    assert "SGD lr 0.03" in done.output
    torch.save((stored.images, stored.classes), tmp_path / "hard.pt")
    refused = evaluate(tmp_path / "hard.pt", tmp_path, *PIXELS, "--labels", "logits")
    assert "labels are torch.int64 (6,), which is not what --labels logits says" in refused.output


@pytest.mark.usefixtures("dataset")
def test_a_file_of_ours_is_evaluated_with_the_rate_that_it_holds(tmp_path):
    stored = drawn(rates=1)
    path = written(export(stored), tmp_path, ".pt")
    done = evaluate(path, tmp_path, "--lr", "learned")
    assert done.exit_code == 0, done.output
    content = json.loads((tmp_path / "out.json").read_text())
    assert content["settings"]["evaluation"]["lr_net"] == float(stored.rates[0])
    assert content["source"]["learned_rates"] == [float(stored.rates[0])]
    plain = evaluate(path, tmp_path)
    assert "SGD lr 0.01" in plain.output


@pytest.mark.usefixtures("dataset")
@pytest.mark.parametrize(
    ("rates", "lr", "message"),
    [
        (0, "learned", "it holds no learned learning rate"),
        (3, "learned", "it holds 3 of them, one per step"),
        (1, "fast", "--lr 'fast': must be a number above 0"),
        (1, "-1", "--lr '-1': must be a number above 0"),
        (1, "nan", "--lr 'nan': must be a number above 0"),
    ],
)
def test_learning_rates_that_cannot_be_used_are_named(tmp_path, rates, lr, message):
    path = written(export(drawn(rates=rates)), tmp_path, ".pt")
    done = evaluate(path, tmp_path, "--lr", lr)
    assert done.exit_code == 1
    assert message in done.output


@pytest.mark.usefixtures("dataset")
def test_a_learned_rate_of_someone_elses_file_is_a_number(tmp_path):
    torch.save((drawn().images, drawn().classes), tmp_path / "theirs.pt")
    done = evaluate(tmp_path / "theirs.pt", tmp_path, *PIXELS, "--lr", "learned")
    assert "does not hold its learned learning rate; give it as a number" in done.output


def test_other_soft_labels_are_another_evaluation(dataset, tmp_path):
    """The cache of finished networks must tell apart sets that differ in soft labels alone."""
    for number, scale in enumerate((1.0, 2.0)):
        stored = drawn(kind="logits", rates=0)
        write_arrays(export(replace(stored, soft=stored.soft * scale)), tmp_path / f"{number}.pt")
        request = Request(
            file=tmp_path / f"{number}.pt", data=str(tmp_path / "mine.h5"), evaluation={"epochs": 1, "seeds": 1}
        )
        evaluate_file(request, device=CPU, cache=tmp_path / "cache")
    assert dataset.fingerprint == "d"
    assert len(list((tmp_path / "cache").iterdir())) == 2


# Whitening


@pytest.fixture
def whitening() -> Whitening:
    matrix = np.eye(64, dtype=np.float32) * 2 + 0.01
    return Whitening(mean=np.full(64, 0.5, np.float32), matrix=matrix, epsilon=0.1)


def test_whitened_parts_are_decoded_before_they_leave_the_whitened_space(dataset, whitening):
    """A part is whitened as the whole image that it is decoded to; the stored image as a whole never was."""
    pixels = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    whole = replace(dataset, whitening=whitening)
    said = FileFormat(pixels="raw", partition=2)
    classes = drawn().classes
    theirs = training_set(Path("a.pt"), FileContent(images=pixels, classes=classes, format=said), whole, CPU)
    expected = whitening.apply(decode(pixels, 2).numpy())
    np.testing.assert_allclose(theirs.images.numpy(), expected, atol=1e-5)
    stored = drawn(kind=None).images
    ours = FileContent(images=stored, classes=classes, format=replace(said, pixels="whitened"), whitening=whitening)
    assert torch.equal(training_set(Path("a.pt"), ours, whole, CPU).images, decode(stored, 2))
    plain = training_set(Path("a.pt"), ours, dataset, CPU).images
    raw = whitening.invert(decode(stored, 2).numpy())
    np.testing.assert_allclose(plain.numpy(), (raw - 0.4) / 0.2, atol=1e-4)


def test_whitened_partitioned_images_are_no_pixels_in_stored_form(whitening):
    with pytest.raises(
        BaconError, match=r"mine_dm_ipc2_seed0: whitened images that hold several .* give --form decoded"
    ):
        without_whitening(export(drawn(), whitening=whitening))
    assert without_whitening(export(drawn(), form="decoded", whitening=whitening)).whitening is None


def test_a_damaged_array_beside_the_images_is_named(tmp_path):
    path = written(export(drawn()), tmp_path, "train")
    copy = tmp_path / "copy"
    shutil.copytree(path, copy)
    (copy / "rates.npy").write_bytes(b"no array")
    with pytest.raises(BaconError, match="not a readable folder of a distilled set"):
        read(copy)
