"""GET /: a page that shows a person the state of the service."""

from base64 import b64encode
from hashlib import sha256
from html import escape
from http import HTTPStatus
from string import Template

from starlette.requests import Request
from starlette.responses import HTMLResponse

from amd_service import __version__
from amd_service.operations.health import database_fault
from amd_service.web.access import describe_access
from amd_service.web.api.openapi.responses import problems
from amd_service.web.api.openapi.route import PUBLIC, DescribedRoute
from amd_service.web.media_types import HTML
from amd_service.web.state import runtime_of

STYLE = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { max-width: 42rem; margin: 3rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; }
dt { font-weight: 600; }
dd { margin: 0; }
"""

PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>amd_service</title>
<style>$style</style>
<h1>amd_service $version</h1>
<p>Answering-machine detection for Twilio calls: did a human or a voicemail answer?</p>
<dl>
<dt>Callbacks</dt><dd>$callbacks</dd>
<dt>Classifier</dt><dd>$classifier</dd>
</dl>
<ul>
<li><a href="health">/health</a>: the process is alive</li>
<li><a href="ready">/ready</a>: callbacks can be stored</li>
<li><a href="openapi.json">/openapi.json</a>: description of the HTTP interface ($access)</li>
<li><a href="model-info">/model-info</a>: the model, the thresholds and the limits ($access)</li>
</ul>
<p>The documentation is in <code>README.md</code> and in the folder <code>docs</code> of the source code.</p>
</html>
""")

# The browser applies only the style with this hash, and loads nothing else.
HEADERS = {
    "content-security-policy": (
        f"default-src 'none'; style-src 'sha256-{b64encode(sha256(STYLE.encode()).digest()).decode()}'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


async def start_page(request: Request) -> HTMLResponse:
    """Show the version, the state of the database and the phase of the classifier.

    The page is public. So it shows only what `/health` and `/ready` show.
    """
    runtime = runtime_of(request)
    fault = await database_fault(runtime.database)
    report = runtime.classifier_report()
    note = " (demonstration model: not for real calls)" if report["demonstration"] else ""
    values = {
        "version": __version__,
        "callbacks": "can be stored" if fault is None else f"cannot be stored: {fault}",
        "classifier": f"{report['phase']}{note}",
        "access": describe_access(runtime.settings),
    }
    text = PAGE.substitute({name: escape(value) for name, value in values.items()}, style=STYLE)
    return HTMLResponse(text, headers=HEADERS)


ROUTE = DescribedRoute(
    "/",
    start_page,
    get={
        **PUBLIC,
        "summary": "A page that shows a person the state of the service",
        "responses": {
            "200": {"description": "HTML.", "content": {HTML: {"schema": {"type": "string"}}}},
            **problems(HTTPStatus.BAD_REQUEST),
        },
    },
)
