"""MS-SSIM there and back (the gradient to the first picture), against three libraries.

The limit is the window's own multiplications, eleven a direction for four blurred maps forward and
three backward at five scales, at the speed of a large matrix product; or reading both pictures and
writing one gradient, where that takes longer.
"""

import importlib
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from game import product_run
from harness import Contender, Options, Row, alternate, measurements

Index = Callable[[Tensor, Tensor], Tensor]
PEERS = {
    "pytorch-msssim": (),
    "torchmetrics": ("torchmetrics", "lightning-utilities"),
    "piq": ("piq",),
}
"""What has to be installed for each, without its dependencies: torch and numpy are there."""


def ours() -> Index:
    """The product's."""
    return importlib.import_module("deepobfuscator.metrics.images").ms_ssim


def pytorch_msssim() -> Index:
    """VainF's."""
    library = importlib.import_module("pytorch_msssim")
    return lambda x, y: library.ms_ssim(x, y, data_range=1, size_average=False)


def torchmetrics() -> Index:
    """Lightning's."""
    library = importlib.import_module("torchmetrics.functional.image")
    index = library.multiscale_structural_similarity_index_measure
    return lambda x, y: index(x, y, data_range=1.0, reduction="none")


def piq() -> Index:
    """Photosynthesis's; it imports torchvision for metrics that are not used here."""

    class Anything(type):
        def __getattr__(cls, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            return Anything(name, (), {})

    class Stub(types.ModuleType):
        __getattr__ = Anything.__getattr__

    for name in ("torchvision", "torchvision.models", "torchvision.transforms"):
        sys.modules[name] = Stub(name)
        sys.modules[name].__spec__ = ModuleSpec(name, None)
        sys.modules[name].__path__ = []
    library = importlib.import_module("piq")
    return lambda x, y: library.multi_scale_ssim(x, y, data_range=1.0, reduction="none")


def pair(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Smooth pictures and what a fair decoder might make of them."""
    torch.manual_seed(0)
    height, width = shape[-2:]
    coarse = torch.rand(*shape[:2], height // 8, width // 8)
    y = functional.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1)
    return (y + 0.1 * torch.randn(shape)).clamp(0, 1), y


def timed(
    index: str, shape: tuple[int, ...], repeats: int, installed: str
) -> Iterator[dict[str, Any]]:
    """A contender: seconds there and back, and the values; all with the product's allocator."""
    product_run()
    sys.path.append(installed)
    try:
        ms_ssim: Index = globals()[index]()
    except Exception as error:
        while True:
            yield {"missing": f"{type(error).__name__}: {error}".splitlines()[0]}
    x, y = pair(shape)
    while True:
        began = perf_counter()
        for _ in range(repeats):
            guess = x.clone().requires_grad_()
            values = ms_ssim(guess, y)
            (1 - values.mean()).backward()
        taken = (perf_counter() - began) / repeats
        yield {"seconds": taken, "values": values.tolist()}


def bare(shape: tuple[int, ...], repeats: int) -> Iterator[dict[str, float]]:
    """A contender: the limit."""
    x, y = pair(shape)
    gradient = torch.empty_like(x)
    square = torch.rand(1024, 1024)
    product = torch.empty_like(square)
    pixels = sum(x.numel() / 4**scale for scale in range(5))
    operations = 2 * (4 + 3) * 2 * 11 * pixels

    def fastest(*passed: Tensor, call: Callable[..., Tensor], out: Tensor) -> float:
        times = []
        for _ in range(3 * repeats):
            began = perf_counter()
            call(*passed, out=out)
            times.append(perf_counter() - began)
        return min(times)

    while True:
        peak = 2 * 1024**3 / fastest(square, square, call=torch.matmul, out=product)
        yield {"seconds": max(operations / peak, fastest(x, y, call=torch.add, out=gradient))}


def install(name: str, options: Options) -> tuple[Path, str]:
    """The folder of an installed peer; and why there is none, where there is none."""
    folder = options.out / "peers" / name
    if not PEERS[name] or folder.exists():
        return folder, ""
    if options.quick:
        return folder, "not installed: a quick run downloads nothing"
    partial = folder.with_name(f".{name}.part")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    done = subprocess.run(
        [*command, "--upgrade", "--target", str(partial), *PEERS[name]],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "pip failed").splitlines()[-1]
        return folder, f"not installed: {last}"
    partial.rename(folder)
    return folder, ""


def bench(options: Options) -> list[Row]:
    """Both shapes; one row for each peer."""
    shapes = [(16, 3, 216, 176), (64, 3, 176, 176)]
    repeats, turns = 2, 5
    if options.quick:
        shapes, repeats, turns = [(1, 3, 176, 176)], 1, 1
    folders = {name: install(name, options) for name in PEERS}
    rows = []
    for shape in shapes:
        contenders = {
            "product": timed_by("ours", shape, repeats, Path()),
            "limit": Contender("ms_ssim:bare", {"shape": shape, "repeats": repeats}),
        }
        for name, (folder, reason) in folders.items():
            if not reason:
                contenders[name] = timed_by(name.replace("-", "_"), shape, repeats, folder)
        taken = alternate(contenders, turns, options)
        mine = measurements(taken["product"], "seconds", 1000)
        least = measurements(taken["limit"], "seconds", 1000).median
        case = "x".join(map(str, shape))
        for name, (_, reason) in folders.items():
            why = reason or taken[name][0].get("missing", "")
            if why:
                rows.append(Row("ms_ssim", case, "ms", mine, name, None, least, why))
                continue
            pairs = zip(taken["product"][0]["values"], taken[name][0]["values"], strict=True)
            note = f"values differ by at most {max(abs(a - b) for a, b in pairs):.0e}"
            theirs = measurements(taken[name], "seconds", 1000)
            rows.append(Row("ms_ssim", case, "ms", mine, name, theirs, least, note))
    return rows


def timed_by(index: str, shape: tuple[int, ...], repeats: int, folder: Path) -> Contender:
    """The contender of one library."""
    return Contender(
        "ms_ssim:timed",
        {"index": index, "shape": shape, "repeats": repeats, "installed": str(folder)},
    )
