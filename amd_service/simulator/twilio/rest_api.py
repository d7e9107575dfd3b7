"""Simulates the part of Twilio's REST API that the service uses: calls and recordings. Records all requests."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from amd_service.domain import CallStatus
from amd_service.simulator.twilio.media_host import MediaHost, ScriptedResponse, scripted_response
from amd_service.simulator.twilio.resources import (
    SimulatedCall,
    SimulatedRecording,
    annotation_resource,
    call_resource,
    recording_resource,
)
from amd_service.simulator.twilio.signed_callbacks import Pairs

ACCOUNTS = "/2010-04-01/Accounts/{account}"
DEFAULT_PAGE_SIZE = 50

# The supported list parameters. All other parameters get an error, because the simulation cannot filter by them.
_FILTERS = frozenset({"StartTime>", "DateCreated>", "PageSize", "Page", "PageToken"})

Handler = Callable[[Request, "RestRequest"], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class RestRequest:
    """A received request. `query`, `form`: the decoded parameters, in order."""

    method: str
    path: str
    query: Pairs
    form: Pairs

    @classmethod
    async def read(cls, request: Request) -> "RestRequest":
        query = parse_qsl(request.url.query, keep_blank_values=True)
        form = parse_qsl((await request.body()).decode(), keep_blank_values=True)
        return cls(request.method, request.url.path, query, form)


@dataclass(slots=True)
class RestApi:
    """Serves `calls` (by CallSid) to requests with the account's credentials. The media host serves the audio.

    `scripted`: responses that are sent once each, in order, before normal responses. `on_created`: function that is
    started for each placed call, concurrently with the response; `wait_for_calls` waits for the end of each. `before`:
    function that is awaited before every response. `check`: function that returns the errors in a request. The media
    host collects the errors in `violations`.
    """

    media: MediaHost
    calls: dict[str, SimulatedCall] = field(default_factory=dict)
    conferences: list[SimulatedRecording] = field(default_factory=list)
    requests: list[RestRequest] = field(default_factory=list)
    scripted: list[ScriptedResponse] = field(default_factory=list)
    on_created: Callable[[SimulatedCall], Awaitable[object]] | None = None
    before: Callable[[], Awaitable[object]] | None = None
    check: Callable[[RestRequest], Iterable[str]] | None = None
    _simulations: list[asyncio.Task[object]] = field(default_factory=list)

    def add(self, call: SimulatedCall) -> SimulatedCall:
        """Add a call to the listed calls."""
        self.calls[call.sid] = call
        return call

    async def wait_for_calls(self) -> None:
        """Wait until `on_created` has ended for every placed call. Raises its exceptions."""
        while self._simulations:
            await self._simulations.pop(0)

    def routes(self) -> list[Route]:
        """Return all routes. In a list of routes, these routes must come before the routes of the media host."""
        calls, call = f"{ACCOUNTS}/Calls.json", ACCOUNTS + "/Calls/{sid}.json"
        return [
            Route(calls, self._respond_with(self.create_call), methods=["POST"]),
            Route(calls, self._respond_with(self.list_calls), methods=["GET"]),
            Route(call, self._respond_with(self.update_call), methods=["POST"]),
            Route(call, self._respond_with(self.fetch_call), methods=["GET"]),
            Route(
                ACCOUNTS + "/Calls/{sid}/Recordings.json",
                self._respond_with(self.list_recordings_of_call),
                methods=["GET"],
            ),
            Route(f"{ACCOUNTS}/Recordings.json", self._respond_with(self.list_recordings), methods=["GET"]),
            Route(ACCOUNTS + "/Recordings/{sid}.json", self._respond_with(self.delete_recording), methods=["DELETE"]),
            # The API of Voice Insights has a host of its own at Twilio.
            Route("/v1/Voice/{sid}/Annotation", self._respond_with(self.annotate_call), methods=["POST"]),
        ]

    def _respond_with(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def respond(request: Request) -> Response:
            received = await RestRequest.read(request)
            self.requests.append(received)
            self.media.violations.extend(self.check(received) if self.check else ())
            if self.before is not None:
                await self.before()
            if not self.media.has_credentials(request):
                return _error(401, 20003, "Authenticate")
            if not self.scripted:
                return await handler(request, received)
            scripted = self.scripted.pop(0)
            if scripted.carried_out:
                await handler(request, received)
            return await scripted_response(scripted, request)

        return respond

    async def create_call(self, request: Request, received: RestRequest) -> Response:
        form = dict(received.form)
        if "To" not in form or "From" not in form:
            return _error(400, 21201 if "To" not in form else 21213, "No 'To' or 'From' number is specified")
        call = self.add(
            SimulatedCall(
                account_sid=request.path_params["account"],
                form=received.form,
                from_number=form["From"],
                to_number=form["To"],
            )
        )
        # Build the response from a copy, because `on_created` may change the call before the response is sent.
        response = JSONResponse(call_resource(replace(call)), 201)
        if self.on_created is not None:
            self._simulations.append(asyncio.ensure_future(self.on_created(call)))
        return response

    async def update_call(self, request: Request, received: RestRequest) -> Response:
        call = self._find_call(request)
        if call is None:
            return _not_found(request)
        call.updates.append(received.form)
        form = dict(received.form)
        redirects = "Url" in form or "Twiml" in form
        if call.is_over or (redirects and call.status != CallStatus.IN_PROGRESS):
            return _error(400, 21220, "Call is not in-progress. Cannot redirect.")
        if "Status" in form:
            call.end(form["Status"])
        return JSONResponse(call_resource(call))

    async def fetch_call(self, request: Request, received: RestRequest) -> Response:  # noqa: ARG002 - all handlers take it
        call = self._find_call(request)
        return _not_found(request) if call is None else JSONResponse(call_resource(call))

    async def list_calls(self, request: Request, received: RestRequest) -> Response:
        since = _since(received, "StartTime>")
        own = [call for call in self.calls.values() if call.account_sid == request.path_params["account"]]
        began = {call.sid: call.started_at or call.created_at for call in own}
        found = sorted((call for call in own if began[call.sid] >= since), key=lambda c: began[c.sid], reverse=True)
        return self._page(received, "calls", [call_resource(call) for call in found])

    async def list_recordings(self, request: Request, received: RestRequest) -> Response:
        account, since = request.path_params["account"], _since(received, "DateCreated>")
        of_calls = [r for call in self.calls.values() if call.account_sid == account for r in call.recordings]
        found = [r for r in (*of_calls, *self.conferences) if r.created_at >= since and r.status != "deleted"]
        found.sort(key=lambda recording: recording.created_at, reverse=True)
        return self._page(received, "recordings", [recording_resource(account, r, with_track=False) for r in found])

    async def list_recordings_of_call(self, request: Request, received: RestRequest) -> Response:
        call = self._find_call(request)
        if call is None:
            return _not_found(request)
        found = [recording for recording in call.recordings if recording.status != "deleted"]
        resources = [recording_resource(call.account_sid, recording, with_track=True) for recording in found]
        return self._page(received, "recordings", resources)

    async def delete_recording(self, request: Request, received: RestRequest) -> Response:  # noqa: ARG002 - all handlers take it
        sid = request.path_params["sid"]
        had_audio = self.media.files.pop(sid, None) is not None
        listed = [r for call in self.calls.values() for r in call.recordings if r.sid == sid and r.status != "deleted"]
        for recording in listed:
            recording.status = "deleted"
        return Response(status_code=204) if had_audio or listed else _not_found(request)

    async def annotate_call(self, request: Request, received: RestRequest) -> Response:
        call = self.calls.get(request.path_params["sid"])
        if call is None:
            return _not_found(request)
        call.annotations.append(received.form)
        return JSONResponse(annotation_resource(call, str(request.url)))

    def _find_call(self, request: Request) -> SimulatedCall | None:
        call = self.calls.get(request.path_params["sid"])
        return call if call is not None and call.account_sid == request.path_params["account"] else None

    def _page(self, received: RestRequest, key: str, resources: Sequence[Mapping[str, object]]) -> Response:
        query = dict(received.query)
        if unknown := set(query) - _FILTERS:
            return _error(501, 501, f"the simulated Twilio does not support {', '.join(sorted(unknown))}")
        size, page = int(query.get("PageSize", DEFAULT_PAGE_SIZE)), int(query.get("Page", 0))
        if page and "PageToken" not in query:
            return _error(400, 20007, "a page other than the first one requires a PageToken")
        is_last = (page + 1) * size >= len(resources)
        following = query | {"PageSize": str(size), "Page": str(page + 1), "PageToken": f"PA{page + 1}"}
        return JSONResponse(
            {
                key: resources[page * size : (page + 1) * size],
                "page": page,
                "page_size": size,
                "first_page_uri": f"{received.path}?PageSize={size}&Page=0",
                "next_page_uri": None if is_last else f"{received.path}?{urlencode(following)}",
                "previous_page_uri": None,
                "start": page * size,
                "end": min((page + 1) * size, len(resources)) - 1,
                "uri": received.path,
            }
        )


def _since(received: RestRequest, name: str) -> datetime:
    moment = datetime.fromisoformat(dict(received.query).get(name, "1970-01-01"))
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _not_found(request: Request) -> Response:
    return _error(404, 20404, f"The requested resource {request.url.path} was not found")


def _error(status: int, code: int, message: str) -> Response:
    more_info = f"https://www.twilio.com/docs/errors/{code}"
    return JSONResponse({"code": code, "message": message, "more_info": more_info, "status": status}, status)
