"""`serve --demo`: a page on which the encoder runs in the browser, for one model or several.

The page loads nothing from elsewhere. Only messages leave it, to the same address as from devices.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from deepobfuscator.core.errors import InputError
from deepobfuscator.serve.app import create_app
from deepobfuscator.serve.onnxruntime_web import FILES, VERSION
from deepobfuscator.serve.service import Service
from deepobfuscator_edge.manifest import ATTACKER

ADDRESS = "/demo/"
HERE = Path(__file__).parent
HEADERS = {
    # WebAssembly may be compiled, nothing else that a page does not bring itself.
    "Content-Security-Policy": "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; "
    "worker-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    # Both are needed for shared memory, without which there is one thread.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
KINDS = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
    ".onnx": "application/octet-stream",
}
FOREVER = "public, max-age=31536000, immutable"
"""For addresses that hold a version."""


def with_demo(services: Sequence[Service], runtime: Path) -> Starlette:
    """The application of the first service, with the page and the models of the others.

    Args:
        services: of different names.
        runtime: folder of onnxruntime for browsers.

    Raises:
        InputError: two models of one name.
    """
    manifests = [service.manifest for service in services]
    names = [manifest.name for manifest in manifests]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"two exports are called {name!r}: export one with another --name")
    app, *others = apps = [create_app(service) for service in services]
    for other, name in zip(others, names[1:], strict=True):
        app.router.routes += [route for route in other.routes if _about(route, name)]

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for each in apps:
                await stack.enter_async_context(each.router.lifespan_context(each))
            yield

    whole = Starlette(routes=app.routes, lifespan=lifespan)
    whole.exception_handlers = app.exception_handlers

    async def models(request: Request) -> Response:
        return JSONResponse([told(service) for service in services], headers=HEADERS)

    def file(address: str, path: Path, kept: str = "no-cache") -> Route:
        async def answer(request: Request) -> Response:
            headers = HEADERS | {"Cache-Control": kept}
            return FileResponse(path, headers=headers, media_type=KINDS[path.suffix])

        return Route(f"{ADDRESS}{address}", answer)

    whole.router.routes += [
        Route(f"{ADDRESS}models.json", models),
        file("", HERE / "demo.html"),
        *(file(name, HERE / name) for name in ("demo.css", "demo.js", "picture.js")),
        *(file(f"ort-{VERSION}/{name}", runtime / name, FOREVER) for name in FILES),
        *(
            file(f"{service.manifest.model}/{name}", service.folder / name, FOREVER)
            for service in services
            for name in graphs(service)
        ),
    ]
    return whole


def _about(route: BaseRoute, name: str) -> bool:
    return isinstance(route, Route) and route.path.startswith(f"/v2/models/{name}")


def graphs(service: Service) -> list[str]:
    """The graphs that the page runs: the encoder, and the attacker if there is one."""
    manifest = service.manifest
    return [manifest.edge, *([ATTACKER] if ATTACKER in manifest.files else [])]


def told(service: Service) -> dict[str, Any]:
    """What the page knows of a model."""
    manifest, wire = service.manifest, service.manifest.wire
    about = manifest.about
    trial = about.get("run", {}).get("trial", {})
    return {
        "name": manifest.name,
        "model": manifest.model,
        "size": manifest.size,
        "wire": {"name": wire.name, "bits": wire.bits, "values": wire.values, "shape": wire.shape},
        "runtime": VERSION,
        "edge": manifest.edge,
        "attacker": about.get("measured", {}).get("attacker", {})
        if ATTACKER in manifest.files
        else None,
        "attributes": [{"name": a.name, "classes": a.classes} for a in manifest.attributes],
        "defence": trial.get("defence", {}).get("name"),
        "private": trial.get("task", {}).get("private", []),
        "audit": manifest.audit.line if manifest.audit else None,
        "keys": service.keys is not None,
    }
