"""The server against its own OpenAPI description: requests that fit it, and ones that do not."""

from collections.abc import Callable
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from .conftest import Server

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]
EXAMPLES = 25
"""Requests of each kind to each address."""

schemathesis.openapi.media_type("application/x-deepobfuscator-message", st.binary(max_size=100))


@pytest.mark.parametrize("mode", list(GenerationMode), ids=str)
def test_answers_are_as_described(
    export: Path, serving: Callable[..., Server], mode: GenerationMode
) -> None:
    server = serving(export, "--port", "0")
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    if mode is GenerationMode.NEGATIVE:  # any bytes fit the description of a message
        operations = [one for one in operations if one.path.endswith("/infer")]
    asked = set[tuple[str, str]]()
    for operation in operations:

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: schemathesis.Case) -> None:
            case.call_and_validate(checks=CHECKS)
            asked.add((case.method, case.path))

        ask()
    posted = {path.rpartition("/")[2] for method, path in asked if method == "POST"}
    assert posted == ({"infer"} if mode is GenerationMode.NEGATIVE else {"infer", "message"})
    assert "Traceback" not in server.stop()
