"""DD-Ranking's evaluators, unchanged, on sets exported for them; and its numbers beside ours."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torchvision

from bacon.datasets.whitening import fit_whitening
from bacon.evaluation.scores import (
    augmentation_robust_score,
    hard_label_recovery,
    improvement_over_random,
    label_robust_score,
)
from bacon.interchange.dd_ranking_folder import DATA, write_dd_ranking
from bacon.interchange.folders import write_folder
from bacon.networks.build import build_network
from bacon.settings.network import NetworkSettings
from bacon.settings.recipe import SgdSettings, TrainingRecipe
from bacon.training.image_set import ImageSet
from bacon.training.loop import train_network
from bacon.training.predictions import confusion_matrix, logits
from benchmarks.dd_ranking.package import quiet
from tests.ddranking.conftest import TEST
from tests.interchange.made_exports import CIFAR10, made_export
from tests.toy_images import CPU

QUICK = {
    "num_epochs": 20,
    "num_eval": 1,
    "num_workers": 0,
    "device": "cpu",
    "model_name": "MLP",
    "eval_full_data": False,
}
PIXELS = [{"name": "ToTensor"}, {"name": "Normalize", "args": [CIFAR10["mean"], CIFAR10["std"]]}]
REAL = 71.0  # percent; of networks trained on the real set


def config(package, folder: Path, cifar10: Path, **changes):
    """The exported configuration, with what a user adapts: places, device and time."""
    found = package.Config.from_file(str(folder / "config.yaml"))
    places = {
        "real_data_path": str(cifar10),
        "save_path": str(folder / "scores.csv"),
        "random_data_path": str(folder / "random"),
    }
    found.update(QUICK | places | changes)
    return found


def tensors(folder: Path) -> SimpleNamespace:
    return SimpleNamespace(**{path.stem: torch.load(path) for path in folder.glob("*.pt")})


@pytest.fixture(autouse=True)
def _real_accuracy(package, monkeypatch) -> None:
    for module in (package.metrics.hard_label, package.metrics.soft_label):
        monkeypatch.setitem(module.REAL_DATA_ACC_CACHE, "CIFAR10-MLP", REAL)


def prototypes(cifar10: Path, per_class: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Real images of the small set in class order, normalised."""
    real = torchvision.datasets.CIFAR10(cifar10, train=True)
    order = np.argsort(real.targets, kind="stable").reshape(10, -1)[:, :per_class].ravel()
    pixels = torch.from_numpy(real.data[order]).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(CIFAR10[key])[:, None, None] for key in ("mean", "std"))
    return (pixels - mean) / std, torch.arange(10).repeat_interleave(per_class)


@pytest.fixture
def exported(cifar10, tmp_path) -> Path:
    images, labels = prototypes(cifar10)
    write_dd_ranking(made_export(ipc=2, images=images, classes=labels, rates=torch.tensor([0.01])), tmp_path)
    return tmp_path


def test_the_hard_label_evaluator_trains_on_an_export(package, cifar10, exported, monkeypatch):
    """To the point where it saves its scores, which version 0.2.0 cannot; the differences are ours, the score is not."""
    module, saved, accuracies = package.metrics.hard_label, {}, []
    evaluator = package.LabelRobustScoreHard(config(package, exported, cifar10, num_epochs=10))
    measured, save = evaluator._compute_hard_label_metrics_helper, module.save_results

    def noted(**arguments):
        found = measured(**arguments)
        accuracies.append(found[0] / 100)
        return found

    def noted_and_saved(results, path):
        saved.update(results)
        save(results, path)

    evaluator._compute_hard_label_metrics_helper = noted
    monkeypatch.setattr(module, "save_results", noted_and_saved)
    given = tensors(exported)
    with quiet(), pytest.raises(ValueError, match="same length"):
        evaluator.compute_metrics(image_tensor=given.images, hard_labels=given.labels, syn_lr=given.lr)
    synthetic, random = accuracies
    assert 0.2 < synthetic <= 1  # above chance
    hlr, ior = hard_label_recovery(REAL / 100, synthetic), improvement_over_random(synthetic, random)
    assert saved["hard_label_recovery"] == pytest.approx([100 * hlr])
    assert saved["improvement_over_random"] == pytest.approx([100 * ior])
    assert saved["lrs"] == pytest.approx([label_robust_score(100 * hlr, 100 * ior)] * 2)
    assert 0 <= label_robust_score(hlr, ior) <= 1


