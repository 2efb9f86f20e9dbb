"""Energy counters: they add up, come round, stop telling, and are never divided or made up."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch

from bacon.runtime import energy, nvml, rapl
from bacon.runtime.energy import EnergyMeter, measured_use
from bacon.runtime.heartbeat import Heartbeat, read_progress
from bacon.runtime.used import Used
from tests.waiting import wait_for


def domain(root, folder, name, *, now=0, full=10**10):
    path = root / folder
    path.mkdir(parents=True, exist_ok=True)
    for file, text in (("name", name), ("energy_uj", now), ("max_energy_range_uj", full)):
        (path / file).write_text(f"{text}\n")
    return path / "energy_uj"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with two processors, whose clock, CPU times and counters a test sets."""
    state = SimpleNamespace(root=tmp_path, clock=0.0, busy=0.0, own=0.0)
    state.first = domain(tmp_path, "intel-rapl:0", "package-0", now=1_000_000)
    state.second = domain(tmp_path, "intel-rapl:1", "package-1", now=9_999_000_000)
    state.memory = domain(tmp_path, "intel-rapl:0:1", "dram")
    domain(tmp_path, "intel-rapl:0:0", "core", now=5)
    domain(tmp_path, "intel-rapl:2", "psys", now=5)
    domain(tmp_path, "intel-rapl-mmio:0", "package-0", now=5)
    monkeypatch.setattr(rapl, "_seconds", lambda: state.clock)
    monkeypatch.setattr(rapl, "busy_seconds", lambda: state.busy)
    monkeypatch.setattr(rapl, "own_seconds", lambda: state.own)
    return state


def test_rapl_adds_processors_and_memory_and_goes_on_where_a_counter_comes_round(machine):
    counter = rapl.find_rapl(machine.root)
    assert counter.read() == (0.0, None)
    machine.clock, machine.busy, machine.own = 5.0, 8.0, 2.0
    machine.first.write_text("3500000\n")  # 2.5 J
    machine.second.write_text("1000000\n")  # full at 10,000 J: 1 J to there, 1 J from there
    machine.memory.write_text("250000\n")  # 0.25 J
    joules, share = counter.read()
    assert joules == pytest.approx(2.5 + 2.0 + 0.25)
    assert share == 0.25


def test_rapl_left_alone_for_too_long_is_unknown_and_stays_so(machine):
    counter = rapl.find_rapl(machine.root)
    meter = EnergyMeter(counter, look_seconds=1e9)
    machine.clock = 9.0  # 10,000 J at 1,000 W are 10 s
    assert meter.used().joules == 0.0
    machine.clock = 20.0
    assert meter.used() == Used()
    machine.clock = 21.0
    assert meter.used() == Used()
    meter.close()


def test_a_meter_reads_by_itself(machine):
    counter = rapl.find_rapl(machine.root)
    meter = EnergyMeter(counter, look_seconds=0.001)
    machine.first.write_text("2000000\n")
    wait_for(lambda: counter._domains[0].joules == 1.0)
    meter.close()
    assert not meter._thread.is_alive()


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda machine: machine.first.write_text("soon\n"), "cannot be read"),
        (lambda machine: machine.first.unlink(), "cannot be read"),
        (lambda machine: [(path / "name").write_text("psys") for path in machine.root.iterdir()], "no energy counter"),
    ],
)
def test_without_a_readable_counter_energy_is_unknown_and_the_log_says_why(
    machine, monkeypatch, caplog, break_it, said
):
    break_it(machine)
    found = rapl.find_rapl(machine.root)
    assert said in found
    monkeypatch.setattr(energy, "find_rapl", lambda: found)
    caplog.set_level("INFO")
    with measured_use(torch.device("cpu")) as use:
        used = use()
    assert (used.joules, used.share, used.source) == (None, None, "")
    assert used.peak_memory_bytes > 2**20
    assert f"energy is not recorded: {found}" in caplog.text
    assert used.energy() == {}


def test_busy_time_leaves_out_idle_and_waiting(tmp_path):
    path = tmp_path / "stat"
    path.write_text("cpu  100 20 30 9999 888 4 6 7 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n")
    ticks = rapl.os.sysconf("SC_CLK_TCK")
    assert rapl.busy_seconds(path) == 160 / ticks
    assert rapl.busy_seconds(tmp_path / "none") is None


class FakeNvml(SimpleNamespace):
    """``pynvml`` of one GPU, whose counter and processes a test sets."""

    class NVMLError(Exception):
        pass

    def nvmlInit(self):  # noqa: N802
        if self.broken == "init":
            raise self.NVMLError("Driver Not Loaded")

    def nvmlDeviceGetHandleByUUID(self, uuid):  # noqa: N802
        self.asked = uuid
        return "handle"

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):  # noqa: N802
        assert handle == "handle"
        if self.broken == "energy":
            raise self.NVMLError("Not Supported")
        return self.millijoules

    def nvmlDeviceGetComputeRunningProcesses(self, handle):  # noqa: N802
        assert handle == "handle"
        if self.processes is None:
            raise self.NVMLError("Insufficient Permissions")
        return [object()] * self.processes


