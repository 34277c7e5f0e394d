"""The server: answers to messages of 16 pictures, against ONNX Runtime alone on the same payload.

Both have all cores of the machine; the server shares them with the client that asks.
"""

import json
import threading
from collections.abc import Iterator
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from urllib.parse import urlsplit

import numpy as np

from deepobfuscator_edge.edge import open_session
from deepobfuscator_edge.manifest import CLOUD, EDGE, MANIFEST, SUMS, Attribute, Manifest
from deepobfuscator_edge.message import decode, encode
from harness import Contender, Options, Row, alternate, measurements
from server import served

BATCH = 16
"""Pictures of a message."""
MESSAGE = "message"
CLIENTS = 8
"""Requests at a time: twice what one run of the graph takes, so that it never waits for them."""


def ship(folder: Path, size: tuple[int, int], width: float) -> None:
    """Write an export of the paper's O and C at initial weights, and a message of `BATCH` pictures
    beside it.
    """
    # Not at the top: the contenders, which import this file, need none of it.
    from deepobfuscator.core.files import checksums, sha256
    from deepobfuscator.exporting import graphs, parity, payload, wires
    from deepobfuscator.nn.vgg import Classifier, Obfuscator, initialise

    encoder = Obfuscator(size, width)
    classifier = Classifier(encoder.features, 1, size, width)
    for network in (encoder, classifier):
        initialise(network, 0)
        network.eval()
    plain = graphs.traced(encoder, (3, *size), "planes", graphs.FEATURES)
    cloud = graphs.traced(
        graphs.Scored(classifier), encoder.features, graphs.FEATURES, graphs.SCORES
    )
    pictures = np.random.default_rng(0).random((BATCH, 3, *size), np.float32)
    features = parity.asked(plain)(pictures)
    wire = wires.fitted(features, 4, False)
    made = {
        EDGE: graphs.chained(graphs.intake(size), plain, payload.packing(wire)),
        CLOUD: graphs.chained(payload.unpacking(wire), cloud),
    }
    for name, graph in made.items():
        graphs.saved(graph, folder / name)
    files = {name: sha256(folder / name) for name in made}
    manifest = Manifest("bench", "0" * 12, size, wire, (Attribute("A"),), EDGE, files)
    (folder / MANIFEST).write_text(json.dumps(manifest.as_json()))
    (folder / SUMS).write_text(checksums(folder / name for name in [*files, MANIFEST]))
    (folder / MESSAGE).write_bytes(encode(wire.pack(features), manifest))


def bare(folder: str, seconds: float) -> Iterator[dict[str, float]]:
    """ONNX Runtime alone."""
    session, message = open_session(Path(folder) / CLOUD), (Path(folder) / MESSAGE).read_bytes()
    given = {"payload": decode(message, Manifest.read(folder))}
    while True:
        began, runs = perf_counter(), 0
        while perf_counter() - began < seconds:
            session.run(None, given)
            runs += 1
        yield {"rate": BATCH * runs / (perf_counter() - began)}


def asked(folder: str, seconds: float) -> Iterator[dict[str, float]]:
    """The server, asked by `CLIENTS` threads of this process."""
    message = (Path(folder) / MESSAGE).read_bytes()
    with served(folder) as (url, _):
        while True:
            began = perf_counter()
            times = _ask(urlsplit(url).netloc, message, seconds)
            taken = perf_counter() - began
            low, high = np.percentile(times, [50, 99])
            yield {"rate": BATCH * len(times) / taken, "p50": low, "p99": high}


def _ask(server: str, message: bytes, seconds: float) -> list[float]:
    """Milliseconds of each request: one for each client, and as many as begin in ``seconds``."""
    times, end = list[float](), perf_counter() + seconds

    def ask() -> None:
        # The plainest client there is: it takes its time from the server's cores.
        connection = HTTPConnection(server, timeout=60)
        while True:
            began = perf_counter()
            connection.request("POST", "/v2/models/bench/message", message)
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == HTTPStatus.OK, body
            times.append(1000 * (perf_counter() - began))
            if perf_counter() > end:
                connection.close()
                return

    threads = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times


def bench(options: Options) -> list[Row]:
    """A row for each size: the paper's, and that of the preset ``small``."""
    cases = [((64, 64), 1 / 4), ((216, 176), 1.0)]
    seconds, turns = 10.0, 5
    if options.quick:
        cases, seconds, turns = [((32, 32), 1 / 16)], 0.2, 1
    rows = []
    for size, width in cases:
        with TemporaryDirectory() as folder:
            ship(Path(folder), size, width)
            arguments = {"folder": folder, "seconds": seconds}
            taken = alternate(
                {
                    "product": Contender("service:asked", arguments),
                    "bare": Contender("service:bare", arguments),
                },
                turns,
                options,
            )
        case = f"{size[0]}x{size[1]}, width {width:g}, messages of {BATCH}"
        ours, theirs = (measurements(taken[name], "rate") for name in ("product", "bare"))
        p50, p99 = (measurements(taken["product"], name).median for name in ("p50", "p99"))
        note = f"{CLIENTS} requests at a time: p50 {p50:.1f} ms, p99 {p99:.1f} ms"
        rows.append(
            Row("service", case, "pictures/s", ours, "ONNX Runtime alone", theirs, note=note)
        )
    return rows