def teacher(package, folder: Path) -> Path:
    """A teacher where the soft-label evaluator looks for it."""
    path = folder / "teachers" / "CIFAR10" / "MLP" / "ckpt_best.pt"
    path.parent.mkdir(parents=True)
    torch.manual_seed(0)
    network = package.build_model("MLP", num_classes=10, im_size=(32, 32), device="cpu")
    torch.save(network.state_dict(), path)
    return folder / "teachers"


def soft_export(cifar10: Path, folder: Path) -> torch.Tensor:
    images, labels = prototypes(cifar10)
    soft = torch.full((20, 10), 0.02)
    soft[torch.arange(20), labels] = 0.82
    parts = {"soft": soft, "soft_kind": "probabilities", "rates": torch.tensor([0.01])}
    write_dd_ranking(made_export(ipc=2, images=images, classes=labels, **parts), folder)
    return soft


def test_the_soft_label_evaluator_trains_with_exported_soft_labels(package, cifar10, tmp_path):
    """Its part that takes them; what comes after it, random images with soft labels, does not run in version 0.2.0."""
    soft_export(cifar10, tmp_path)
    options = {"teacher_dir": str(teacher(package, tmp_path)), "teacher_model_names": ["MLP"]}
    evaluator = package.LabelRobustScoreSoft(config(package, tmp_path, cifar10, **options))
    given = tensors(tmp_path)
    with quiet():
        accuracy, rate = evaluator._compute_soft_label_metrics_helper(given.images, None, given.labels, given.lr.item())
    assert (accuracy > 20, rate) == (True, pytest.approx(0.01))
    with quiet(), pytest.raises(TypeError, match="not subscriptable"):
        evaluator.compute_metrics(image_tensor=given.images, soft_labels=given.labels, syn_lr=given.lr)


def test_its_losses_mean_our_probabilities_by_the_exported_labels(package, cifar10, tmp_path):
    soft, outputs = soft_export(cifar10, tmp_path), torch.randn((20, 10), generator=torch.Generator().manual_seed(3))
    found = package.SoftCrossEntropyLoss(temperature=1.0, scale_loss=False)(outputs, tensors(tmp_path).labels)
    assert found.item() == pytest.approx(torch.nn.functional.cross_entropy(outputs, soft).item(), rel=1e-6)


def teacher_labels(package, folder: Path) -> dict[str, object]:
    """Options with which a teacher labels the batches, of ours and of random images."""
    return {
        "teacher_dir": str(teacher(package, folder)),
        "teacher_model_names": ["MLP"],
        "soft_label_mode": "M",
        "random_data_format": "image",
        "custom_train_trans": PIXELS,
        "data_aug_func": None,
    }


def test_the_soft_label_evaluator_runs_to_its_end_where_a_teacher_labels_batches(package, cifar10, tmp_path):
    soft_export(cifar10, tmp_path)
    options = teacher_labels(package, tmp_path)
    evaluator, given = package.LabelRobustScoreSoft(config(package, tmp_path, cifar10, **options)), tensors(tmp_path)
    with quiet():
        found = evaluator.compute_metrics(image_tensor=given.images, soft_labels=given.labels, syn_lr=given.lr)
    alpha = 0.5 * found["improvement_over_random_mean"] - 0.5 * found["hard_label_recovery_mean"]
    assert found["label_robust_score_mean"] == pytest.approx(label_robust_score(-alpha, alpha))  # of percentages
    assert (tmp_path / "scores.csv").read_text().count("\n") == 2  # a header and one run


def test_the_augmentation_evaluator_trains_on_an_export(package, cifar10, tmp_path):
    """With batches labelled by a teacher and another schedule: version 0.2.0 has no hard labels, and hands no step size on."""
    soft_export(cifar10, tmp_path)
    options = teacher_labels(package, tmp_path) | {
        "label_type": "soft",
        "lr_scheduler": "cosineannealing",
        "data_aug_func": "dsa",
    }
    evaluator, given = package.AugmentationRobustScore(config(package, tmp_path, cifar10, **options)), tensors(tmp_path)
    with quiet():
        found = evaluator.compute_metrics(image_tensor=given.images, soft_labels=given.labels, syn_lr=given.lr)
    beta = 0.5 * (found["with_aug_scores_mean"] + found["without_aug_scores_mean"])
    assert found["augmentation_robust_score_mean"] == pytest.approx(
        augmentation_robust_score(beta, beta)
    )  # of percentages


