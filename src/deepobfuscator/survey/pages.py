"""What the web pages do: those for participants, which tell no answer, and one for the owner.

A participant fetches only the pictures of the question they are at, under addresses that are
theirs alone. Every page works without scripts.
"""

import io
import secrets
import time
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import jinja2
from PIL import Image
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from deepobfuscator.survey.questions import OPTIONS, Sheet
from deepobfuscator.survey.store import Participant, Store
from deepobfuscator.survey.study import study, to_csv

HERE = Path(__file__).parent
REBUILT = OPTIONS
"""Number of the rebuilt picture among a question's pictures."""
LARGEST_FORM = 4096
"""Bytes; ours have about 200."""
REMEMBERED = 90 * 24 * 3600
"""Seconds that a browser keeps the participant's cookie."""
LEAST = 5
"""Complete sheets from which on the owner's page has figures of people."""
QUESTION_MINUTES = 0.25
"""For telling beforehand how long it takes."""

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # With no-referrer, browsers would hide the origin of the study's own forms too.
    "Referrer-Policy": "same-origin",
    "X-Robots-Tag": "noindex, noimageindex",
}

PAGES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(HERE),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
PAGES.filters["percent"] = lambda share: f"{100 * share:.0f} %"
PAGES.filters["p"] = lambda p: "p\u00a0<\u00a00.001" if p < 0.001 else f"p\u00a0=\u00a0{p:.3f}"


def page(template: str, status: int = 200, **values: object) -> Response:
    """A page; nothing of it is cached."""
    body = PAGES.get_template(template).render(**values)
    return Response(body, status, HEADERS, "text/html")


def see(path: str) -> Response:
    """Send the browser elsewhere with a GET."""
    return RedirectResponse(path, 303, HEADERS)


def keep(
    request: Request, path: str, name: str, value: str, site: Literal["strict", "lax"]
) -> Response:
    """Send the browser elsewhere with a cookie that scripts cannot read."""
    reply = see(path)
    secure = request.url.scheme == "https"
    reply.set_cookie(name, value, REMEMBERED, httponly=True, samesite=site, secure=secure)
    return reply


async def failed(request: Request, error: Exception) -> Response:
    """What a participant sees of a request that is refused."""
    assert isinstance(error, HTTPException)
    return page("message.html", error.status_code, text=error.detail)


def static(name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint that sends a file of this package."""
    body = (HERE / name).read_bytes()

    async def send(request: Request) -> Response:
        return Response(body, 200, HEADERS | {"Cache-Control": "max-age=3600"}, kind)

    return send


async def form(request: Request) -> dict[str, str]:
    """Fields of a form that this study's own page sent."""
    site, origin = (request.headers.get(name) for name in ("sec-fetch-site", "origin"))
    if site:
        own = site in ("same-origin", "none")
    else:  # an old browser, or one that reaches the study without https
        own = not origin or urlsplit(origin).netloc == request.headers.get("host")
    if not own:
        raise HTTPException(403, "This form was sent from another site.")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_FORM:
            raise HTTPException(413, "That is more than this form holds.")
    fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=20)
    return {name: values[-1] for name, values in fields.items()}


