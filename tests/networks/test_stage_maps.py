"""The maps of a network's stages, and the embedding that comes with them."""

import pytest
import torch
import torch.nn.functional as F

from bacon.networks.build import build_network
from bacon.runtime.errors import BaconError
from bacon.settings.network import NetworkSettings

IMAGES = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def network(**settings):
    chosen = NetworkSettings(**settings)
    cpu = torch.device("cpu")
    return build_network(chosen, channels=3, size=16, classes=4, seed=0, device=cpu, dtype=torch.float64).eval()


@pytest.mark.parametrize(
    ("settings", "shapes"),
    [
        ({"width": 8, "depth": 3}, [(8, 16), (8, 8), (8, 4)]),
        ({"width": 8, "depth": 2, "norm": "batch", "pooling": "max"}, [(8, 16), (8, 8)]),
        ({"architecture": "vgg11"}, [(64, 16), (128, 8), *[(256, 4)] * 2, *[(512, 2)] * 2, *[(512, 1)] * 2]),
        ({"architecture": "resnet18"}, [(64, 16), (128, 8), (256, 4), (512, 2)]),
    ],
    ids=lambda value: value.get("architecture", "convnet") if isinstance(value, dict) else "",
)
def test_stages_come_with_the_same_embedding(settings, shapes):
    net = network(**settings)
    stages, embedding = net.embed_with_stages(IMAGES)
    assert [tuple(stage.shape[1:]) for stage in stages] == [(width, side, side) for width, side in shapes]
    assert all(float(stage.detach().min()) >= 0 for stage in stages)
    torch.testing.assert_close(embedding, net.embed(IMAGES), rtol=0, atol=1e-10)


def test_the_last_stage_of_a_convnet_is_what_is_pooled():
    stages, embedding = network(width=8, depth=3).embed_with_stages(IMAGES)
    torch.testing.assert_close(F.avg_pool2d(stages[-1], 2).flatten(1), embedding)


def test_a_network_without_known_stages_is_refused():
    with pytest.raises(BaconError, match=r"network\.architecture.*ConvNet, AlexNet, VGG and ResNets"):
        network(architecture="densenet121").embed_with_stages(IMAGES)
