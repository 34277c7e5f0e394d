"""The study as a web application, and a server for it."""

import socket
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from threading import Thread
from typing import Any

from deepobfuscator import InputError
from deepobfuscator.survey import machine
from deepobfuscator.survey.questions import Sheet
from deepobfuscator.survey.store import Store

try:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.types import Receive, Scope, Send

    from deepobfuscator.survey.pages import Survey, page
    from deepobfuscator.survey.pages import failed as refused
except ModuleNotFoundError as error:
    raise InputError(f"the survey lacks {error.name}: pip install -e '.[survey]'") from error

DATABASE = "survey.sqlite"
"""The answers, in the study's folder."""

EVERYWHERE = ("", "0.0.0.0", "::")
"""Hosts that stand for every address of this computer."""


def create_app(
    sheet: Sheet,
    database: Path,
    token: str | None = None,
    contact: str = "",
    machines: Mapping[str, Iterable[int]] | None = None,
) -> Starlette:
    """The application; its ``state.token``, by default one of the database, opens the owner's page.

    ``contact`` is whom participants may ask, as they shall read it; ``machines`` holds, by name,
    the options that machines chose, beside those of `machine` that need pixels alone.

    Raises:
        InputError: the database cannot be used, or belongs to another sheet.
    """
    store = Store(database, sheet)
    seeing = {"pixels": machine.pixels(sheet), "background": machine.background(sheet)}
    for name, choices in (seeing | dict(machines or {})).items():
        store.put_machine(name, choices)
    survey = Survey(sheet, store, token or store.mark("token"), contact)
    app = Starlette(routes=survey.routes(), exception_handlers={HTTPException: refused})
    app.state.token = survey.token
    app.state.store = store
    return app


class Preparing:
    """Answers that the study is being prepared, until its application is ready."""

    def __init__(self) -> None:
        self.app: Starlette | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        await (self.app or wait)(scope, receive, send)


async def wait(scope: Scope, receive: Receive, send: Send) -> None:
    """A page that loads again by itself."""
    reply = page("message.html", 503, text="The study is being prepared: this page reloads itself.")
    reply.headers["Refresh"] = "5"
    await reply(scope, receive, send)


def serve(make: Callable[[], Starlette], host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve what ``make`` gives until interrupted; see `create_app`.

    The participants' address is printed and answered at once, ``make`` runs meanwhile, and the
    owner's address is printed once it is done. ``host`` 0.0.0.0 is every address of this computer,
    ``port`` 0 any free one. The study's database is closed at the end.

    Raises:
        InputError: the address cannot be used, or what ``make`` raises.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        raise InputError(f"cannot listen at {host} port {port}: {error}; try --port") from error
    name = socket.gethostname() if host in EVERYWHERE else f"[{host}]" if ":" in host else host
    address = f"http://{name}:{listener.getsockname()[1]}"
    print(f"For participants:  {address}/", flush=True)
    study, failed = Preparing(), list[BaseException]()
    # No access log: it would keep the addresses of participants, and the token.
    quiet: dict[str, Any] = {"log_level": "warning", "access_log": False, "server_header": False}
    server = uvicorn.Server(uvicorn.Config(study, lifespan="off", **quiet))

    def prepare() -> None:
        try:
            study.app = make()
            print(f"For you alone:     {address}/owner?token={study.app.state.token}", flush=True)
        except BaseException as error:
            failed.append(error)
            server.should_exit = True

    Thread(target=prepare, daemon=True).start()
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        listener.close()
        if study.app is not None:
            study.app.state.store.close()
    if failed:
        raise failed[0]