class Survey:
    """What the pages do; ``token`` opens the owner's, ``contact`` is whom participants may ask."""

    def __init__(self, sheet: Sheet, store: Store, token: str, contact: str) -> None:
        self.sheet, self.store, self.contact = sheet, store, contact
        # Browsers share cookies between the ports of a host, so another study has other names.
        self.cookie = f"participant-{store.mark('cookie')[:8]}"
        self.owner_cookie = f"owner-{store.mark('cookie')[:8]}"
        self.token, self.pass_ = token, store.mark("owner", token)
        self.png = cache(self._png)

    def routes(self) -> list[Route]:
        """Every address of the study."""
        return [
            Route("/", self.start),
            Route("/", self.begin, methods=["POST"]),
            Route("/question", self.question),
            Route("/question", self.answer, methods=["POST"]),
            Route("/picture/{address}", self.picture),
            Route("/thanks", self.thanks),
            Route("/stop", self.stop),
            Route("/stop", self.forget, methods=["POST"]),
            Route("/style.css", static("style.css", "text/css")),
            Route("/keys.js", static("keys.js", "text/javascript")),
            Route("/owner", self.owner),
            Route("/owner.csv", self.owner_csv),
            Route("/owner/{question:int}/{option:int}", self.owner_picture),
        ]

    async def start(self, request: Request) -> Response:
        """What the study is, and the consent."""
        if await self._participant(request):
            return see("/question")
        minutes = max(2, round(len(self.sheet) * QUESTION_MINUTES))
        return page("start.html", sheet=self.sheet, minutes=minutes, contact=self.contact)

    async def begin(self, request: Request) -> Response:
        """Note the consent; who has begun before goes on instead."""
        fields = await form(request)
        if await self._participant(request):
            return see("/question")
        if fields.get("agree") != "yes":
            return see("/")
        cookie = await run_in_threadpool(self.store.begin)
        return keep(request, "/question", self.cookie, cookie, "strict")

    async def question(self, request: Request) -> Response:
        """The first question without an answer."""
        me = await self._participant(request)
        if not me:
            return see("/")
        q = self._current(me)
        if q is None:
            return see("/thanks")
        shown = int(time.time() * 1000)
        return page(
            "question.html",
            sheet=self.sheet,
            done=len(me.answered),
            question=self.store.mark("question", me.id, q),
            shown=shown,
            proof=self.store.mark("form", me.id, q, shown),
            rebuilt=self._address(me, q, REBUILT),
            options=[self._address(me, q, o) for o in self.store.options(me.id, q)],
        )

    async def answer(self, request: Request) -> Response:
        """Keep an answer; one to a question that has one is passed over."""
        fields = await form(request)
        me = await self._participant(request)
        if not me:
            return see("/")
        sent = {name: fields.get(name, "") for name in ("question", "shown", "proof", "choice")}
        asked = {self.store.mark("question", me.id, q): q for q in range(len(self.sheet))}
        q = asked.get(sent["question"])
        if q is None or not secrets.compare_digest(
            self.store.mark("form", me.id, q, sent["shown"]).encode(), sent["proof"].encode()
        ):
            raise HTTPException(403, "This form is not one of this study's.")
        chosen = {self._address(me, q, o): o for o in range(OPTIONS)}
        if sent["choice"] in chosen:
            seconds = max(0.0, time.time() - int(sent["shown"]) / 1000)
            await run_in_threadpool(self.store.answer, me.id, q, chosen[sent["choice"]], seconds)
        return see("/question")

    async def picture(self, request: Request) -> Response:
        """One of the five pictures of the question a participant is at."""
        me = await self._participant(request)
        q = self._current(me) if me else None
        if me and q is not None:
            for number in range(OPTIONS + 1):
                if self._address(me, q, number) == request.path_params["address"]:
                    return Response(self.png(q, number), 200, HEADERS, "image/png")
        raise HTTPException(404, "There is no such page.")

    async def thanks(self, request: Request) -> Response:
        """The end, without a score: others still get the same questions."""
        me = await self._participant(request)
        if not me or not me.finished:
            return see("/")
        return page("thanks.html", count=len(self.sheet))

    async def stop(self, request: Request) -> Response:
        """Ask before deleting."""
        me = await self._participant(request)
        return page("stop.html", done=len(me.answered)) if me else see("/")

    async def forget(self, request: Request) -> Response:
        """Delete a participant's answers."""
        await form(request)
        me = await self._participant(request)
        if me:
            await run_in_threadpool(self.store.forget, me.id)
        reply = page("message.html", text="Your answers are deleted. Thank you for your time.")
        reply.delete_cookie(self.cookie, httponly=True, samesite="strict")
        return reply

    async def owner(self, request: Request) -> Response:
        """Figures; the token in the address is exchanged for a cookie, to keep it out of sight."""
        token = request.query_params.get("token", "")
        if token and secrets.compare_digest(token.encode(), self.token.encode()):
            # Not strict, or a link in the owner's mail would not open the page.
            return keep(request, "/owner", self.owner_cookie, self.pass_, "lax")
        self._only_owner(request)
        found = await run_in_threadpool(study, self.sheet, self.store)
        within, between = self.sheet.backgrounds()
        shown: dict[str, Any] = {
            "study": found,
            "sheet": self.sheet,
            "within": within,
            "between": between,
        }
        return page("owner.html", least=LEAST, **shown)

    async def owner_csv(self, request: Request) -> Response:
        """All answers."""
        self._only_owner(request)
        text = await run_in_threadpool(to_csv, self.sheet, self.store)
        named = {"Content-Disposition": 'attachment; filename="survey.csv"'}
        return Response(text, 200, HEADERS | named, "text/csv")

    async def owner_picture(self, request: Request) -> Response:
        """Any picture of the sheet, by its number."""
        self._only_owner(request)
        q, number = request.path_params["question"], request.path_params["option"]
        if q >= len(self.sheet) or number > REBUILT:
            raise HTTPException(404, "There is no such picture.")
        return Response(self.png(q, number), 200, HEADERS, "image/png")

    def _only_owner(self, request: Request) -> None:
        given = request.cookies.get(self.owner_cookie, "")
        if not secrets.compare_digest(given.encode(), self.pass_.encode()):
            told = "This page is the owner's: open the address that the study printed at its start."
            raise HTTPException(403, told)

    async def _participant(self, request: Request) -> Participant | None:
        cookie = request.cookies.get(self.cookie)
        return await run_in_threadpool(self.store.participant, cookie) if cookie else None

    def _current(self, me: Participant) -> int | None:
        return next((q for q in self.store.order(me.id) if q not in me.answered), None)

    def _address(self, me: Participant, q: int, number: int) -> str:
        return self.store.mark("picture", me.id, q, number)

    def _png(self, q: int, number: int) -> bytes:
        shown = self.sheet.rebuilt[q] if number == REBUILT else self.sheet.options[q, number]
        file = io.BytesIO()
        Image.fromarray(shown).save(file, "PNG")
        return file.getvalue()
