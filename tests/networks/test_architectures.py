"""Every architecture: shapes, known sizes, gradients, initialisation, training, and what does not go together."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch.utils.flop_counter import FlopCounterMode
from torchvision import models

from bacon.networks.adaptation import halvings
from bacon.networks.build import build_network
from bacon.networks.registry import check_fits, forward_operations
from bacon.networks.vit_limits import patch_side
from bacon.runtime.errors import BaconError
from bacon.settings.architectures import ARCHITECTURES
from bacon.settings.network import NetworkSettings

CPU = torch.device("cpu")
DOCUMENTATION = Path(__file__).parents[2] / "docs" / "algorithms.md"
SMALL = ("mlp", "lenet", "alexnet", "vgg11", "resnet18")
EVERY = [(name, norm) for name in SMALL for norm in ARCHITECTURES[name].norms]
OTHERS = tuple(name for name in ARCHITECTURES if name not in SMALL)
QUICK = tuple(name for name in OTHERS if name not in ("resnet101", "swin_tiny", "vgg13"))


def build(architecture, *, channels=3, size=32, classes=10, seed=0, dtype=torch.float32, **settings):
    chosen = NetworkSettings(architecture=architecture, **settings)
    return build_network(chosen, channels=channels, size=size, classes=classes, seed=seed, device=CPU, dtype=dtype)


def meta(architecture, *, channels=3, size=32, classes=10, **settings):
    """A network with shapes and without numbers."""
    chosen = NetworkSettings(architecture=architecture, **settings)
    check_fits(chosen, size)
    module, function = ARCHITECTURES[architecture].builder.split(":")
    make = getattr(import_module(module), function)
    return make(chosen, channels=channels, size=size, classes=classes, device="meta", dtype=torch.float32)


def parameters(network) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("architecture", "norm"), EVERY)
@pytest.mark.parametrize(("channels", "size"), [(1, 16), (3, 16), (1, 28), (3, 32), (3, 64)])
def test_every_small_network_takes_every_size(architecture, norm, channels, size):
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


# (channels, side): MNIST, CIFAR, TinyImageNet, ImageNet subsets.
@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32), (3, 64), (3, 128)])
@pytest.mark.parametrize("architecture", OTHERS)
def test_every_other_network_takes_the_usual_sizes(architecture, channels, size):
    """On the meta device, which has shapes and no numbers; that numbers flow is tested below."""
    network = meta(architecture, channels=channels, size=size, classes=7)
    x = torch.zeros(3, channels, size, size, device="meta")
    assert network.embed(x).shape == (3, network.embedding_size)
    assert network(x).shape == (3, 7)


@pytest.mark.parametrize(("depth", "size"), [(3, 32), (4, 64), (5, 128), (6, 128)])
def test_deeper_convnets_are_for_larger_images(depth, size):
    """Depth 3, 4 and 5 end in 4x4 maps, the embedding of 2048 numbers that is usual."""
    network = meta("convnet", size=size, classes=7, depth=depth, norm="batch")
    assert network.embedding_size == (2048 if depth < 6 else 512)
    assert network(torch.zeros(2, 3, size, size, device="meta")).shape == (2, 7)


def original(name):
    """torchvision's own network, for images of 224x224 pixels and 1000 classes."""
    with torch.device("meta"):
        if name == "vit_tiny":
            return models.VisionTransformer(224, 16, num_layers=12, num_heads=3, hidden_dim=192, mlp_dim=768)
        return getattr(models, {"shufflenet_v2": "shufflenet_v2_x1_0", "swin_tiny": "swin_t"}.get(name, name))()


