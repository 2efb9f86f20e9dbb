"""The cross-architecture pool: shapes, known sizes, gradients, determinism, and what does not go together."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from bacon.networks.build import build_network
from bacon.runtime.errors import BaconError
from bacon.settings.network import NORMS, NetworkSettings

CPU = torch.device("cpu")
ARCHITECTURES = ("mlp", "lenet", "alexnet", "vgg11", "resnet18")
EVERY = [(name, norm) for name in ARCHITECTURES for norm in NORMS[name]]


def build(architecture, *, channels=3, size=32, classes=10, seed=0, dtype=torch.float32, **settings):
    chosen = NetworkSettings(architecture=architecture, **settings)
    return build_network(chosen, channels=channels, size=size, classes=classes, seed=seed, device=CPU, dtype=dtype)


def parameters(network) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("architecture", "norm"), EVERY)
@pytest.mark.parametrize(("channels", "size"), [(1, 16), (3, 16), (1, 28), (3, 32), (3, 64)])
def test_every_network_takes_every_size(architecture, norm, channels, size):
    network = build(architecture, channels=channels, size=size, classes=7, norm=norm)
    x = torch.randn(3, channels, size, size, generator=torch.Generator().manual_seed(0))
    assert network.embed(x).shape == (3, network.embedding_size)
    assert network(x).shape == (3, 7)
    assert network.eval()(x).isfinite().all()


@pytest.mark.parametrize(
    ("architecture", "settings", "expected"),
    [
        # Hand-computed: 3072 x 128 + 128, 128 x 128 + 128, 128 x 10 + 10.
        ("mlp", {}, 393_344 + 16_512 + 1_290),
        ("mlp", {"channels": 1, "size": 28}, 784 * 128 + 128 + 16_512 + 1_290),
        # The known 61,706 parameters of LeNet-5 on 28x28 grey images, and 62,006 on 32x32 colour ones.
        ("lenet", {"channels": 1, "size": 28}, 61_706),
        ("lenet", {}, 62_006),
        # 3x128x25+128, 128x192x25+192, 192x256x9+256, 256x192x9+192, 192x192x9+192, 3072x10+10.
        ("alexnet", {}, 9_728 + 614_592 + 442_624 + 442_560 + 331_968 + 30_730),
        ("alexnet", {"norm": "batch"}, 1_872_202 + 2 * (128 + 192 + 256 + 192 + 192)),
        # Widely published for the CIFAR variants with a norm after each convolution.
        ("vgg11", {}, 9_231_114),
        ("vgg11", {"norm": "batch"}, 9_231_114),
        ("resnet18", {}, 11_173_962),
        ("resnet18", {"norm": "batch"}, 11_173_962),
    ],
)
def test_parameter_counts_are_the_known_ones(architecture, settings, expected):
    assert parameters(build(architecture, **settings)) == expected


@pytest.mark.parametrize(("architecture", "norm"), EVERY)
def test_gradients_reach_every_parameter_and_the_images(architecture, norm):
    network = build(architecture, norm=norm, size=16, channels=1, dtype=torch.float64)
    x = torch.randn(4, 1, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    gradients = torch.autograd.grad(F.cross_entropy(network(x), torch.tensor([0, 1, 2, 3])), [x, *network.parameters()])
    for gradient in gradients:
        assert gradient.isfinite().all()
    # Beyond this, a convolution before instance norm has no gradient in its bias, and 1x1 maps are normalised to zero.
    if norm != "instance":
        named = zip(["x", *dict(network.named_parameters())], gradients, strict=True)
        biases = ("bias",) if norm == "batch" else ()
        assert all(gradient.abs().sum() > 0 for name, gradient in named if not name.endswith(biases))


@pytest.mark.parametrize("architecture", ["vgg11", "resnet18"])
def test_instance_norm_does_not_mix_images_and_batch_norm_does(architecture):
    x = torch.randn(4, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    instance, batch = (build(architecture, norm=norm, dtype=torch.float64) for norm in ("instance", "batch"))
    torch.testing.assert_close(instance(x)[:1], instance(x[:1]))
    assert not torch.allclose(batch(x)[:2], batch(x[:2]))


def test_lenet_follows_its_formula():
    network = build("lenet", channels=1, size=28, dtype=torch.float64)
    x = torch.randn(2, 1, 28, 28, dtype=torch.float64)
    p = list(network.parameters())
    maps = F.max_pool2d(F.relu(F.conv2d(x, p[0], p[1], padding=2)), 2)
    maps = F.max_pool2d(F.relu(F.conv2d(maps, p[2], p[3])), 2)
    hidden = F.relu(F.linear(F.relu(F.linear(maps.flatten(1), p[4], p[5])), p[6], p[7]))
    torch.testing.assert_close(network(x), F.linear(hidden, p[8], p[9]))


def test_a_residual_block_adds_what_it_was_given():
    """With its second norm's scale at zero a block without projection passes its (positive) input on."""
    network = build("resnet18", dtype=torch.float64)
    block = network.features[3]
    block.residual[-1].weight.data.zero_()
    x = torch.rand(2, 64, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(block(x), x)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_initialisation_is_keyed_and_pytorchs(architecture):
    def same(a, b):
        return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))

    before = torch.get_rng_state()
    first = build(architecture)
    assert torch.equal(torch.get_rng_state(), before)
    assert same(first, build(architecture))
    assert not same(first, build(architecture, seed=1))
    for module in first.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            bound = module.weight[0].numel() ** -0.5
            assert 0.8 * bound < module.weight.abs().max() <= bound


