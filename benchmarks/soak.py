"""A service under good, malformed and oversized requests: ``python benchmarks/soak.py SHIP``.

Starts a server of the exported folder SHIP, asks from several threads, and prints a line of JSON:
answers by kind and status, and the server's resident memory. Exits with 1 where an answer was not
the expected one (for a good request, that of the idle server), or memory grew by more than
`GROWTH`.
"""

import argparse
import json
import math
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import numpy as np

from deepobfuscator.serve.options import Limits
from deepobfuscator.serve.service import JSON_HEAD, JSON_NUMBER
from deepobfuscator_edge import Edge
from memory import status
from server import served

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

WRONG = "200, another answer"
CLOSE = 1e-4
"""By which scores may differ: sums of another batch are split differently."""

Case = tuple[str, bytes]
"""To which address of the model, and which body."""


def cases(edge: Edge) -> dict[str, list[Case]]:
    """Requests of each kind."""
    manifest = edge.manifest
    height, width = manifest.size
    pictures = np.random.default_rng(0).integers(0, 256, (3, height, width, 3), dtype=np.uint8)
    message = edge.encode(list(pictures))
    good = [("message", message)]
    if manifest.wire.bits < 16:  # float16 has no form in JSON
        good.append(("infer", as_json(edge, pictures[0])))
    other = bytearray(message)
    other[6] ^= 1  # the model's id
    malformed = [("message", body) for body in (b"", message[:11], message[:-1], bytes(other))]
    malformed += [("infer", body) for body in (b"", b"{", b"[" * 9999, b'{"inputs": 1}')]
    large = OVERSIZED + JSON_HEAD + JSON_NUMBER * Limits().batch * manifest.wire.bytes
    oversized = [(address, bytes(large)) for address in ("message", "infer")]
    return {"good": good, "malformed": malformed, "oversized": oversized}


def as_json(edge: Edge, picture: np.ndarray) -> bytes:
    """A request of the Open Inference Protocol for one picture."""
    row = edge.payload([picture])
    tensor = {"name": "payload", "datatype": "UINT8", "shape": list(row.shape)}
    return json.dumps({"inputs": [tensor | {"data": row.ravel().tolist()}]}).encode()


def bodies(edge: Edge, folder: Path) -> None:
    """Write the requests of ``mixed.lua``."""
    folder.mkdir(parents=True, exist_ok=True)
    size = (16, *edge.manifest.size, 3)
    pictures = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    (folder / "one").write_bytes(edge.encode([pictures[0]]))
    (folder / "sixteen").write_bytes(edge.encode(list(pictures)))
    (folder / "infer").write_bytes(as_json(edge, pictures[0]))


def pieces(body: bytes) -> Iterator[bytes]:
    """A body whose length is not declared."""
    for start in range(0, len(body), PIECE):
        yield body[start : start + PIECE]


def same(found: Any, expected: Any) -> bool:
    """Whether two answers agree, numbers up to `CLOSE`."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[k], expected[k]) for k in found)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, float):
        return math.isclose(found, expected, abs_tol=CLOSE)
    return bool(found == expected)


def soak(
    url: str, edge: Edge, process: int, seconds: float, threads: int = 8, pause: float = 0.0
) -> tuple[Counter[tuple[str, str]], list[int]]:
    """Ask for some time: each of the ``threads`` takes the kinds in turn and any request of each,
    with a ``pause`` in seconds between requests.

    Gives how often each kind got which status (or which error of the connection), and the resident
    bytes of the server at five times, evenly spaced.
    """
    asked, model = cases(edge), f"{url}/v2/models/{edge.manifest.name}"
    with httpx2.Client(base_url=model, timeout=60) as http:
        expected = {case: http.post(case[0], content=case[1]).json() for case in asked["good"]}
    counts, lock = Counter[tuple[str, str]](), threading.Lock()
    end = time.monotonic() + seconds

    def ask(seed: int) -> None:
        draw = random.Random(seed)
        with httpx2.Client(base_url=model, timeout=60) as http:
            for turn in count():
                if turn >= len(EXPECTED) and time.monotonic() > end:
                    return
                kind = list(EXPECTED)[turn % len(EXPECTED)]
                address, body = draw.choice(asked[kind])
                try:
                    content = pieces(body) if draw.random() < 0.5 else body
                    answer = http.post(address, content=content)
                    found = str(answer.status_code)
                    right = expected.get((address, body))
                    if found == "200" and not same(answer.json(), right):
                        found = WRONG
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
        memory += status("VmRSS", process=process)
    for thread in started:
        thread.join()
    return counts, memory


def main() -> int:
    """Soak a server of the folder that was named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, metavar="SHIP", help="folder made by export")
    parser.add_argument("--seconds", type=float, default=600.0, help="default: 600")
    parser.add_argument("--threads", type=int, default=8, help="that ask (default: 8)")
    parser.add_argument("--bodies", type=Path, help="write requests for mixed.lua there, and end")
    chosen = parser.parse_args()
    if chosen.bodies is not None:
        bodies(Edge(chosen.folder, threads=1), chosen.bodies)
        return 0
    with served(chosen.folder) as (url, process):
        edge = Edge(chosen.folder, threads=1)
        counts, memory = soak(url, edge, process, chosen.seconds, chosen.threads)
    told = {f"{kind} {status}": count for (kind, status), count in sorted(counts.items())}
    print(json.dumps({"answers": told, "resident MiB": [m >> 20 for m in memory]}))
    wrong = any(status not in EXPECTED[kind] for kind, status in counts)
    return int(wrong or max(memory) - memory[0] > GROWTH)


if __name__ == "__main__":
    sys.exit(main())
