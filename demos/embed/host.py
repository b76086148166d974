"""Somebody else's site: Starlette, by uvicorn, on asyncio. It knows nothing of us but an address.

FastAPI is Starlette underneath: there the same is a route, and the same page.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.templating import Jinja2Templates

POLL = os.environ.get("POLL_URL", "http://127.0.0.1:5006/poll")

templates = Jinja2Templates(Path(__file__).parent / "templates")


async def article(request: Request) -> Response:
    parts = urlsplit(POLL)
    variables = {"poll": POLL, "poll_origin": f"{parts.scheme}://{parts.netloc}"}
    return templates.TemplateResponse(request, "article.html", variables)


site = Starlette(routes=[Route("/", article)])
