"""The page of `serve --demo` in a real browser: what it computes, shows and sends."""

import base64
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha512
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import onnxruntime
import pytest
from onnx import numpy_helper, parser
from PIL import Image

from deepobfuscator.core.errors import InputError
from deepobfuscator.core.files import checksums, sha256, write_atomic
from deepobfuscator.serve import onnxruntime_web
from deepobfuscator.serve.demo import told, with_demo
from deepobfuscator.serve.options import Limits
from deepobfuscator.serve.service import Service
from deepobfuscator_edge import Client, Edge
from deepobfuscator_edge.manifest import Attribute, Audited, Manifest, Wire

SIZE = (32, 32)
WIRE = Wire(4, (6, 16, 16), (0.0,) * 6, (0.1,) * 6)


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """onnxruntime for browsers, in the user's own cache: it is fetched once a machine."""
    monkeypatch.delenv("DEEPOBFUSCATOR_CACHE")
    try:
        yield onnxruntime_web.runtime()
    except InputError as error:
        pytest.skip(f"the browser test of serve --demo: {error}")


@pytest.fixture
def face(tmp_path: Path) -> Path:
    """A drawn picture, larger than the encoder takes and not of its proportions."""
    rows, columns = np.mgrid[0:70, 0:90]
    waves = [np.sin(rows / 9 + k) + np.cos(columns / (7 + k)) for k in range(3)]
    picture = (np.stack(waves, 2) * 60 + 127.3).clip(0, 255).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "face.png")
    return tmp_path / "face.png"


def an_int8_export(folder: Path) -> Manifest:
    """The operators of a real export (fitting, int8 convolution, packing) with drawn weights."""
    from deepobfuscator.exporting import graphs, payload
    from deepobfuscator.exporting.attacker import shown
    from deepobfuscator.exporting.int8 import quantised

    draw = np.random.default_rng(0)
    head = graphs.HEAD
    plain = parser.parse_model(f"""{head}
encoder (float[n, 3, 32, 32] planes) => (float[n, 6, 16, 16] features) {{
  maps = Conv <pads = [1, 1, 1, 1]> (planes, weight)
  kept = Relu (maps)
  features = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (kept)
}}""")
    weight = draw.normal(0, 0.3, (6, 3, 3, 3)).astype(np.float32)
    plain.graph.initializer.append(numpy_helper.from_array(weight, "weight"))
    pictures = draw.integers(0, 256, (8, *SIZE, 3), dtype=np.uint8)
    cloud = parser.parse_model(f"""{head}
cloud (float[n, 6, 16, 16] features) => (float[n, 1] scores) {{
  axes = Constant <value = int64[3] {{1, 2, 3}}> ()
  mean = ReduceMean <keepdims = 0> (features, axes)
  last = Constant <value = int64[1] {{-1}}> ()
  column = Unsqueeze (mean, last)
  scores = Sigmoid (column)
}}""")
    decoder = parser.parse_model(f"""{head}
decoder (float[n, 6, 16, 16] features) => (float[n, 3, 32, 32] rebuilt) {{
  parts = Constant <value = int64[2] {{3, 3}}> ()
  three, rest = Split <axis = 1> (features, parts)
  scales = Constant <value = float[4] {{1, 1, 2, 2}}> ()
  large = Resize <mode = "nearest"> (three, , scales)
  rebuilt = Sigmoid (large)
}}""")
    made = {
        "edge.int8.onnx": graphs.chained(
            graphs.intake(SIZE), quantised(plain, pictures), payload.packing(WIRE)
        ),
        "cloud.onnx": graphs.chained(payload.unpacking(WIRE), cloud),
        "attacker.onnx": graphs.chained(payload.unpacking(WIRE), decoder, shown(SIZE)),
    }
    folder.mkdir()
    for name, model in made.items():
        graphs.saved(model, folder / name)
    manifest = Manifest(
        name="maps",
        model="00112233aabb",
        size=SIZE,
        wire=WIRE,
        attributes=(Attribute("Smiling"),),
        edge="edge.int8.onnx",
        files={name: sha256(folder / name) for name in made},
        about={"measured": {"attacker": {"attack": "mirror", "trained_on": 1200, "ms_ssim": 0.5}}},
    )
    write_atomic(folder / "manifest.json", json.dumps(manifest.as_json()))
    write_atomic(
        folder / "SHA256SUMS", checksums(folder / name for name in (*made, "manifest.json"))
    )
    return manifest


