import errno
import fcntl
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import nn

from deepobfuscator.core.errors import InputError
from deepobfuscator.core.runtime import (
    Context,
    alone,
    join_ranks,
    locked,
    resolve_device,
    resolve_precision,
)

CPU = torch.device("cpu")

HOLDER = """
import sys
from pathlib import Path
from deepobfuscator.core.runtime import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("name", ["fp32", "bf16"])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_named_precision_is_taken_as_it_is(name: str, device: str) -> None:
    assert resolve_precision(name, torch.device(device)) == name


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(InputError, match=r"^--precision fp16: take one of auto, fp32, bf16$"):
        resolve_precision("fp16", CPU)


@pytest.mark.parametrize(
    ("capability", "native", "precision"),
    [("AVX512", True, "bf16"), ("AVX512", False, "fp32"), ("AVX2", True, "fp32")],
)
def test_auto_takes_bf16_on_a_cpu_only_where_it_is_native_and_in_use(
    monkeypatch: pytest.MonkeyPatch, capability: str, native: bool, precision: str
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native)
    assert resolve_precision("auto", CPU) == precision


def test_auto_agrees_with_what_the_kernel_says_of_this_cpu() -> None:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists() or torch.backends.cpu.get_cpu_capability() != "AVX512":
        pytest.skip("needs Linux on a processor with AVX-512")
    native = "avx512_bf16" in cpuinfo.read_text().split()
    assert resolve_precision("auto", CPU) == ("bf16" if native else "fp32")


@pytest.mark.parametrize("emulated", [True, False])
def test_auto_takes_bf16_on_a_gpu_only_where_it_is_native(
    monkeypatch: pytest.MonkeyPatch, emulated: bool
) -> None:
    def supported(including_emulation: bool = True) -> bool:
        return including_emulation or not emulated

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    precision = resolve_precision("auto", torch.device("cuda"))
    assert precision == ("fp32" if emulated else "bf16")


def test_auto_takes_the_gpu_where_there_is_one() -> None:
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert resolve_device("cpu") == CPU


@pytest.mark.parametrize("name", ["", "gpu", "cuda:99", "hpu", "meta"])
def test_a_device_that_cannot_compute_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"^--device {name}: .*take auto, cpu or cuda$"):
        resolve_device(name)


def test_networks_compute_in_the_precision_of_the_run(tmp_path: Path) -> None:
    network, inputs = nn.Linear(4, 4), torch.rand(2, 4)
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        with Context(tmp_path, precision=precision).autocast():
            assert network(inputs).dtype == dtype
    assert network.weight.dtype == torch.float32


def test_placing_a_network_changes_its_memory_and_not_its_numbers(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ConvTranspose2d(4, 2, 3), nn.BatchNorm2d(2))
    before = {k: v.clone() for k, v in network.state_dict().items()}
    placed = Context(tmp_path).place(network)
    assert placed is network
    assert network[0].weight.is_contiguous(memory_format=torch.channels_last)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


def test_progress_counts_from_where_it_was_stopped(tmp_path: Path) -> None:
    console = Console(file=io.StringIO())
    with Context(tmp_path, console=console).progress("play", 10, done=7) as bar:
        bar.advance("L_C 0.5")
        assert bar.bars.tasks[0].completed == 8
        bar.at(3, 20)
        assert (bar.bars.tasks[0].completed, bar.bars.tasks[0].total) == (3, 20)


def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    command = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        try:
            assert other.stdout.readline() == b"held\n"
            with (
                pytest.raises(InputError, match=rf"^{folder} is in use by another process: "),
                locked(folder),
            ):
                pytest.fail("two processes hold one folder")
        finally:
            other.kill()
            other.wait()
    with locked(folder):
        pass
    with locked(folder):
        pass


def test_a_folder_that_cannot_be_made_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match=r"^cannot use the folder .*file: "),
        locked(tmp_path / "file"),
    ):
        pytest.fail("a file was taken for a folder")


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EACCES])
def test_a_file_system_without_locks_is_a_warning(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    code: int,
) -> None:
    def flock(file: object, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)
    another_writes = tmp_path / ".file.123.part"
    another_writes.touch()
    for _ in range(2):
        with locked(tmp_path):
            assert another_writes.exists(), "perhaps another process is at work, after all"
    said = f"{tmp_path} cannot be locked ({os.strerror(code)}): start nothing else there meanwhile"
    assert capsys.readouterr().err == f"deepobfuscator: warning: {said}\n", "said once"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "WORLD_SIZE is 2 without RANK, LOCAL_RANK, MASTER_ADDR, MASTER_PORT"),
        ({"RANK": "0", "LOCAL_RANK": "0"}, "WORLD_SIZE is 2 without MASTER_ADDR, MASTER_PORT"),
        (
            {"RANK": "x", "LOCAL_RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"},
            "the processes cannot meet (ValueError",
        ),
    ],
)
def test_half_of_what_torchrun_sets_is_said(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], said: str
) -> None:
    for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (given | {"WORLD_SIZE": "2"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError) as error:
        join_ranks("cpu")
    assert said in str(error.value)
    assert str(error.value).endswith(("or unset it", "or unset WORLD_SIZE"))
    if not given:
        alone()  # what needs no ranks goes on