@pytest.mark.parametrize(
    ("architecture", "settings"),
    [
        *(
            ("resnet18", {"stem": "7x7", "norm": "batch"}),
            ("resnet50", {"stem": "7x7"}),
            ("resnet101", {"stem": "7x7"}),
        ),
        *(
            (name, {})
            for name in ("mobilenet_v2", "efficientnet_b0", "shufflenet_v2", "densenet121", "vit_tiny", "swin_tiny")
        ),
    ],
)
def test_at_imagenets_size_a_network_is_torchvisions(architecture, settings):
    """As many parameters, and the same maps: the networks are equal when their numbers are."""
    ours, theirs = meta(architecture, size=224, classes=1000, **settings), original(architecture)
    assert parameters(ours) == parameters(theirs)
    shapes = [tuple(parameter.shape) for parameter in ours.features.parameters()]
    assert shapes == [tuple(parameter.shape) for parameter in theirs.parameters()][: len(shapes)]
    images, found = torch.zeros(1, 3, 224, 224, device="meta"), []
    for network in (ours.features, theirs):
        with FlopCounterMode(display=False) as counter:
            network.eval()(images)
        found.append(counter.get_total_flops())
    assert found[1] - found[0] == 2 * ours.embedding_size * 1000, "all but the classifier"


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [
        # Published for CIFAR: 0.7 M (691,674 in the distillation literature), 23,520,842 and 42,512,970 (3x3 stem).
        ("wrn16_2", 691_674),
        ("resnet50", 23_520_842),
        ("resnet101", 42_512_970),
        # torchvision's without classifier, plus ours: 1280 x 10 + 10; 1024 x 10 + 10 with a 3x3 stem (27 instead of 147 taps).
        ("mobilenet_v2", 2_223_872 + 12_810),
        ("efficientnet_b0", 4_007_548 + 12_810),
        ("shufflenet_v2", 1_253_604 + 10_250),
        ("densenet121", 6_953_856 - 64 * 120 + 10_250),
    ],
)
def test_parameter_counts_for_small_images(architecture, expected):
    assert parameters(meta(architecture)) == expected


@pytest.mark.parametrize("architecture", [name for name in ARCHITECTURES if name != "convnet"])
def test_the_documentation_has_the_parameter_counts(architecture):
    assert f"{parameters(meta(architecture)):,}" in DOCUMENTATION.read_text()


@pytest.mark.parametrize("size", [28, 32, 64, 128])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_operations_in_the_records_are_those_that_pytorch_counts(architecture, size):
    images = torch.zeros(2, 3, size, size, device="meta")
    for stem in ("3x3", "7x7") if "stem" in ARCHITECTURES[architecture].keys else (None,):
        settings = {} if stem is None else {"stem": stem, "norm": "batch"}
        network = meta(architecture, size=size, **settings)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network.eval().features(images)
        said = forward_operations(NetworkSettings(architecture=architecture, **settings), 3, size).total
        # Maps of odd sizes are rounded up, and so are 28x28 images that are padded.
        assert 0.6 < said / (counter.get_total_flops() / len(images)) < 1.3


def test_small_images_keep_their_pixels():
    """The last maps are 4x4 or larger, because of the first two halvings as few stay as that needs."""
    assert [halvings(size) for size in (16, 28, 32, 63, 64, 127, 128, 224)] == [0, 0, 0, 0, 1, 1, 2, 2]
    for size in (32, 64, 128):
        for architecture in ("mobilenet_v2", "efficientnet_b0", "densenet121"):
            maps = meta(architecture, size=size).features.features(torch.zeros(1, 3, size, size, device="meta"))
            assert maps.shape[-2:] == (4, 4)


@pytest.mark.parametrize(
    ("size", "patch"), [(16, 2), (28, 4), (32, 4), (64, 8), (96, 12), (128, 16), (224, 16), (30, 3)]
)
def test_a_vision_transformer_cuts_images_into_about_eight_patches_a_side(size, patch):
    assert patch_side(size) == patch


def step(network, x, labels, rate):
    loss = F.cross_entropy(network(x), labels)
    gradients = torch.autograd.grad(loss, list(network.parameters()), materialize_grads=True)
    with torch.no_grad():
        for parameter, gradient in zip(network.parameters(), gradients, strict=True):
            parameter -= rate * gradient
    return float(loss.detach())


@pytest.mark.parametrize("architecture", QUICK)
def test_every_network_learns_is_built_the_same_again_and_comes_back_from_its_state(architecture):
    size = 32 if architecture.startswith("vgg") else 16  # instance norm needs more than single pixels
    first, again = (build(architecture, size=size, channels=1) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True))
    x = torch.randn(4, 1, size, size, generator=torch.Generator().manual_seed(1))
    losses = [step(first, x, torch.arange(4), 0.01) for _ in range(3)]
    assert min(losses[1:]) < losses[0]
    again.load_state_dict(first.state_dict())
    assert torch.equal(first.eval()(x), again.eval()(x))
    assert torch.equal(first(x), first(x)), "nothing is drawn: no dropout, no stochastic depth"
    torch.testing.assert_close(
        first(x[:1]), first(x)[:1], rtol=1e-3, atol=1e-4
    )  # in evaluation no network mixes images


