"""What an artifact says of itself."""

import h5py
import pytest

from bacon.plan.headers import read_header


@pytest.mark.parametrize("place", [-8, 16, 33], ids=["message", "datatype", "precision"])
def test_a_file_with_a_damaged_attribute_has_no_fingerprint(tmp_path, place):
    path = tmp_path / "seed0.h5"
    with h5py.File(path, "w") as file:
        file.attrs.update({"fingerprint": "0" * 32, "wall_seconds": 12.5})
    content = bytearray(path.read_bytes())
    assert read_header(path).fingerprint == "0" * 32
    content[content.find(b"wall_seconds") + place] ^= 0xFF
    path.write_bytes(content)
    assert read_header(path).fingerprint is None
