"""Asking the service, from threads or coroutines: one message, retried where that can help."""

import asyncio
import random
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import httpx2

from deepobfuscator_edge.edge import Edge
from deepobfuscator_edge.errors import ServiceError
from deepobfuscator_edge.pictures import Picture

CONTENT = "application/x-deepobfuscator-message"
"""Media type of a message."""
PASSING = (408, 425, 429, 500, 502, 503, 504)
"""Statuses after which the same request may succeed."""
FIRST_WAIT, LONGEST_WAIT = 0.1, 20.0
"""Seconds between tries: at random up to a bound, which doubles from the first to the longest. A
service that asks for more than the longest is not waited for."""

TOGETHER = 64
"""Pictures of one message at most: a server takes as many unless it was told otherwise."""
CONNECTIONS = 32
"""Of one client at once, at most."""

Answer = dict[str, dict[str, Any]]
"""By attribute: ``value`` (true or false, or a class's name) and ``score`` or ``scores``."""


class _Asking:
    """What both clients share: requests, and what to make of answers."""

    def __init__(
        self, url: str, edge: Edge, key: str | None = None, timeout: float = 10.0, retries: int = 5
    ) -> None:
        """A client of the service at ``url``.

        Args:
            url: of the server, as ``https://host:8000``.
            edge: the encoder.
            key: an API key, where the service asks for one.
            timeout: seconds for one try.
            retries: tries after the first.
        """
        self.edge, self.retries = edge, retries
        self.path = f"/v2/models/{edge.manifest.name}/message"
        headers = {"Content-Type": CONTENT} | ({"Authorization": f"Bearer {key}"} if key else {})
        self.options: dict[str, Any] = {
            "base_url": url,
            "headers": headers,
            # To wait for a connection of one's own is no failure of the service.
            "timeout": httpx2.Timeout(timeout, pool=None),
            "limits": httpx2.Limits(max_connections=CONNECTIONS),
        }

    def _answers(self, response: httpx2.Response) -> list[Answer]:
        try:
            return list(response.json()["answers"])
        except (ValueError, KeyError, TypeError):
            raise ServiceError(
                "the service answers something else than a service of this kind", 200
            ) from None

    def _wait(self, tries: int, outcome: httpx2.Response | httpx2.TransportError) -> float:
        """Seconds before the next try.

        Raises:
            ServiceError: there is none, or it could not help.
        """
        asked = 0.0
        if isinstance(outcome, httpx2.Response):
            status: int | None = outcome.status_code
            reason = f"the service refuses ({status}): {_reason(outcome)}"
            after = outcome.headers.get("Retry-After", "")
            asked = float(after) if after.isdecimal() else 0.0
            passing = status in PASSING and asked <= LONGEST_WAIT
        else:
            status, passing = None, not isinstance(outcome, httpx2.UnsupportedProtocol)
            reason = f"cannot reach the service: {str(outcome) or type(outcome).__name__}"
        if not passing or tries > self.retries:
            raise ServiceError(reason, status) from None
        return asked + random.uniform(0, min(LONGEST_WAIT, FIRST_WAIT * 2**tries))


def _parts(pictures: Sequence[Picture]) -> list[Sequence[Picture]]:
    """At least one, so that no picture at all is refused as it is by `Edge`."""
    starts = range(0, max(len(pictures), 1), TOGETHER)
    return [pictures[start : start + TOGETHER] for start in starts]


def _reason(response: httpx2.Response) -> str:
    try:
        return str(response.json()["error"])
    except (ValueError, KeyError, TypeError):
        return response.reason_phrase


class Client(_Asking):
    """Classifies pictures by a service, which sees only what the edge lets out."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.http = httpx2.Client(**self.options)

    def classify(self, picture: Picture) -> Answer:
        """The answer for one picture.

        Raises:
            EdgeError: the picture cannot be read.
            ServiceError: the service refused it, or cannot be reached.
        """
        return self.classify_all([picture])[0]

    def classify_all(self, pictures: Sequence[Picture]) -> list[Answer]:
        """The answers for any number of pictures, `TOGETHER` in a message; raises as `classify`."""
        return [a for some in _parts(pictures) for a in self.ask(self.edge.encode(some))]

    def ask(self, message: bytes) -> list[Answer]:
        """The answers for a message; raises ServiceError as `classify`."""
        tries = 0
        while True:
            outcome: httpx2.Response | httpx2.TransportError
            try:
                outcome = self.http.post(self.path, content=message)
                if outcome.status_code == 200:
                    return self._answers(outcome)
            except httpx2.TransportError as error:
                outcome = error
            tries += 1
            time.sleep(self._wait(tries, outcome))

    def close(self) -> None:
        """Let go of connections."""
        self.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncClient(_Asking):
    """`Client` for coroutines; pictures are encoded in a thread."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.http = httpx2.AsyncClient(**self.options)

    async def classify(self, picture: Picture) -> Answer:
        """As `Client.classify`."""
        return (await self.classify_all([picture]))[0]

    async def classify_all(self, pictures: Sequence[Picture]) -> list[Answer]:
        """As `Client.classify_all`."""
        answers = list[Answer]()
        for some in _parts(pictures):
            answers += await self.ask(await asyncio.to_thread(self.edge.encode, some))
        return answers

    async def ask(self, message: bytes) -> list[Answer]:
        """As `Client.ask`."""
        tries = 0
        while True:
            outcome: httpx2.Response | httpx2.TransportError
            try:
                outcome = await self.http.post(self.path, content=message)
                if outcome.status_code == 200:
                    return self._answers(outcome)
            except httpx2.TransportError as error:
                outcome = error
            tries += 1
            await asyncio.sleep(self._wait(tries, outcome))

    async def close(self) -> None:
        """Let go of connections."""
        await self.http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