@pytest.mark.parametrize(
    ("architecture", "size", "message"),
    [("lenet", 12, "lenet.*12x12.*at least 16x16"), ("alexnet", 7, "alexnet.*7x7.*at least 8x8")],
)
def test_images_that_are_too_small(architecture, size, message):
    with pytest.raises(BaconError, match=message):
        build(architecture, size=size)
    assert build(architecture, size={"lenet": 16, "alexnet": 8}[architecture]).embedding_size > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"architecture": "vgg11", "norm": "layer"}, "`norm` of vgg11 is instance or batch, not layer"),
        ({"architecture": "mlp", "norm": "instance"}, "`norm` of mlp is none, not instance"),
        ({"architecture": "resnet18", "width": 64}, "resnet18 has no `width`; its keys are architecture, norm"),
        ({"architecture": "alexnet", "depth": 3}, "alexnet has no `depth`"),
    ],
)
def test_settings_that_an_architecture_does_not_have(settings, message):
    with pytest.raises(ValidationError, match=message):
        NetworkSettings(**settings)


@pytest.mark.parametrize(("architecture", "norm"), EVERY)
def test_settings_hold_and_keep_what_the_architecture_has(architecture, norm):
    settings = NetworkSettings(architecture=architecture, norm=norm)
    plain = settings.model_dump(mode="json")
    assert plain == {"architecture": architecture, "norm": norm, "precision": "fp32"}
    assert NetworkSettings(**plain) == settings
    assert NetworkSettings(architecture=architecture).norm == NORMS[architecture][0]


def test_swish_is_x_times_its_sigmoid():
    plain, swish = (build("convnet", depth=1, width=2, norm="none", activation=name) for name in ("relu", "swish"))
    x = torch.randn(2, 3, 32, 32)
    maps = plain.features[0](x)
    torch.testing.assert_close(swish.features[1](maps), maps * torch.sigmoid(maps))


@pytest.mark.parametrize(("architecture", "norm"), EVERY)
def test_bfloat16_is_near_full_precision_in_every_architecture(architecture, norm):
    x = torch.randn(4, 1, 32, 32, generator=torch.Generator().manual_seed(3))
    full, half = (build(architecture, norm=norm, channels=1, size=32, precision=name) for name in ("fp32", "bf16"))
    exact, rounded = full.embed(x), half.embed(x)
    assert rounded.dtype == torch.float32
    assert not torch.equal(exact, rounded)
    # Instance norm of 2x2 maps magnifies what rounding does to them, so single entries may differ more.
    assert F.cosine_similarity(exact.flatten(), rounded.flatten(), dim=0) > 0.95
