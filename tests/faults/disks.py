"""A folder on a disk of its own, which is healthy, full or read-only as a test says.

A small tmpfs; where this process may not mount one (not root, or a container without that right), a limit on the size of
files and a preloaded library. ``BACON_TESTS_MOUNT=no`` takes these anywhere.
"""

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# What a program that meets the disk is told; the second by a limit on the size of files.
FULL = "No space left on device|File too large"
READ_ONLY = "Read-only file system"

_SOURCE = Path(__file__).with_name("read_only.c")
_ROOMY = 64 * 1024 * 1024


class Disk:
    """A mounted tmpfs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, spare: int) -> None:
        """From now on only ``spare`` more bytes can be written."""
        pages = [-(-path.stat().st_size // 4096) * 4096 for path in self.folder.rglob("*") if path.is_file()]
        self._remount(f"size={sum(pages) + spare}")

    def refuse(self) -> None:
        """From now on nothing can be written."""
        self._remount("ro")

    def heal(self) -> None:
        """Room for everything again."""
        self._remount(f"rw,size={_ROOMY}")

    def _remount(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", self.folder], check=True)


class Pretended(Disk):
    """The same without a mount; what is said holds for this process and those that it starts from then on."""

    def fill(self, spare: int) -> None:
        """From now on no file can grow beyond ``spare`` bytes."""
        resource.setrlimit(resource.RLIMIT_FSIZE, (spare, resource.RLIM_INFINITY))

    def refuse(self) -> None:
        """From now on programs that are started cannot write."""
        library = self.folder.parent / "read_only.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, _SOURCE, "-ldl"], check=True)
        os.environ |= {"LD_PRELOAD": str(library), "READ_ONLY_FOLDER": str(self.folder)}

    def heal(self) -> None:
        """Room for everything again."""
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        for name in ("LD_PRELOAD", "READ_ONLY_FOLDER"):
            os.environ.pop(name, None)


@contextmanager
def disk(folder: Path) -> Iterator[Disk]:
    """A healthy disk with ``folder`` on it."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_ROOMY}", "tmpfs", folder]
    allowed = os.environ.get("BACON_TESTS_MOUNT") != "no" and shutil.which("mount")
    if allowed and subprocess.run(mount, check=False, capture_output=True).returncode == 0:
        try:
            yield Disk(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)
        return
    pretended = Pretended(folder)
    try:
        yield pretended
    finally:
        pretended.heal()
