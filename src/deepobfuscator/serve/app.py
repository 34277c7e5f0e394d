"""The service as an ASGI application."""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import deepobfuscator
from deepobfuscator.serve import protocol
from deepobfuscator.serve.openapi import described, page
from deepobfuscator.serve.protocol import RefusedError
from deepobfuscator.serve.service import LOG, Service
from deepobfuscator_edge.errors import MessageError
from deepobfuscator_edge.message import decode

DISCARD_BYTES, DISCARD_SECONDS = 1 << 23, 1.0
"""What is read of a body that is refused, a part at a time, before the answer is sent."""

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

Handler = Callable[[Request], Awaitable[Response]]


def create_app(service: Service) -> Starlette:
    """The application of a service, which it starts and stops."""
    manifest = service.manifest
    model = f"/v2/models/{manifest.name}"

    async def message(request: Request) -> Response:
        key = service.admitted(request.headers.get("authorization"))
        body = await _body(request, service, service.largest_message)
        try:
            payload = decode(body, manifest, service.limits.batch)
        except MessageError as error:
            raise RefusedError(400, str(error)) from None
        request.state.pictures = len(payload)
        scores = await service.scores(protocol.as_rows(payload, manifest), key)
        return JSONResponse({"model": manifest.model, "answers": service.told(scores)})

    async def infer(request: Request) -> Response:
        key = service.admitted(request.headers.get("authorization"))
        body = await _body(request, service, service.largest_request)
        length = request.headers.get(protocol.HEADER_LENGTH)
        asked = protocol.parse(body, length, manifest, service.limits.batch)
        request.state.pictures = len(asked.rows)
        scores = await service.scores(asked.rows, key)
        answer, headers = protocol.answered(asked, scores, manifest)
        return Response(answer, headers=headers)

    async def live(request: Request) -> Response:
        return Response()

    async def ready(request: Request) -> Response:
        return Response(status_code=200 if service.ready else 503)

    async def server(request: Request) -> Response:
        return JSONResponse(
            {
                "name": "deepobfuscator",
                "version": deepobfuscator.__version__,
                "extensions": protocol.EXTENSIONS,
            }
        )

    async def metadata(request: Request) -> Response:
        return JSONResponse(protocol.metadata(manifest))

    async def metrics(request: Request) -> Response:
        text = generate_latest(service.figures.registry)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    async def openapi(request: Request) -> Response:
        return JSONResponse(described(service))

    async def docs(request: Request) -> Response:
        return Response(page(service), media_type="text/html")

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await service.start()
        LOG.info("ready", extra={"fields": {"model": manifest.name, "version": manifest.model}})
        yield
        await service.stop()
        LOG.info("stopped")

    wrapped = _Wrapped(service)
    routes = [
        Route("/v2/health/live", live),
        Route("/v2/health/ready", ready),
        Route("/v2", server),
    ]
    routes += [Route("/metrics", metrics), Route("/openapi.json", openapi), Route("/", docs)]
    for start in (model, f"{model}/versions/{protocol.VERSION}"):
        routes += [
            Route(start, metadata),
            Route(f"{start}/ready", ready),
            Route(f"{start}/infer", wrapped(infer), methods=["POST"]),
            Route(f"{start}/message", wrapped(message), methods=["POST"]),
        ]
    app = Starlette(routes=routes, lifespan=lifespan)
    app.add_exception_handler(HTTPException, _failed)
    return app


class _Wrapped:
    """What every request for inference has: an id, a log line, its count, an answer in any case."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def __call__(self, handler: Handler) -> Handler:
        async def answer(request: Request) -> Response:
            began, sent = monotonic(), request.headers.get("x-request-id", "")
            name = sent if REQUEST_ID.fullmatch(sent) else secrets.token_hex(8)
            request.state.pictures, request.state.held, reason = 0, 0, None
            try:
                response = await handler(request)
            except RefusedError as error:
                reason = str(error)
                response = JSONResponse({"error": reason}, error.status, error.headers)
            except ClientDisconnect:
                reason, response = "the client went away", Response(status_code=499)
            except Exception as error:
                # Neither log nor answer may hold what the error holds: features, perhaps.
                reason = type(error).__name__
                response = JSONResponse({"error": "the service failed"}, 500)
            finally:
                self.service.held -= request.state.held
            response.headers["X-Request-ID"] = name
            seconds, figures = monotonic() - began, self.service.figures
            figures.count(handler.__name__, response.status_code)
            figures.seconds.observe(seconds)
            fields = {
                "request": name,
                "route": handler.__name__,
                "status": response.status_code,
                "ms": round(1000 * seconds, 2),
                "pictures": request.state.pictures,
            }
            LOG.info("request", extra={"fields": fields | ({"reason": reason} if reason else {})})
            return response

        return answer


async def _body(request: Request, service: Service, most: int) -> bytes:
    """A request's body, of at most ``most`` bytes.

    Raises:
        RefusedError: it is too large, too slow, compressed, or there is no room for it.
    """
    if request.headers.get("content-encoding", "identity") != "identity":
        raise RefusedError(415, "the body must not be compressed")
    length = request.headers.get("content-length")
    declared = int(length) if length is not None and length.isdecimal() else most
    stream = request.stream()
    if declared > most:
        await _discard(stream)
        raise RefusedError(413, f"a request may have {most} bytes", Connection="close")
    if service.held + declared > service.limits.held:
        raise RefusedError(503, "too many requests at once: try again", Retry_After="1")
    parts, size = list[bytes](), 0
    service.held += declared
    request.state.held = declared
    try:
        async with asyncio.timeout(service.limits.body_seconds):
            async for part in stream:
                size += len(part)
                if size > most:
                    await _discard(stream)
                    raise RefusedError(413, f"a request may have {most} bytes", Connection="close")
                parts.append(part)
    except TimeoutError:
        raise RefusedError(408, "the request is too slow", Connection="close") from None
    return b"".join(parts)


async def _discard(stream: AsyncIterator[bytes]) -> None:
    """Read on for a moment: a connection that is closed on what was not read takes the answer with
    it.
    """
    size = 0
    with suppress(TimeoutError, ClientDisconnect):
        async with asyncio.timeout(DISCARD_SECONDS):
            async for part in stream:
                size += len(part)
                if size > DISCARD_BYTES:
                    return


async def _failed(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    reason: Any = {404: "no such address", 405: "no such method here"}.get(error.status_code)
    return JSONResponse({"error": reason or error.detail}, error.status_code, error.headers)
