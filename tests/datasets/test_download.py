"""Downloads from a server that misbehaves, from local folders, and from processes that are killed."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bacon.datasets.download import download
from bacon.datasets.fetch import RetryPolicy
from bacon.datasets.registry import Source
from bacon.runtime.errors import BaconError
from tests.datasets import server as faults
from tests.datasets.conftest import official
from tests.datasets.disks import full_disk

SIZE = 300_000
FEW_RETRIES = RetryPolicy(connect=2, read=0.3, attempts=3, pause=0.001)


@pytest.fixture
def content(noise):
    return noise(SIZE)


@pytest.fixture
def info(server, content):
    """A data set of one file, which the server has."""
    server.files["a.bin"] = content
    return official("mnist", {"a.bin": content}, url=server.url)


def fetched(info, folder, **options):
    (path,) = download(info, folder, retries=FEW_RETRIES, **options)
    return path


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".lock"}


def test_a_file_is_downloaded_and_then_used_without_a_connection(info, server, content, tmp_path):
    assert fetched(info, tmp_path).read_bytes() == content
    assert server.requests == [("a.bin", None)]
    assert fetched(info, tmp_path) == tmp_path / "a.bin"
    assert len(server.requests) == 1
    assert left(tmp_path) == {"a.bin"}


def test_dropped_connections_are_continued_where_they_broke(info, server, content, tmp_path):
    server.faults["a.bin"] = [faults.dropped(100_000), faults.dropped(100_000), faults.dropped(50_000)]
    assert fetched(info, tmp_path).read_bytes() == content
    starts = [0 if wanted is None else int(wanted[6:-1]) for _, wanted in server.requests]
    assert len(starts) == 4
    assert starts == sorted(set(starts))
    assert starts[1] >= 32_768  # all but the last, unfinished block is kept


def test_an_end_that_nothing_announced_counts_as_a_dropped_connection(info, server, content, tmp_path):
    server.faults["a.bin"] = [faults.silent_end(200_000)]
    assert fetched(info, tmp_path).read_bytes() == content
    assert server.requests[1] == ("a.bin", "bytes=200000-")


def test_a_server_that_ignores_ranges_sends_all_again(info, server, content, tmp_path):
    server.faults["a.bin"] = [faults.silent_end(200_000), faults.ignored_range]
    assert fetched(info, tmp_path).read_bytes() == content
    assert len(server.requests) == 2


def test_a_server_that_sends_another_range_is_not_believed(info, server, tmp_path):
    server.faults["a.bin"] = [faults.silent_end(200_000), faults.wrong_range]
    with pytest.raises(BaconError, match="asked for the bytes from 200000, sent bytes 1-"):
        fetched(info, tmp_path)
    assert (tmp_path / "a.bin.part").stat().st_size == 200_000


@pytest.mark.parametrize("code", [500, 503, 429, 408])
def test_a_busy_server_is_asked_again(info, server, content, tmp_path, code):
    server.faults["a.bin"] = [faults.status(code), faults.status(code)]
    assert fetched(info, tmp_path).read_bytes() == content


def test_a_server_that_stays_broken_is_given_up(info, server, tmp_path):
    server.faults["a.bin"] = [faults.status(500)] * 10
    with pytest.raises(BaconError, match=r"HTTP 500 .*\(3 attempts\)"):
        fetched(info, tmp_path)
    assert len(server.requests) == FEW_RETRIES.attempts


def test_attempts_without_a_new_byte_are_counted_though_the_length_goes_up_and_down(info, server, tmp_path):
    """A server without ranges that drops now here, now there would otherwise be asked for ever."""
    server.faults["a.bin"] = [faults.silent_end(after) for after in (200_000, 100_000, 150_000, 100_000, 150_000)]
    with pytest.raises(BaconError, match="3 attempts"):
        fetched(info, tmp_path)
    assert len(server.requests) == 3


@pytest.mark.parametrize("code", [403, 404, 410])
def test_a_file_that_is_not_there_is_asked_for_once(info, server, tmp_path, code):
    server.faults["a.bin"] = [faults.status(code)] * 2
    with pytest.raises(BaconError, match=f"HTTP {code}"):
        fetched(info, tmp_path)
    assert len(server.requests) == 1


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_redirections_are_followed(info, server, content, tmp_path, code):
    server.files["moved/b.bin"] = content
    server.faults["a.bin"] = [faults.status(code, {"Location": "/moved/b.bin"})]
    assert fetched(info, tmp_path).read_bytes() == content


def test_a_circle_of_redirections_is_an_error(info, server, tmp_path):
    server.faults["a.bin"] = [faults.status(302, {"Location": "/a.bin"})] * 100
    with pytest.raises(BaconError, match="redirects"):
        fetched(info, tmp_path)


def test_a_slow_server_is_waited_for(info, server, content, tmp_path):
    """Longer as a whole than the time limit, which is between two bytes."""
    server.faults["a.bin"] = [faults.slow(pieces=5, pause=0.1)]
    assert fetched(info, tmp_path).read_bytes() == content
    assert len(server.requests) == 1


def test_a_server_that_stalls_is_left_and_asked_for_the_rest(info, server, content, tmp_path):
    gate = threading.Event()
    server.faults["a.bin"] = [faults.stalled(131_072, gate)]
    assert fetched(info, tmp_path).read_bytes() == content
    gate.set()
    assert server.requests[1] == ("a.bin", "bytes=131072-")


def test_a_file_declared_as_encoded_is_stored_as_it_is(info, server, content, tmp_path):
    server.faults["a.bin"] = [faults.sends(content, {"Content-Encoding": "gzip"})]
    assert fetched(info, tmp_path).read_bytes() == content


def test_wrong_bytes_are_kept_aside_and_named(info, server, noise, tmp_path):
    wrong = noise(SIZE, seed=1)
    server.files["a.bin"] = wrong
    with pytest.raises(BaconError) as raised:
        fetched(info, tmp_path)
    assert f"sha256: expected {info.sources[0].sha256}, found {hashlib.sha256(wrong).hexdigest()}" in str(raised.value)
    (aside,) = left(tmp_path)
    assert aside == f"a.bin.wrong-{hashlib.sha256(wrong).hexdigest()[:8]}"
    assert aside in str(raised.value)
    assert (tmp_path / aside).read_bytes() == wrong


def test_the_same_wrong_bytes_are_kept_once(info, server, noise, tmp_path):
    server.files["a.bin"] = noise(SIZE, seed=1)
    for _ in range(2):
        with pytest.raises(BaconError, match="cannot be downloaded"):
            fetched(info, tmp_path)
    assert len(left(tmp_path)) == 1


@pytest.mark.parametrize("body", [b"<html>log in</html>", b"x" * (SIZE + 1)], ids=["login page", "longer file"])
def test_a_file_of_another_length_is_refused_before_it_is_stored(info, server, tmp_path, body):
    server.faults["a.bin"] = [faults.sends(body)]
    with pytest.raises(BaconError, match=f"expected {SIZE} bytes, the server offers {len(body)}"):
        fetched(info, tmp_path)
    assert left(tmp_path) == set()


def test_an_endless_answer_is_cut_off_and_the_next_call_starts_again(info, server, content, tmp_path):
    server.faults["a.bin"] = [faults.endless]
    with pytest.raises(BaconError, match=f"sends more than the {SIZE} bytes"):
        fetched(info, tmp_path)
    assert (tmp_path / "a.bin.part").stat().st_size < SIZE + 100_000
    assert fetched(info, tmp_path).read_bytes() == content


def test_a_part_of_another_version_is_thrown_away(info, server, content, noise, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(noise(100_000, seed=2))
    assert fetched(info, tmp_path).read_bytes() == content
    assert server.requests == [("a.bin", "bytes=100000-"), ("a.bin", None)]
    assert left(tmp_path) == {"a.bin"}


@pytest.mark.parametrize("length", [SIZE, SIZE + 5])
def test_a_whole_or_too_long_part_is_no_dead_end(info, content, tmp_path, length):
    (tmp_path / "a.bin.part").write_bytes((content + b"12345")[:length])
    assert fetched(info, tmp_path).read_bytes() == content


def test_mirrors_come_first_and_the_official_address_after_them(info, server, content, noise, tmp_path):
    server.files["mirror/a.bin"] = noise(SIZE, seed=3)
    mirrors = (f"{server.url}/gone/", f"{server.url}/mirror")
    assert fetched(info, tmp_path, mirrors=mirrors).read_bytes() == content
    assert [name for name, _ in server.requests] == ["gone/a.bin", "mirror/a.bin", "a.bin"]
    assert any(name.startswith("a.bin.wrong-") for name in left(tmp_path))


def test_a_bad_file_in_the_folder_is_replaced_and_kept_aside(info, content, tmp_path):
    (tmp_path / "a.bin").write_bytes(b"bad")
    assert fetched(info, tmp_path).read_bytes() == content
    (aside,) = left(tmp_path) - {"a.bin"}
    assert (tmp_path / aside).read_bytes() == b"bad"


def test_a_local_folder_is_verified_and_used_without_a_connection(info, server, content, tmp_path):
    archives, folder = tmp_path / "archives", tmp_path / "folder"
    archives.mkdir()
    (archives / "a.bin").write_bytes(content)
    archives.chmod(0o555)
    assert fetched(info, folder, archives=archives).read_bytes() == content
    assert server.requests == []
    assert [path.name for path in archives.iterdir()] == ["a.bin"]


def test_a_wrong_file_in_a_local_folder_is_left_alone_and_the_network_used(info, content, tmp_path):
    archives, folder = tmp_path / "archives", tmp_path / "folder"
    archives.mkdir()
    (archives / "a.bin").write_bytes(b"bad")
    assert fetched(info, folder, archives=archives).read_bytes() == content
    assert (archives / "a.bin").read_bytes() == b"bad"


def test_a_local_folder_that_is_not_there_is_named(info, tmp_path):
    with pytest.raises(BaconError, match=r"data\.mnist\.archives = '.*nowhere': is not a folder"):
        fetched(info, tmp_path / "folder", archives=tmp_path / "nowhere")


def test_an_unpacked_copy_of_a_gzip_file_is_accepted(tmp_path, content):
    unpacked = hashlib.sha256(content).hexdigest()
    source = Source(file="x.gz", urls=("http://127.0.0.1:9/x.gz",), md5="0" * 32, unpacked_sha256=unpacked)
    info = official("mnist", {})
    info = type(info)(**{**vars(info), "sources": (source,)})
    (tmp_path / "x").write_bytes(content)
    (tmp_path / "x.gz").write_bytes(b"broken")
    assert fetched(info, tmp_path) == tmp_path / "x"


def test_without_a_network_one_message_names_every_missing_file_and_where_to_put_it(tmp_path, noise):
    info = official("mnist", {f"{name}.gz": noise(10, seed) for seed, name in enumerate("abc")})
    (tmp_path / "b.gz").write_bytes(noise(10, 1))
    with pytest.raises(BaconError) as raised:
        download(info, tmp_path, retries=FEW_RETRIES)
    message = str(raised.value)
    assert "HTTPS_PROXY" in message
    assert str(tmp_path) in message
    assert "data.mnist.archives" in message
    for source in (info.sources[0], info.sources[2]):
        assert f"{source.file} ({source.size} bytes, sha256 {source.sha256}) from {source.urls[0]}" in message
    assert "b.gz" not in message
    assert "refused" in message


def test_a_folder_that_cannot_be_written_is_named(info, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BaconError, match=r"file.*cannot be written"):
        fetched(info, tmp_path / "file" / "folder")


def test_a_full_disk_keeps_the_part_and_the_next_call_goes_on(info, server, content, tmp_path):
    with full_disk(tmp_path / "disk", 131_072) as folder:
        with pytest.raises(
            BaconError, match=r"a\.bin\.part: cannot be written: (No space left on device|File too large)"
        ):
            fetched(info, folder)
        assert len(server.requests) == 1
        assert left(folder) == {"a.bin.part"}
        held = (folder / "a.bin.part").read_bytes()
        assert 0 < len(held) <= 131_072
        assert content.startswith(held)


DOWNLOAD = """
import sys
from pathlib import Path
from bacon.datasets.download import download
from bacon.datasets.fetch import RetryPolicy
from tests.datasets.conftest import official
url, folder, file = sys.argv[1:]
info = official("mnist", {"a.bin": Path(file).read_bytes()}, url=url)
print(download(info, Path(folder), retries=RetryPolicy(connect=2, read=30, attempts=3, pause=0.001)))
"""


def process(server, folder, file):
    return subprocess.Popen(
        [sys.executable, "-c", DOWNLOAD, server.url, str(folder), str(file)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )


def test_a_killed_download_is_continued(info, server, content, tmp_path):
    gate = threading.Event()
    server.faults["a.bin"] = [faults.stalled(131_072, gate)]
    (tmp_path / "copy").write_bytes(content)
    folder = tmp_path / "folder"
    running = process(server, folder, tmp_path / "copy")
    part = folder / "a.bin.part"
    while not (part.exists() and part.stat().st_size >= 65_536):
        assert running.poll() is None, running.stdout.read()
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    gate.set()
    held = part.stat().st_size
    assert left(folder) == {"a.bin.part"}
    assert fetched(info, folder).read_bytes() == content
    assert server.requests[1] == ("a.bin", f"bytes={held}-")
    assert left(folder) == {"a.bin"}


@pytest.mark.usefixtures("info")
def test_processes_at_the_same_time_download_once(server, content, tmp_path):
    server.faults["a.bin"] = [faults.slow(pieces=10, pause=0.2)]
    (tmp_path / "copy").write_bytes(content)
    folder = tmp_path / "folder"
    running = [process(server, folder, tmp_path / "copy") for _ in range(3)]
    assert [one.wait() for one in running] == [0, 0, 0], [one.stdout.read() for one in running]
    assert (folder / "a.bin").read_bytes() == content
    assert server.requests == [("a.bin", None)]
    assert left(folder) == {"a.bin"}
