"""What a file that appears whole may replace."""

import os

import pytest

from bacon.runtime import atomic
from bacon.runtime.errors import BaconError


def test_a_device_or_a_pipe_is_not_replaced_by_a_file(tmp_path, monkeypatch):
    """`bacon evaluate --output /dev/null`, of a superuser, would take the device from everybody."""
    pipe, link = tmp_path / "pipe", tmp_path / "devices" / "stdout"
    os.mkfifo(pipe)
    link.parent.mkdir()
    (tmp_path / "log").write_text("said", encoding="utf-8")
    link.symlink_to(tmp_path / "log")
    monkeypatch.setattr(atomic, "_DEVICES", (link.parent,))
    for target in (pipe, link):
        with pytest.raises(BaconError, match="is a device or a pipe, which a finished file would replace; name a file"):
            atomic.write_text(target, "new")
    assert pipe.is_fifo()
    assert link.is_symlink()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["devices", "log", "pipe", "stdout"]
