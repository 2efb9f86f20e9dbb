"""Embeddings in two dimensions: the right images, the right space, the same points every time."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch

from bacon.datasets.store import write_whitening
from bacon.datasets.whitening import fit_whitening
from bacon.networks.build import build_network
from bacon.reporting.collect.embedded_images import embed
from bacon.reporting.figures.embedding import embedding_figure
from bacon.reporting.figures.style import figure_style
from bacon.settings.network import NetworkSettings
from bacon.transforms.partition import decode
from tests.reporting.fakes import distilled
from tests.reporting.test_figures import drawn_texts, visible
from tests.reporting.test_further_figures import real_images

NETWORK = NetworkSettings(width=4, depth=1)


@pytest.fixture
def found(tmp_path):
    random = np.random.default_rng(0)
    train, labels = random.integers(0, 256, (60, 1, 8, 8)).astype(np.uint8), np.arange(60) % 2
    real = real_images(tmp_path, train, labels)
    stored = random.normal(size=(6, 1, 8, 8)).astype(np.float32)
    sets = [
        distilled(tmp_path, stored, ipc=3, method="dm"),
        distilled(tmp_path, stored, ipc=3, method="bacon", partition=2),
    ]
    return real, sets, stored, train


def test_embeddings_are_those_of_the_network_and_pca_is_of_the_real_images(found):
    real, sets, stored, train = found
    embedding = embed(real, sets, network=NETWORK)
    clouds = {cloud.title: cloud for cloud in embedding.clouds}
    assert {title: len(cloud.labels) for title, cloud in clouds.items()} == {"Real images": 60, "DM": 6, "BACON": 16}
    # Two stored images, of four parts each, are the whole ones among ten training images.
    assert clouds["BACON"].labels.tolist() == [0] * 8 + [1] * 8
    model = build_network(
        NETWORK, channels=1, size=8, classes=2, seed=0, purpose="embedding figure", device=torch.device("cpu")
    ).eval()
    with torch.no_grad():
        # The fake data set has mean 0 and standard deviation 1.
        of_real = model.embed(torch.from_numpy(train.astype(np.float32) / 255)).double().numpy()
        of_dm = model.embed(torch.from_numpy(stored)).double().numpy()
        of_bacon = model.embed(decode(torch.from_numpy(stored[[0, 1, 3, 4]]), 2)).double().numpy()
    centre = of_real.mean(axis=0)
    _, values, axes = np.linalg.svd(of_real - centre, full_matrices=False)
    expected = (of_dm - centre) @ axes[:2].T
    np.testing.assert_allclose(np.abs(clouds["DM"].pca), np.abs(expected), rtol=1e-4, atol=1e-6)
    shares = values**2 / (values**2).sum()
    assert embedding.explained == pytest.approx(shares[:2].tolist(), rel=1e-4)
    expected = (of_bacon - centre) @ axes[:2].T
    np.testing.assert_allclose(np.abs(clouds["BACON"].pca), np.abs(expected), rtol=1e-4, atol=1e-6)


def test_a_set_of_the_other_form_is_brought_into_that_of_the_real_images(found, tmp_path):
    real, (plain, _), stored, train = found
    whitening = fit_whitening(train, 0.1, "mine")
    white = distilled(tmp_path, whitening.apply(stored), ipc=3, method="idm")
    with h5py.File(white.path, "a") as file:
        write_whitening(file, whitening)
    first, second = embed(real, [plain, white], network=NETWORK).clouds[1:]
    np.testing.assert_allclose(first.pca, second.pca, rtol=1e-3, atol=1e-4)


def test_the_same_files_give_the_same_points(found):
    real, sets, _, _ = found
    first, second = (embed(real, sets, network=NETWORK) for _ in range(2))
    for one, other in zip(first.clouds, second.clouds, strict=True):
        assert np.array_equal(one.tsne, other.tsne)
        assert np.array_equal(one.pca, other.pca)


def test_the_figure_has_a_panel_per_method_and_names_the_classes(found):
    real, sets, _, _ = found
    with figure_style():
        figure = embedding_figure(embed(real, sets, network=NETWORK), title="Embeddings: D", ipc=3, network="ConvNet")
        assert [ax.get_title() for ax in visible(figure)] == ["DM", "BACON", "", ""]
        assert all([text.get_text() for text in ax.texts] == ["a", "b"] for ax in visible(figure))
        assert "60 real training images" in figure.caption
        figure.canvas.draw()
        for text in drawn_texts(figure):
            box = text.get_window_extent(figure.canvas.get_renderer())
            assert box.x0 >= -1, text
            assert box.x1 <= figure.bbox.width + 1, text
