"""A service under good, malformed and oversized requests: ``python benchmarks/soak.py SHIP``.

Starts a server of the exported folder SHIP, asks from several threads, and prints a line of JSON:
answers by kind and status, and the server's resident memory. Exits with 1 where an answer was not
the expected one, or memory grew by more than `GROWTH`.
"""

import argparse
import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np

from deepobfuscator.serve.options import Limits
from deepobfuscator.serve.service import JSON_HEAD, JSON_NUMBER
from deepobfuscator_edge import Edge

OVERSIZED = 1 << 20
"""Bytes beyond the largest good request."""
PIECE = 1 << 16
"""Bytes of a body without a declared length that are sent at a time; half of all are sent so."""
GROWTH = 64 << 20
"""Bytes that memory may grow by after the first fifth of the time."""
EXPECTED = {
    "good": {"200"},
    "malformed": {"400"},
    # A server does not read far beyond what it takes: one still writing may see the end first.
    "oversized": {"413", "ReadError", "WriteError"},
}

Case = tuple[str, str, bytes]
"""What kind of request, to which address of the model, which body."""


def cases(edge: Edge) -> list[Case]:
    """One request of each sort."""
    manifest = edge.manifest
    height, width = manifest.size
    pictures = np.random.default_rng(0).integers(0, 256, (3, height, width, 3), dtype=np.uint8)
    good, row = edge.encode(list(pictures)), edge.payload(list(pictures[:1]))
    large = OVERSIZED + JSON_HEAD + JSON_NUMBER * Limits().batch * manifest.wire.bytes
    found: list[Case] = [("good", "message", good)]
    if manifest.wire.bits < 16:
        tensor = {"name": "payload", "datatype": "UINT8", "shape": list(row.shape)}
        body = json.dumps({"inputs": [tensor | {"data": row.ravel().tolist()}]})
        found.append(("good", "infer", body.encode()))
    other = bytearray(good)
    other[6] ^= 1  # the model's id
    found += [("malformed", "message", body) for body in (b"", good[:11], good[:-1], bytes(other))]
    found += [("malformed", "infer", body) for body in (b"", b"{", b"[" * 9999, b'{"inputs": 1}')]
    found += [("oversized", name, bytes(large)) for name in ("message", "infer")]
    return found


def pieces(body: bytes) -> Iterator[bytes]:
    """A body whose length is not declared."""
    for start in range(0, len(body), PIECE):
        yield body[start : start + PIECE]


def resident(process: int) -> int:
    """Bytes of memory that a process holds."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith("VmRSS"))
    return 1024 * int(kilobytes)


def soak(
    url: str, edge: Edge, process: int, seconds: float, threads: int = 8, pause: float = 0.0
) -> tuple[Counter[tuple[str, str]], list[int]]:
    """Ask for some time, each of the ``threads`` with a ``pause`` in seconds between requests.

    Gives how often each kind of request got which status (or which error), and the resident bytes
    of the server at five times, evenly spaced.
    """
    asked, end = cases(edge), time.monotonic() + seconds
    counts, lock = Counter[tuple[str, str]](), threading.Lock()

    def ask(seed: int) -> None:
        draw = random.Random(seed)
        with httpx2.Client(base_url=f"{url}/v2/models/{edge.manifest.name}", timeout=60) as http:
            while time.monotonic() < end:
                kind, address, body = draw.choice(asked)
                try:
                    content = pieces(body) if draw.random() < 0.5 else body
                    found = str(http.post(address, content=content).status_code)
                except httpx2.TransportError as error:
                    found = type(error).__name__
                with lock:
                    counts[kind, found] += 1
                time.sleep(pause)

    started = [threading.Thread(target=ask, args=(seed,)) for seed in range(threads)]
    for thread in started:
        thread.start()
    memory = []
    for _ in range(5):
        time.sleep(seconds / 5)
        memory.append(resident(process))
    for thread in started:
        thread.join()
    return counts, memory


def main() -> int:
    """Soak a server of the folder that was named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, metavar="SHIP", help="folder made by export")
    parser.add_argument("--seconds", type=float, default=600.0, help="default: 600")
    parser.add_argument("--threads", type=int, default=8, help="that ask (default: 8)")
    chosen = parser.parse_args()
    command = [sys.executable, "-m", "deepobfuscator.serve", str(chosen.folder), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        url = server.stdout.readline().split()[-1]
        try:
            edge = Edge(chosen.folder, threads=1)
            counts, memory = soak(url, edge, server.pid, chosen.seconds, chosen.threads)
        finally:
            server.terminate()
    told = {f"{kind} {status}": count for (kind, status), count in sorted(counts.items())}
    print(json.dumps({"answers": told, "resident MiB": [m >> 20 for m in memory]}))
    wrong = any(status not in EXPECTED[kind] for kind, status in counts)
    return int(wrong or max(memory) - memory[0] > GROWTH)


if __name__ == "__main__":
    sys.exit(main())
