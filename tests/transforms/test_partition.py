"""Partitioned images: shape, order, gradient, and what encoding and decoding undo."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bacon.runtime.errors import BaconError
from bacon.transforms.partition import decode, encode


def constant_parts(levels: torch.Tensor, factor: int, size: int = 12) -> torch.Tensor:
    """(n, C, size, size) stored images whose parts are constant: levels (n, factor, factor, C), row, column, channel."""
    side = size // factor
    return levels.permute(0, 3, 1, 2).repeat_interleave(side, dim=2).repeat_interleave(side, dim=3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_factor_one_changes_nothing(dtype):
    images = torch.randn(3, 2, 8, 8, dtype=dtype)
    assert decode(images, 1) is images
    assert encode(images, 1) is images


@pytest.mark.parametrize("lead", [(), (5,), (2, 3)])
@pytest.mark.parametrize("factor", [2, 3])
def test_shapes_and_dtypes(lead, factor):
    images = torch.randn(*lead, 4, 3, 12, 12)
    decoded = decode(images, factor)
    assert decoded.shape == (*lead, 4 * factor**2, 3, 12, 12)
    assert encode(decoded, factor).shape == images.shape
    assert decode(images.double(), factor).dtype == torch.float64


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_decode_gives_all_parts_of_the_first_image_first_row_by_row(factor):
    levels = torch.arange(2 * factor**2 * 3, dtype=torch.float64).view(2, factor, factor, 3)
    decoded = decode(constant_parts(levels, factor), factor)
    for image in range(2):
        for row in range(factor):
            for column in range(factor):
                part = decoded[image * factor**2 + row * factor + column]
                expected = levels[image, row, column][:, None, None].expand(3, 12, 12)
                torch.testing.assert_close(part, expected, rtol=0, atol=1e-12)


def test_decode_upsamples_each_part_alone_and_bilinearly():
    images = torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    images[0, 0, :2, :2] = torch.tensor([[0.0, 4.0], [8.0, 12.0]])
    images[0, 0, :2, 2:] = 1000.0  # the neighbouring part must not leak in
    # Pixel centres of the fine grid lie at 1/4 and 3/4 of the coarse step; the border repeats.
    weights = torch.tensor([[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]], dtype=torch.float64)
    expected = weights @ images[0, 0, :2, :2] @ weights.T
    torch.testing.assert_close(decode(images, 2)[0, 0], expected, rtol=0, atol=1e-12)


def test_encode_averages_squares_and_tiles_in_the_order_of_decode():
    parts = torch.randn(4, 2, 6, 6, dtype=torch.float64)
    stored = encode(parts, 2)
    for index, (row, column) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        small = parts[index].view(2, 3, 2, 3, 2).mean(dim=(2, 4))
        tile = stored[0, :, row * 3 : row * 3 + 3, column * 3 : column * 3 + 3]
        torch.testing.assert_close(tile, small, rtol=0, atol=1e-12)


@settings(max_examples=25)
@given(factor=st.sampled_from([2, 3, 4]), count=st.integers(1, 3), channels=st.integers(1, 3), seed=st.integers(0, 99))
def test_encode_undoes_decode_on_constant_parts(factor, count, channels, seed):
    generator = torch.Generator().manual_seed(seed)
    levels = torch.randn(count, factor, factor, channels, dtype=torch.float64, generator=generator)
    images = constant_parts(levels, factor)
    torch.testing.assert_close(encode(decode(images, factor), factor), images, rtol=0, atol=1e-12)


def test_leading_dimensions_are_independent():
    images = torch.randn(3, 2, 1, 8, 8, dtype=torch.float64)
    expected = torch.stack([decode(one, 2) for one in images])
    assert torch.equal(decode(images, 2), expected)


@pytest.mark.parametrize("factor", [2, 3])
def test_gradients(factor):
    images = torch.randn(2, 1, 6, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: decode(x, factor), images)
    parts = torch.randn(factor**2, 1, 6, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: encode(x, factor), parts)


@pytest.mark.parametrize("convert", [decode, encode])
def test_sides_must_be_divisible(convert):
    with pytest.raises(BaconError, match=r"28x28.*3x3"):
        convert(torch.zeros(9, 1, 28, 28), 3)


def test_encode_needs_a_whole_number_of_stored_images():
    with pytest.raises(BaconError, match="packs 4 images into one; got 6"):
        encode(torch.zeros(6, 1, 8, 8), 2)


def test_the_nearest_form_takes_every_second_pixel():
    images = torch.arange(4 * 16, dtype=torch.float64).view(4, 1, 4, 4)
    (stored,) = encode(images, 2, mode="nearest")
    torch.testing.assert_close(stored[:, :2, :2], images[0, :, ::2, ::2])
    torch.testing.assert_close(stored[:, 2:, 2:], images[3, :, ::2, ::2])
