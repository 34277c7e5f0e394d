"""Requests of the Open Inference Protocol: taken, or refused with a 400 and a reason."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepobfuscator.serve.protocol import RefusedError, answered, parse
from deepobfuscator_edge import Manifest

from .conftest import make_export

MANIFEST: Manifest


@pytest.fixture(scope="module", autouse=True)
def _manifest(tmp_path_factory: pytest.TempPathFactory) -> None:
    global MANIFEST
    MANIFEST = make_export(tmp_path_factory.mktemp("m") / "ship")


def request(**changed: Any) -> dict[str, Any]:
    tensor = {"name": "payload", "datatype": "UINT8", "shape": [2, 3], "data": [1, 2, 3, 4, 5, 6]}
    return {"inputs": [tensor | changed]}


def test_json_flat_or_nested() -> None:
    for data in ([1, 2, 3, 4, 5, 6], [[1, 2, 3], [4, 5, 6]]):
        asked = parse(json.dumps(request(data=data)).encode(), None, MANIFEST, 8)
        np.testing.assert_array_equal(asked.rows, [[1, 2, 3], [4, 5, 6]])
        assert asked.rows.dtype == np.uint8


def test_binary_there_and_back() -> None:
    tensor = {"name": "payload", "datatype": "UINT8", "shape": [2, 3]}
    tensor["parameters"] = {"binary_data_size": 6}
    output = {"name": "scores", "parameters": {"binary_data": True}}
    head = json.dumps({"id": "x", "inputs": [tensor], "outputs": [output]}).encode()
    asked = parse(head + bytes(range(6)), str(len(head)), MANIFEST, 8)
    np.testing.assert_array_equal(asked.rows, [[0, 1, 2], [3, 4, 5]])
    scores = np.array([[0.5, 0.25, 0.125]], np.float32)
    body, headers = answered(asked, scores, MANIFEST)
    length = int(headers["inference-header-content-length"])
    told = json.loads(body[:length])
    assert told["id"] == "x"
    assert told["outputs"][0]["parameters"] == {"binary_data_size": 12}
    np.testing.assert_array_equal(np.frombuffer(body[length:], "<f4"), scores[0])


@pytest.mark.parametrize(
    ("body", "length", "says"),
    [
        (b"{", None, "no JSON"),
        (b"\xff\xfe", None, "no JSON"),
        (b"[" * 100_000, None, "nested deeper"),
        (b"NaN", None, "no JSON"),
        (b"[]", None, "must be a JSON object"),
        (b"{}", None, "inputs must be a list"),
        (b"1" * 5000, None, "no JSON|JSON object"),
        (json.dumps(request(name="x")).encode(), None, "its only one is 'payload'"),
        (json.dumps(request(datatype="FP32")).encode(), None, "datatype UINT8"),
        (json.dumps(request(shape=[2, 4])).encode(), None, r"shape \[n, 3\]"),
        (json.dumps(request(shape=[9, 3])).encode(), None, "n from 1 to 8"),
        (json.dumps(request(shape=[2**63, 3])).encode(), None, "n from 1 to 8"),
        (json.dumps(request(shape=[-1, 3])).encode(), None, "n from 1 to 8"),
        (json.dumps(request(shape=[True, 3])).encode(), None, "shape"),
        (json.dumps(request(data=[1])).encode(), None, "list of 6 numbers"),
        (json.dumps(request(data=[1, 2, 3, 4, 5, 256])).encode(), None, "0 to 255"),
        (json.dumps(request(data=[1, 2, 3, 4, 5, 0.5])).encode(), None, "0 to 255"),
        (json.dumps(request()).replace("6]", "NaN]").encode(), None, "no JSON"),
        (json.dumps(request(parameters={"binary_data_size": 6})).encode(), None, "6 bytes"),
        (json.dumps(request(parameters={"binary_data_size": -1})).encode(), None, "6 bytes"),
        (b"{}", "99", "the body has 2 bytes"),
        (b"{}", "-1", "must be a number"),
        (b"{}", "9" * 5000, "must be a number"),
    ],
)
def test_bad_requests_are_refused_with_a_reason(body: bytes, length: str | None, says: str) -> None:
    with pytest.raises(RefusedError, match=says) as refused:
        parse(body, length, MANIFEST, 8)
    assert refused.value.status == 400


ANYTHING = st.sampled_from([None, True, -1, 0, 1.5, "", "payload", [], [[]], {}, [1, "a"], 2**70])


def outcome(head: bytes, length: str | None, tail: bytes) -> Any:
    try:
        return parse(head + tail, length, MANIFEST, 8).rows
    except RefusedError as error:
        return error


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.just("payload") | ANYTHING,
    st.just("UINT8") | ANYTHING,
    st.just([2, 3]) | st.lists(st.integers(), max_size=3) | ANYTHING,
    st.just({"binary_data_size": 6}) | st.just({}) | ANYTHING,
    st.none() | st.lists(st.integers(-1, 300), min_size=5, max_size=7) | ANYTHING,
    st.binary(max_size=8),
    st.integers(-2, 2),
)
def test_any_request_is_taken_or_refused(
    name: Any, kind: Any, shape: Any, parameters: Any, data: Any, tail: bytes, off: int
) -> None:
    tensor = {"name": name, "datatype": kind, "shape": shape, "parameters": parameters}
    head = json.dumps({"inputs": [tensor | ({"data": data} if data is not None else {})]}).encode()
    for length in (None, str(len(head)), str(len(head) + off)):
        found = outcome(head, length, tail)
        if isinstance(found, RefusedError):
            assert found.status == 400
            assert str(found)
        else:
            assert found.shape == (2, 3)
            assert found.dtype == np.uint8


def test_the_fixture_is_an_export(export: Path) -> None:
    assert Manifest.read(export).name == "tiny"
