"""What the server can be asked, as OpenAPI and as a page for people."""

from html import escape
from typing import Any

import deepobfuscator
from deepobfuscator.serve import protocol
from deepobfuscator.serve.service import Service

TEXT = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}


def described(service: Service) -> dict[str, Any]:
    """The OpenAPI 3.1 description."""
    manifest = service.manifest
    model = f"/v2/models/{manifest.name}"
    refusals = {
        "400": "no request of this protocol, or not for this model",
        "401": "no API key, or one that is not good",
        "408": "the body came too slowly",
        "413": "the body is too large",
        "415": "the body is compressed",
        "429": "the key's budget is spent; Retry-After says for how long",
        "503": "at the limit, or not ready; Retry-After says for how long",
    }
    refused = {code: {"description": text, **TEXT} for code, text in refusals.items()}

    def found(text: str, schema: str | None = None) -> dict[str, Any]:
        answer: dict[str, Any] = {"description": text}
        if schema:
            ref = {"$ref": f"#/components/schemas/{schema}"}
            answer["content"] = {"application/json": {"schema": ref}}
        return {"200": answer}

    def get(text: str, schema: str | None = None, *, health: bool = False) -> dict[str, Any]:
        more = {"503": {"description": "not ready"}} if health else {}
        return {"get": {"summary": text, "responses": found(text, schema) | more}}

    def post(text: str, body: dict[str, Any], schema: str) -> dict[str, Any]:
        return {
            "post": {
                "summary": text,
                "requestBody": {"required": True, "content": body},
                "responses": found(text, schema) | refused,
                "security": [{"key": []}] if service.keys is not None else [],
            }
        }

    raw = {
        "application/x-deepobfuscator-message": {"schema": {"type": "string", "format": "binary"}}
    }
    asked = {"application/json": {"schema": {"$ref": "#/components/schemas/InferRequest"}}}
    width = protocol.columns(manifest)
    tensor: dict[str, Any] = {
        "type": "object",
        "required": ["name", "datatype", "shape"],
        "properties": {
            "name": {"type": "string"},
            "datatype": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer"}},
            "parameters": {"type": "object"},
            "data": {"type": "array"},
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"deepobfuscator: {manifest.name}",
            "version": deepobfuscator.__version__,
            "description": f"Open Inference Protocol v2. The input payload is "
            f"{protocol.datatype(manifest)} of shape [n, {width}], n up to {service.limits.batch}.",
        },
        "paths": {
            "/v2/health/live": get("Whether the server runs."),
            "/v2/health/ready": get("Whether it answers.", health=True),
            "/v2": get("About the server.", "Any"),
            model: get("About the model.", "Any"),
            f"{model}/ready": get("Whether the model answers.", health=True),
            f"{model}/infer": post("Scores of tensors.", asked, "InferResponse"),
            f"{model}/message": post("Answers to a message (docs/wire.md).", raw, "Answers"),
            "/metrics": get("Prometheus metrics."),
        },
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "Any": {"type": "object"},
                "Error": {
                    "type": "object",
                    "required": ["error"],
                    "properties": {"error": {"type": "string"}},
                },
                "InferRequest": {
                    "type": "object",
                    "required": ["inputs"],
                    "properties": {
                        "id": {"type": "string"},
                        "inputs": {"type": "array", "items": tensor, "minItems": 1, "maxItems": 1},
                        "outputs": {"type": "array", "items": {"type": "object"}},
                        "parameters": {"type": "object"},
                    },
                },
                "InferResponse": {
                    "type": "object",
                    "required": ["model_name", "outputs"],
                    "properties": {
                        "model_name": {"type": "string"},
                        "model_version": {"type": "string"},
                        "id": {"type": "string"},
                        "outputs": {"type": "array", "items": tensor},
                    },
                },
                "Answers": {
                    "type": "object",
                    "required": ["model", "answers"],
                    "properties": {
                        "model": {"type": "string"},
                        "answers": {"type": "array", "items": {"type": "object"}},
                    },
                },
            },
        },
    }


def page(service: Service) -> str:
    """A page that lists the addresses; it loads nothing from anywhere."""
    rows = "".join(
        f"<tr><td><code>{how.upper()} {escape(path)}</code></td><td>{escape(what['summary'])}</td>"
        "</tr>"
        for path, hows in described(service)["paths"].items()
        for how, what in hows.items()
    )
    name = escape(service.manifest.name)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title>'
        "<style>body{font:1rem/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
        "td{padding:.2rem 1rem .2rem 0;vertical-align:top}</style>"
        f"<h1>{name}</h1><p>Model <code>{service.manifest.model}</code>. "
        '<a href="openapi.json">OpenAPI</a></p>'
        f"<table>{rows}</table></html>"
    )