def test_a_folder_of_pixels_is_read_too(package, cifar10, exported):
    images, labels = prototypes(cifar10)
    folder = exported / "pixels"
    folder.mkdir()
    write_folder(made_export(ipc=2, images=images, classes=labels), folder)
    options = {"custom_train_trans": PIXELS}
    evaluator = package.LabelRobustScoreHard(config(package, exported, cifar10, **options))
    with quiet():
        accuracy, _ = evaluator._compute_hard_label_metrics_helper(None, str(folder), None, 0.01, "syn")
    assert accuracy > 20


def test_the_same_network_trained_on_an_export_has_our_accuracy(package, cifar10, exported):
    """Same weights, SGD, full batches, no augmentation: the logits agree before and after, and so does the accuracy."""
    changes = {"model_name": "ConvNet-3", "num_epochs": 10, "data_aug_func": None}
    evaluator, given = package.LabelRobustScoreHard(config(package, exported, cifar10, **changes)), tensors(exported)
    ours = build_network(NetworkSettings(), channels=3, size=32, classes=10, seed=0, device=CPU)
    theirs = package.build_model("ConvNet-3", num_classes=10, im_size=(32, 32), device="cpu")
    parameters = list(ours.parameters())
    theirs.load_state_dict(dict(zip(theirs.state_dict(), (each.detach() for each in parameters), strict=True)))
    test = torchvision.datasets.CIFAR10(cifar10, train=False)
    pixels = np.ascontiguousarray(test.data.transpose(0, 3, 1, 2))
    real = ImageSet.of_uint8(pixels, np.array(test.targets), device=CPU, **CIFAR10)
    batch, labels = next(iter(torch.utils.data.DataLoader(evaluator.test_loader_syn.dataset, batch_size=TEST)))
    with torch.no_grad():
        assert torch.allclose(theirs(batch), logits(ours, real), atol=1e-4)
    with quiet():
        percent = evaluator._compute_hard_label_metrics(theirs, given.images, None, 0.01, given.labels, mode="syn")
    recipe = TrainingRecipe(epochs=10, optimiser=SgdSettings(lr=0.01, momentum=0.9, weight_decay=5e-4))
    train_network(ours, ImageSet(images=given.images, labels=given.labels), recipe, seed=0)
    with torch.no_grad():
        assert torch.allclose(theirs(batch), logits(ours, real), atol=1e-2)
    right = confusion_matrix(ours, real, 10).diagonal().sum().item()
    assert percent == pytest.approx(100 * right / TEST, abs=1e-4)
    assert percent > 20
    assert torch.equal(labels, real.labels)


@pytest.mark.parametrize("name", DATA)
def test_its_data_sets_are_what_we_take_them_for(package, cifar10, monkeypatch, name):
    module, data = package.utils.data, DATA[name]
    monkeypatch.setattr(module.datasets, "CIFAR100", module.datasets.CIFAR10)
    monkeypatch.setattr(module.datasets, "ImageFolder", lambda *_, **__: None)
    with quiet():
        channels, size, mean, std, classes, *_ = module.get_dataset(data.name, str(cifar10), None, False, None, "cpu")
    assert (channels, size, classes) == (3, (data.size, data.size), data.classes)
    assert (tuple(mean), tuple(std)) == data.moments


def test_its_whitening_is_ours(package):
    """With the covariance over N images for N - 1, which many images make no difference of."""
    images = np.random.default_rng(0).integers(0, 256, (4000, 3, 4, 4), dtype=np.uint8)
    pixels = images.astype(np.float32) / 255
    ours = fit_whitening(images, 0.1, "random").apply(pixels)
    zca = package.utils.data.K.enhance.ZCAWhitening(eps=0.1, compute_inv=True)
    theirs = zca.fit(torch.from_numpy(pixels))(torch.from_numpy(pixels))
    assert np.abs(theirs.numpy() - ours).max() < 1e-3