@pytest.fixture
def gpu(monkeypatch):
    library = FakeNvml(broken="", millijoules=5000, processes=0)
    monkeypatch.setitem(sys.modules, "pynvml", library)
    return library


def test_nvml_counts_joules_and_weights_the_share_by_them(gpu):
    counter = nvml.find_nvml("1f-ab")
    assert gpu.asked == "GPU-1f-ab"
    gpu.millijoules = 6000
    assert counter.read() == (1.0, None), "nobody computes yet"
    gpu.millijoules, gpu.processes = 9000, 1
    assert counter.read() == (4.0, 1.0)
    gpu.millijoules, gpu.processes = 15000, 3
    joules, share = counter.read()
    assert joules == 10.0
    assert share == pytest.approx((3 * 1 + 6 / 3) / 9)


def test_a_gpu_that_does_not_say_who_uses_it_has_no_share(gpu):
    counter = nvml.find_nvml("1f-ab")
    gpu.millijoules, gpu.processes = 9000, None
    assert counter.read() == (4.0, None)


@pytest.mark.parametrize(("broken", "said"), [("init", "Driver Not Loaded"), ("energy", "Not Supported")])
def test_a_gpu_that_does_not_tell_is_unknown(gpu, broken, said):
    gpu.broken = broken
    assert said in nvml.find_nvml("1f-ab")


def test_a_gpu_that_stops_telling_is_unknown_from_then_on(gpu):
    meter = EnergyMeter(nvml.find_nvml("1f-ab"), look_seconds=1e9)
    assert meter.used().source == "NVML"
    gpu.broken = "energy"
    assert meter.used() == Used()
    gpu.broken = ""
    assert meter.used() == Used()
    meter.close()


def test_without_the_binding_the_reason_names_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert "nvidia-ml-py" in nvml.find_nvml("1f-ab")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_real_gpu_takes_energy_while_it_computes():
    device = torch.device("cuda", torch.cuda.current_device())
    found = nvml.find_nvml(str(torch.cuda.get_device_properties(device).uuid))
    if isinstance(found, str) and "does not tell" in found:
        pytest.skip(f"{found}: MIG, or older than Volta")
    assert isinstance(found, nvml.Nvml), found
    with measured_use(device) as use:
        before, square = use().joules, torch.ones(4096, 4096, device=device)
        assert before is not None
        for _ in range(200):
            square = (square @ square).clamp(max=1)
        torch.cuda.synchronize()
        assert use().joules > before


def test_cells_side_by_side_divide_the_joules_as_they_divide_the_time(monkeypatch):
    state = SimpleNamespace(joules=100.0, share=0.0, wall=0.0)
    monkeypatch.setattr("time.monotonic", lambda: state.wall)
    used = energy.divided_use(lambda: Used(joules=state.joules, share=1.0, source="NVML"), lambda: state.share)
    state.joules, state.share, state.wall = 180.0, 4.0, 4.0  # alone
    assert used().joules == 80.0
    state.joules, state.share, state.wall = 280.0, 6.5, 9.0  # one of two
    assert used() == Used(joules=130.0, share=1.0, source="NVML")
    state.joules = None
    assert used() == Used()


def test_parts_add_up_and_what_one_does_not_know_nobody_knows():
    first = Used(joules=100.0, share=1.0, source="RAPL", peak_memory_bytes=7)
    later = Used(joules=300.0, share=0.2, source="NVML", peak_memory_bytes=5)
    both = first.and_then(later)
    assert (both.joules, both.source, both.peak_memory_bytes) == (400.0, "RAPL; NVML", 7)
    assert both.share == pytest.approx((100 + 60) / 400)
    assert first.and_then(Used(peak_memory_bytes=9)) == Used(source="RAPL", peak_memory_bytes=9)
    assert first.and_then(Used(joules=1.0, source="RAPL")).share is None
    assert both.energy() == {"energy_joules": 400.0, "energy_source": "RAPL; NVML", "energy_share": both.share}


def test_a_job_that_goes_on_counts_the_energy_of_its_earlier_parts(tmp_path):
    used = Used(joules=40.0, share=0.5, source="RAPL", peak_memory_bytes=100)
    first = Heartbeat(tmp_path / "beat.json", fingerprint="f", device="CPU", interval=0.0, use=lambda: used)
    first.write(1, 2, 1.0)  # and killed
    later = Used(joules=60.0, share=1.0, source="RAPL", peak_memory_bytes=50)
    again = Heartbeat(tmp_path / "beat.json", fingerprint="f", device="CPU", interval=0.0, use=lambda: later)
    assert again.used() == Used(joules=100.0, share=0.8, source="RAPL", peak_memory_bytes=100)
    assert again.part_used() == later
    again.write(2, 2, 1.0)
    assert read_progress(tmp_path / "beat.json").used == again.used()
    other = Heartbeat(tmp_path / "beat.json", fingerprint="0", device="CPU", interval=0.0, use=lambda: later)
    assert other.used() == later, "the energy of another fingerprint is not this job's"
    unknown = Heartbeat(tmp_path / "beat.json", fingerprint="f", device="CPU", interval=0.0)
    assert unknown.used().joules is None, "a part that was not measured makes the whole unknown"
