"""The lab's HTTP interface: one page, its state as server-sent events, and one route for each action.

Guarantee: only the page that this process has served may command it: a request that changes something needs the page's token,
the right Host, and no foreign Origin. Every error is one sentence, as a problem (RFC 9457).
"""

import secrets
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException, Request
from fastapi.responses import HTMLResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from lab import document, plans
from lab.columns import BY_NAME
from lab.held import NotPossible
from lab.plans import Action
from lab.play import Play
from service_kit import problem_details
from service_kit.problem_details import BodyLimit, HostCheck, Problem, ProblemCatalogue, ProblemType

NOT_POSSIBLE = ProblemType(
    "not-possible",
    409,
    "That cannot be done now",
    "The detail says why. Nothing was changed, and what had been armed was removed.",
)
NOT_A_PLAN = ProblemType(
    "not-a-plan",
    422,
    "The text is no plan of a play",
    "A plan is what the page writes behind the # of its address. Nothing was played.",
)
TOKEN_WRONG = ProblemType(
    "token-wrong",
    403,
    "Only the page of this lab may do this",
    "The request has no token, or one of a lab that does not run any more. Load the page again.",
)
TOO_MANY_PAGES = ProblemType(
    "too-many-pages",
    503,
    "Too many pages are open",
    "Close one of them.",
)
_FILES = Path(__file__).with_name("page")
_TYPES = {".js": "text/javascript", ".css": "text/css"}
# Nothing from another origin, nothing inline, in no frame.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class OrderBody(_Body):
    """What strikes the order: a key of `lab.plans.SITUATIONS`."""

    situation: str = Field("success", max_length=40)


class ActBody(_Body):
    """A held message, 0 for all of its point, and what to do with it."""

    message: int = Field(ge=0, lt=2**53)
    action: str = Field(max_length=10)


class SwitchBody(_Body):
    """On or off."""

    on: bool


class PlantBody(_Body):
    """The name of a planted bug; empty is none."""

    bug: str = Field(max_length=60)


class PlanBody(_Body):
    """A plan; a longer one is refused with a sentence of its own."""

    plan: str = Field(max_length=60_000)


def create(play: Play, token: str) -> FastAPI:
    """The application of one play."""
    app = FastAPI(title="Billed Once: the lab", docs_url=None, redoc_url=None, openapi_url=None)
    catalogue = problem_details.install(
        app, ProblemCatalogue.of([NOT_POSSIBLE, NOT_A_PLAN, TOKEN_WRONG, TOO_MANY_PAGES])
    )
    app.state.play = play

    async def not_possible(_: Request, exc: Exception) -> Response:
        return problem_details.answer(catalogue, Problem(NOT_POSSIBLE, str(exc)))

    async def not_a_plan(_: Request, exc: Exception) -> Response:
        return problem_details.answer(catalogue, Problem(NOT_A_PLAN, str(exc)))

    app.add_exception_handler(NotPossible, not_possible)
    app.add_exception_handler(plans.NotAPlan, not_a_plan)
    app.add_middleware(BodyLimit, catalogue=lambda: catalogue)
    app.add_middleware(HostCheck, catalogue=lambda: catalogue)
    _add_page(app, play, token)
    _add_actions(app, play, token)
    return app


def _add_page(app: FastAPI, play: Play, token: str) -> None:
    @app.get("/", response_class=HTMLResponse)
    async def page() -> Response:
        text = (_FILES / "index.html").read_text(encoding="utf-8").replace("{{token}}", token)
        return HTMLResponse(text, headers=_HEADERS)

    @app.get("/page/{name}")
    async def file(name: str) -> Response:
        """A file of the page; nothing else of the disk has a name here."""
        found = {each.name: each for each in _FILES.iterdir() if each.suffix in _TYPES}
        found |= document.shared_files()
        if name not in found:
            raise HTTPException(404)
        content = found[name].read_text(encoding="utf-8")
        return Response(content, media_type=_TYPES[found[name].suffix], headers=_HEADERS)

    @app.get("/events")
    async def events(last_event_id: Annotated[str, Header()] = "") -> Response:
        if play.history.is_full:
            raise Problem(TOO_MANY_PAGES, "No further page can watch this lab.")
        stream = play.history.stream(last_event_id[:40])
        return StreamingResponse(stream, media_type="text/event-stream", headers=_HEADERS)

    @app.get("/protections")
    async def protections() -> list[dict[str, Any]]:
        return play.protections

    @app.get("/diagrams/{number}/{column}")
    async def diagram(number: int, column: str) -> Response:
        if column not in BY_NAME:
            raise NotPossible("There is no such column.")
        svg = document.diagram_of(play.round_of(number), column)
        return Response(svg, media_type="image/svg+xml", headers=_HEADERS)

    @app.get("/saved")
    async def saved() -> Response:
        """The play as one file that needs nothing else."""
        headers = {**_HEADERS, "Content-Disposition": 'attachment; filename="billed-once.html"'}
        return HTMLResponse(document.saved(play), headers=headers)


def _add_actions(app: FastAPI, play: Play, token: str) -> None:
    def own_page(x_lab_token: Annotated[str, Header()] = "") -> None:
        if not secrets.compare_digest(x_lab_token.encode(), token.encode()):
            raise Problem(TOKEN_WRONG, "Only the page of this lab may do this; load it again.")

    guarded = [Depends(own_page)]

    @app.post("/do/order", dependencies=guarded)
    async def order(body: OrderBody) -> dict[str, int]:
        return {"number": await play.order(body.situation)}

    @app.post("/do/act", dependencies=guarded, status_code=204)
    async def act(body: ActBody) -> None:
        if body.action.upper() not in Action.__members__:
            raise NotPossible(f"There is no such action: {body.action!r}.")
        await play.act(body.message, Action[body.action.upper()])

    @app.post("/do/step", dependencies=guarded, status_code=204)
    async def step(body: SwitchBody) -> None:
        play.set_step(body.on)

    @app.post("/do/cut", dependencies=guarded, status_code=204)
    async def cut(body: SwitchBody) -> None:
        await play.set_cut(body.on)

    @app.post("/do/heal", dependencies=guarded, status_code=204)
    async def heal() -> None:
        await play.heal()

    @app.post("/do/plant", dependencies=guarded, status_code=204)
    async def plant(body: PlantBody) -> None:
        await play.plant(body.bug)

    @app.post("/do/play", dependencies=guarded, status_code=202)
    async def start_plan(body: PlanBody) -> None:
        play.start_plan(body.plan)