def test_swin_learns_and_its_buffers_are_those_that_torchvision_computes():
    network = build("swin_tiny", size=32, channels=1)
    attention = network.features.features[1][0].attn
    expected = attention.relative_position_index.clone()
    assert expected.unique().tolist() == list(range(49)), "the 7x7 relative positions within a window of 4x4"
    attention.define_relative_position_index()
    assert torch.equal(attention.relative_position_index, expected)
    x = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    losses = [step(network, x, torch.arange(2), 0.01) for _ in range(2)]
    assert losses[1] < losses[0]


@pytest.mark.parametrize("architecture", ["vit_tiny", "swin_tiny", "mobilenet_v2", "efficientnet_b0", "densenet121"])
def test_torchvisions_initialisation(architecture):
    """Parameter by parameter, the spread is that of torchvision's own network; nothing is left as memory held it."""
    size = 32 if architecture == "swin_tiny" else 16
    ours, theirs = build(architecture, size=size), meta(architecture, size=size)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        reference = reference_network(architecture, size)
    named = dict(reference.named_parameters())
    assert [name for name, _ in ours.features.named_parameters()] == [n for n in named if n.split(".")[0] not in HEADS]
    for name, parameter in ours.features.named_parameters():
        if named[name].shape != parameter.shape or parameter.numel() < 400:
            continue
        expected = float(named[name].detach().std())
        assert float(parameter.detach().std()) == pytest.approx(expected, rel=0.25, abs=1e-9), name
        assert abs(float(parameter.detach().mean() - named[name].detach().mean())) < 0.2 * expected + 1e-9, name
    assert parameters(ours) == parameters(theirs)


HEADS = ("classifier", "heads", "head", "fc")


def reference_network(name, size):
    if name == "vit_tiny":
        return models.VisionTransformer(size, 2, num_layers=12, num_heads=3, hidden_dim=192, mlp_dim=768)
    if name == "swin_tiny":
        return models.SwinTransformer([1, 1], 96, [2, 2, 6, 2], [3, 6, 12, 24], [4, 4])
    return getattr(models, name)()


def test_a_vision_transformer_can_be_differentiated_twice():
    network = build("vit_tiny", size=16, channels=1, dtype=torch.float64)
    x = torch.randn(2, 1, 16, 16, dtype=torch.float64, requires_grad=True)
    weight = network.features.encoder.layers[0].self_attention.in_proj_weight
    (first,) = torch.autograd.grad(network(x).square().sum(), weight, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), x)
    assert second.isfinite().all()
    assert second.abs().sum() > 0


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
    block = network.features.layer1[0]
    block.bn2.weight.data.zero_()
    x = torch.rand(2, 64, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(block(x), x)


@pytest.mark.parametrize("architecture", [*SMALL, "convnet", "shufflenet_v2"])
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
    [
        ("lenet", 12, "lenet.*12x12.*at least 16x16"),
        ("alexnet", 7, "alexnet.*7x7.*at least 8x8"),
        ("swin_tiny", 24, "swin_tiny.*24x24.*at least 25x25"),
        ("vit_tiny", 31, "vit_tiny.*no patch size divides 31x31.*for example 28"),
    ],
)
def test_images_that_are_too_small(architecture, size, message):
    with pytest.raises(BaconError, match=message):
        check_fits(NetworkSettings(architecture=architecture), size)
    allowed = {"lenet": 16, "alexnet": 8, "swin_tiny": 25, "vit_tiny": 28}[architecture]
    assert meta(architecture, size=allowed).embedding_size > 0


def test_building_checks_the_size_too():
    with pytest.raises(BaconError, match="12x12"):
        build("lenet", size=12)


def test_instance_norm_is_not_given_single_pixels_by_imagenets_stem():
    with pytest.raises(BaconError, match=r"network.stem.*32x32.*3x3"):
        meta("resnet18", size=32, stem="7x7")
    for settings in ({"norm": "batch"}, {"size": 64}):
        assert meta("resnet18", **{"size": 32, **settings}, stem="7x7").embedding_size == 512


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"architecture": "vgg11", "norm": "layer"}, "`norm` of vgg11 is instance or batch, not layer"),
        ({"architecture": "mlp", "norm": "instance"}, "`norm` of mlp is none, not instance"),
        ({"architecture": "resnet18", "width": 64}, "resnet18 has no `width`; its keys are architecture, norm, stem"),
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
    stem = {"stem": "3x3"} if architecture == "resnet18" else {}
    assert plain == {"architecture": architecture, "norm": norm, "precision": "tf32"} | stem
    assert NetworkSettings(**plain) == settings
    assert NetworkSettings(architecture=architecture).norm == ARCHITECTURES[architecture].norms[0]


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