def test_only_the_message_leaves_the_browser(
    chromium: Any,
    export: Path,
    serving: Callable[..., Any],
    runtime: Path,
    face: Path,
    tmp_path: Path,
) -> None:
    maps = an_int8_export(tmp_path / "maps")
    server = serving(tmp_path / "maps", export, "--demo", "--port", "0")
    assert server.process.stdout.readline() == f"demo at {server.url}/demo/\n"
    context = chromium.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.set_default_timeout(240_000)  # a busy machine compiles WebAssembly slowly
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    log: list[dict[str, Any]] = []
    network = context.new_cdp_session(page)
    network.on("Network.requestWillBeSent", lambda event: log.append(event["request"]))
    network.send("Network.enable")

    def classified(model: str, folder: Path) -> tuple[bytes, dict[str, Any]]:
        """What was sent for the picture, and what `classify` says of it."""
        page.locator("#status", has_text=re.compile("bytes sent|not work")).wait_for()
        assert "bytes sent" in page.inner_text("#status")
        posts = [request for request in log if request["method"] != "GET"]
        assert [post["url"] for post in posts] == [f"{server.url}/v2/models/{model}/message"]
        body = b"".join(base64.b64decode(part["bytes"]) for part in posts[0]["postDataEntries"])
        assert bytes.fromhex(page.inner_text("#bytes")) == body
        log.clear()
        with Client(server.url, Edge(folder, threads=1)) as client:
            return body, client.classify(face)

    page.goto(f"{server.url}/demo/")
    assert page.evaluate("crossOriginIsolated")
    page.locator("#file:enabled").wait_for()
    page.set_input_files("#file", face)
    sent, answer = classified("maps", tmp_path / "maps")
    addresses = {request["url"] for request in log}
    assert all(address.startswith(f"{server.url}/demo/") for address in addresses)
    native = Edge(tmp_path / "maps", threads=1).encode([str(face)])
    levels = [np.frombuffer(m[12:], np.uint8) for m in (sent, native)]
    assert sent[:12] == native[:12]
    # Processors round and saturate differently: a level may be the next one.
    apart = [np.abs((levels[0] >> s & 15).astype(int) - (levels[1] >> s & 15)) for s in (0, 4)]
    assert np.mean(apart) < 0.02
    score = answer["Smiling"]["score"]
    shown = page.inner_text("#told small").removeprefix("score for yes: ").removesuffix(" %")
    assert float(shown) == pytest.approx(100 * score, abs=0.5)
    rebuilt = page.evaluate(
        """(() => { const c = document.getElementById("rebuilt");
           return [...c.getContext("2d").getImageData(0, 0, c.width, c.height).data]; })()"""
    )
    picture = np.array(rebuilt, np.uint8).reshape(*SIZE, 4)[..., :3]
    session = onnxruntime.InferenceSession(tmp_path / "maps" / "attacker.onnx")
    (wanted,) = session.run(None, {"payload": levels[0][None]})
    assert np.abs(picture - wanted[0].astype(int)).max() <= 1
    assert "mirror, trained on 1,200 pictures" in page.inner_text("#attacker")

    page.locator("#models label", has_text="tiny").click()
    page.locator("#told", has_text="green").wait_for()
    sent, answer = classified("tiny", export)
    assert sent == Edge(export, threads=1).encode([str(face)])
    told = page.locator("#told .value").all_inner_texts()
    scores = [answer["Rest"]["scores"][kind] for kind in ("green", "blue")]
    assert told == [
        "yes" if answer["Red"]["value"] else "no",
        *(f"{100 * s:.1f} %" for s in scores),
    ]
    assert page.locator("#attack").is_hidden()
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") == width
    assert not errors
    context.close()
    with httpx2.Client(base_url=server.url) as http:
        policy = http.get("/demo/").headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe-inline" not in policy
        for hidden in ("cloud.onnx", "edge.onnx", "../maps/cloud.onnx"):
            assert http.get(f"/demo/{maps.model}/{hidden}").status_code == 404


@pytest.mark.parametrize(
    ("words", "says"),
    [(["--demo"], "npm"), ([], "several are for --demo")],
    ids=["no npm", "no demo"],
)
def test_what_is_missing_is_one_line(
    words: list[str], says: str, export: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "deepobfuscator.serve", export, export, *words]
    nothing = {"PATH": "", "DEEPOBFUSCATOR_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | nothing)
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_page_is_told_what_an_audit_of_the_export_found(export: Path) -> None:
    service = Service(export, Limits())
    assert told(service)["audit"] is None
    found = Audited("0" * 64, service.manifest.files, "brief", "Male leaks.", {}, True)
    service.manifest = replace(service.manifest, audit=found)
    assert told(service)["audit"] == "Male leaks."


def test_models_of_one_name_are_refused(export: Path, tmp_path: Path) -> None:
    services = [Service(export, Limits()), Service(export, Limits())]
    with pytest.raises(InputError, match="two exports are called 'tiny'"):
        with_demo(services, tmp_path)


def test_only_the_published_package_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPOBFUSCATOR_CACHE", str(tmp_path))
    package = tmp_path / f"onnxruntime-web-{onnxruntime_web.VERSION}.tgz"
    with tarfile.open(package, "w:gz") as packed:
        for name in (*onnxruntime_web.FILES, "ort.all.js"):
            (tmp_path / "file").write_text(name)
            packed.add(tmp_path / "file", f"package/dist/{name}")
    with pytest.raises(InputError, match="is not the published package"):
        onnxruntime_web.runtime()
    digest = base64.b64encode(sha512(package.read_bytes()).digest()).decode()
    monkeypatch.setattr(onnxruntime_web, "INTEGRITY", digest)
    folder = onnxruntime_web.runtime()
    assert {file.name: file.read_text() for file in folder.iterdir()} == {
        name: name for name in onnxruntime_web.FILES
    }
    assert not package.exists()
    assert onnxruntime_web.runtime() == folder
