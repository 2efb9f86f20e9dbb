"""Random draws: the published generator, the same on host and device, and independent of what is drawn beside them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from bacon.runtime import draws, draws_gpu
from tests.runtime.draws_on_gpu import check_words

CPU, GPU = torch.device("cpu"), torch.device("cuda")
SEED = (3, 11)


def _torch_words(key: tuple[int, int], counter: list[int]) -> list[int]:
    made = draws._philox(key, [torch.tensor([word], dtype=torch.int64) for word in counter])
    return [int(word) for word in made]


def _numpy_words(key: tuple[int, int], counter: list[int]) -> list[int]:
    made = draws._philox(key, [np.array([word], dtype=np.uint64) for word in counter])
    return [int(word[0]) for word in made]


@pytest.mark.parametrize("words", [_numpy_words, _torch_words])
@pytest.mark.parametrize(
    ("key", "counter", "expected"),
    [  # Random123, kat_vectors, philox4x32 with 10 rounds
        ((0, 0), [0, 0, 0, 0], [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ((0xFFFFFFFF,) * 2, [0xFFFFFFFF] * 4, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            (0xA4093822, 0x299F31D0),
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_philox_known_answers(words, key, counter, expected):
    assert words(key, counter) == expected


@pytest.mark.parametrize("count", [1, 4, 7, 1000])
@pytest.mark.parametrize("lanes", [[0, 9, 4], 2**31 + 3])
@pytest.mark.parametrize("drawn_by", [draws.device_words, draws._words_in_torch], ids=["on the CPU", "as on a GPU"])
def test_host_and_device_draw_the_same_words(count, lanes, drawn_by):
    host = draws.words(SEED, "test", count=count, iteration=5, lanes=lanes)
    given = lanes if isinstance(lanes, int) else torch.tensor(lanes)
    device = drawn_by(SEED, "test", count=count, iteration=5, lanes=given, device=CPU)
    assert host.shape == ((count,) if isinstance(lanes, int) else (3, count))
    assert device.dtype == torch.int64
    assert np.array_equal(host.astype(np.int64), device.numpy())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_uniform_is_the_same_on_host_and_device_and_in_every_dtype(dtype):
    host = draws.uniform(SEED, "test", count=500)
    device = draws.device_uniform(SEED, "test", count=500, device=CPU, dtype=dtype)
    assert device.dtype == dtype
    assert np.array_equal(host, device.double().numpy())
    assert host.min() >= 0
    assert host.max() < 1


def test_a_lane_does_not_depend_on_the_lanes_beside_it():
    together = draws.words(SEED, "test", count=6, iteration=2, lanes=np.arange(8))
    for lane in range(8):
        assert np.array_equal(together[lane], draws.words(SEED, "test", count=6, iteration=2, lanes=lane))


def test_a_shorter_draw_is_the_beginning_of_a_longer_one():
    assert np.array_equal(draws.words(SEED, "test", count=9)[:5], draws.words(SEED, "test", count=5))


@pytest.mark.parametrize(
    "other",
    [
        {"seed": (11, 3)},
        {"seed": 3},
        {"purpose": "other"},
        {"iteration": 1},
        {"lanes": 1},
    ],
)
def test_streams_differ_in_seed_purpose_iteration_and_lane(other):
    first = {"seed": SEED, "purpose": "test", "iteration": 0, "lanes": 0}
    a, b = (draws.uniform(**kwargs, count=4000) for kwargs in (first, first | other))
    assert not np.array_equal(a, b)
    assert abs(np.corrcoef(a, b)[0, 1]) < 5 / math.sqrt(4000)


def test_uniform_fills_its_range_evenly():
    drawn = draws.uniform(SEED, "test", count=100_000)
    observed = np.bincount((drawn * 50).astype(int), minlength=50)
    chi_square = ((observed - 2000) ** 2 / 2000).sum()
    assert chi_square < 49 + 5 * math.sqrt(2 * 49)


def test_normal_has_mean_zero_and_unit_variance():
    drawn = draws.device_normal(SEED, "test", count=100_000, device=CPU, dtype=torch.float64)
    assert abs(drawn.mean()) < 5 / math.sqrt(1e5)
    assert abs(drawn.var() - 1) < 5 * math.sqrt(2 / 1e5)
    assert abs((drawn > 1.959964).double().mean() - 0.025) < 5 * math.sqrt(0.025 * 0.975 / 1e5)


def test_permutations_are_permutations_and_uniform():
    orders = draws.device_permutation(SEED, "test", count=4, device=CPU, lanes=torch.arange(24_000))
    assert torch.equal(orders.sort(dim=1).values, torch.arange(4).expand(24_000, 4))
    codes = (orders * torch.tensor([64, 16, 4, 1])).sum(dim=1)
    observed = torch.unique(codes, return_counts=True)[1].double()
    assert len(observed) == 24
    assert float(((observed - 1000) ** 2 / 1000).sum()) < 23 + 5 * math.sqrt(2 * 23)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_kernel_makes_the_same_words_on_a_gpu():
    assert draws_gpu.gpu_kernel(GPU)
    check_words(GPU)


@pytest.mark.usefixtures("forgotten_kernels")
def test_where_the_kernel_cannot_be_compiled_one_line_says_so(monkeypatch, caplog):
    """Also where there is a GPU; without one, no tensor can be made there."""

    def broken(*_, **__):
        raise RuntimeError("no ptxas")

    monkeypatch.setattr(draws_gpu, "words", broken)
    with caplog.at_level("INFO"):
        assert not any(draws_gpu.gpu_kernel(GPU) for _ in range(3))
    (record,) = caplog.records
    assert "PyTorch's slower operations" in record.message


def test_words_where_the_kernel_can_be_used_are_the_kernels(monkeypatch):
    asked = []

    def kernel(key, *, count, lanes, iteration):
        asked.append((key, int(iteration)))
        return lanes[..., None].expand(*lanes.shape, count)

    monkeypatch.setattr(draws_gpu, "gpu_kernel", lambda _: True)
    monkeypatch.setattr(draws_gpu, "words", kernel)
    for iteration in (5, torch.tensor(5)):
        found = draws._words_in_torch(
            SEED, "test", count=2, iteration=iteration, lanes=torch.tensor([7, 8]), device=CPU
        )
        assert found.tolist() == [[7, 7], [8, 8]]
    assert asked == [(draws.stream_key(SEED, "test"), 5)] * 2
