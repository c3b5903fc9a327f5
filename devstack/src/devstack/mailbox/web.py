"""The inbox in the browser, and the same as JSON. Whatever a mail holds, it runs nothing and loads nothing."""

import importlib
import re
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Protocol, cast
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from devstack.mailbox.letters import Letters
from devstack.mailbox.smtp import Fault, Rules

PAGES = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
OWN_PAGE = "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; frame-src 'self'"
# A mail's HTML: no script, no form, nothing fetched; its links open in a tab of their own.
MAIL = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox allow-popups allow-popups-to-escape-sandbox"
)
SAFE = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}


def make_app(letters: Letters, rules: Rules, smtp_port: int, previews: str | None = None) -> Starlette:
    """The web side of one mailbox; ``previews`` names the module of the mails to show, see the package."""
    inbox = Inbox(letters, rules, smtp_port, has_previews=previews is not None)
    templates = Templates(previews)
    return Starlette(
        routes=[
            Route("/", inbox.page),
            Route("/inbox.js", inbox.script),
            Route("/ready", inbox.ready),
            Route("/messages", inbox.list_messages),
            Route("/messages", inbox.delete, methods=["DELETE"]),
            Route("/messages/{id}", inbox.read),
            Route("/messages/{id}", inbox.delete, methods=["DELETE"]),
            Route("/messages/{id}/source", inbox.source),
            Route("/messages/{id}/html", inbox.html),
            Route("/messages/{id}/attachments/{number:int}", inbox.attachment),
            Route("/templates", templates.page),
            Route("/templates/{name}", templates.html),
            Route("/faults", inbox.add_fault, methods=["POST"]),
            Route("/faults", inbox.end_faults, methods=["DELETE"]),
            Route("/rules", inbox.show_rules),
            Route("/rules", inbox.change_rules, methods=["PUT"]),
        ],
        # A page elsewhere that points its name at this machine is refused.
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])],
        exception_handlers={
            KeyError: lambda *_: JSONResponse({"error": "There is no such mail."}, 404),
            ValueError: lambda _, error: JSONResponse({"error": str(error)}, 400),
        },
    )


class Inbox:
    """The views of one mailbox."""

    def __init__(self, letters: Letters, rules: Rules, smtp_port: int, has_previews: bool = False) -> None:
        self.letters, self.rules, self.smtp_port, self.has_previews = letters, rules, smtp_port, has_previews

    async def page(self, request: Request) -> Response:
        chosen, view = request.query_params.get("id"), request.query_params.get("view", "html")
        found = self.letters.find(request.query_params.get("to", ""))
        mail = self.letters.read(chosen) if chosen else None
        if chosen and mail and view == "source":
            mail["source"] = self.letters.source(chosen).decode("utf-8", "replace")
        if mail and view == "html" and not mail["html"]:
            view = "text"
        known = {"total": len(found), "smtp_port": self.smtp_port, "has_previews": self.has_previews}
        return page("inbox.html", letters=found[:200], mail=mail, view=view, **known)

    async def script(self, _: Request) -> Response:
        return PlainTextResponse((Path(__file__).parent / "inbox.js").read_text(), media_type="text/javascript")

    async def ready(self, _: Request) -> Response:
        return JSONResponse({"ready": True, "smtp_port": self.smtp_port, "messages": len(self.letters)})

    async def list_messages(self, request: Request) -> Response:
        asked = request.query_params
        return JSONResponse(
            {"messages": self.letters.find(asked.get("to", ""), asked.get("subject", ""))}, headers=SAFE
        )

    async def read(self, request: Request) -> Response:
        return JSONResponse(self.letters.read(request.path_params["id"]), headers=SAFE)

    async def source(self, request: Request) -> Response:
        return Response(self.letters.source(request.path_params["id"]), media_type="text/plain", headers=SAFE)

    async def html(self, request: Request) -> Response:
        return mail_html(self.letters.read(request.path_params["id"])["html"])

    async def attachment(self, request: Request) -> Response:
        """For saving, whatever it is: a browser opens nothing of it here."""
        name, _, content = self.letters.attachment(request.path_params["id"], request.path_params["number"])
        as_file = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}"}
        return Response(content, media_type="application/octet-stream", headers=SAFE | as_file)

    async def delete(self, request: Request) -> Response:
        self.letters.discard(request.path_params.get("id"))
        return JSONResponse({"deleted": True})

    async def add_fault(self, request: Request) -> Response:
        asked = await request.json()
        if not isinstance(asked, dict) or not {"at", "do"} <= asked.keys() <= {each.name for each in fields(Fault)}:
            raise ValueError("A fault is one object with at and do, and perhaps code, times, to and seconds.")
        self.rules.faults.append(Fault(**asked))
        return JSONResponse({"faults": len(self.rules.faults)}, 201)

    async def end_faults(self, _: Request) -> Response:
        self.rules.faults.clear()
        return JSONResponse({"faults": 0})

    async def show_rules(self, _: Request) -> Response:
        return JSONResponse({name: value for name, value in vars(self.rules).items() if name != "faults"})

    async def change_rules(self, request: Request) -> Response:
        for name, value in (await request.json()).items():
            if name not in ("user", "password", "smtputf8"):
                raise ValueError("The rules are user, password and smtputf8.")
            setattr(self.rules, name, value)
        return await self.show_rules(request)


class Previews(Protocol):
    """What a module of previews has: the names of the mails, and each with sample data (subject, text, html)."""

    TEMPLATES: Sequence[str]

    def render_sample(self, name: str) -> Any: ...


class Templates:
    """The views of a project's mails with sample data. KeyError for one that does not exist."""

    def __init__(self, module: str | None) -> None:
        self.module = module

    async def page(self, request: Request) -> Response:
        previews = self._previews()
        name, view = request.query_params.get("name", previews.TEMPLATES[0]), request.query_params.get("view", "html")
        mail = self._sample(previews, name)
        return page("templates.html", names=previews.TEMPLATES, name=name, view=view, mail=mail)

    async def html(self, request: Request) -> Response:
        return mail_html(self._sample(self._previews(), request.path_params["name"]).html)

    def _previews(self) -> Previews:
        """Imported when it is first asked for: the mailbox itself needs nothing of the project."""
        if self.module is None:
            raise KeyError("previews")
        return cast(Previews, importlib.import_module(self.module))

    @staticmethod
    def _sample(previews: Previews, name: str) -> Any:
        if name not in previews.TEMPLATES:
            raise KeyError(name)
        return previews.render_sample(name)


def page(file: str, /, **data: Any) -> HTMLResponse:
    """One of the mailbox's own pages."""
    return HTMLResponse(PAGES.get_template(file).render(**data), headers=SAFE | {"Content-Security-Policy": OWN_PAGE})


def mail_html(html: str) -> HTMLResponse:
    """A mail's HTML, boxed in; for an iframe."""
    base = '<base target="_blank">'
    framed, found = re.subn(r"<head\b[^>]*>", lambda tag: tag[0] + base, html, count=1, flags=re.IGNORECASE)
    if not found:
        framed = base + html
    return HTMLResponse(framed, headers=SAFE | {"Content-Security-Policy": MAIL})
