"""GET /try: people judge a recording of theirs. The browser sends the recording to /predict-stream."""

from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from amd_service.detection.bundled_calls import bundled_calls
from amd_service.detection.classifier.hub import DEMO
from amd_service.domain import AccessScope
from amd_service.web.authentication import with_scope
from amd_service.web.pages.rendering import HEADERS, templates_of
from amd_service.web.problems import Problem
from amd_service.web.state import runtime_of


@dataclass(frozen=True, slots=True)
class Sample:
    """A recorded call that comes with the service. `call`: the name of its folder."""

    name: str
    title: str
    call: str

    @property
    def file(self) -> Path:
        return bundled_calls() / self.call / "recording.wav"


SAMPLES = (
    Sample("human", "A person", "01-human-hello"),
    Sample("voicemail", "A voicemail", "07-voicemail-carrier"),
    Sample("late-voicemail", "A voicemail after 7 s of silence", "13-voicemail-after-seven-seconds"),
    Sample("silence", "Silence", "21-silence"),
)


async def show_try_it(request: Request) -> Response:
    """GET /try: the page."""
    runtime = runtime_of(request)
    detector = runtime.detector
    return templates_of(request).page(
        request,
        "try_it.html",
        policy=detector.policy,
        max_s=detector.max_audio_ms // 1000,
        max_bytes=runtime.settings.max_upload_bytes,
        demo_model=DEMO,
        samples=SAMPLES,
    )


async def send_sample(request: Request) -> Response:
    """GET /try/samples/{name}: the recording of a call that comes with the service."""
    name = request.path_params["name"]
    sample = next((sample for sample in SAMPLES if sample.name == name), None)
    if sample is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"no sample is named {name[:40]!r}")
    return FileResponse(sample.file, media_type="audio/wav", headers=HEADERS)


ROUTES = (
    Route("/try", with_scope(AccessScope.PREDICT, show_try_it), methods=["GET"]),
    Route("/try/samples/{name}", with_scope(AccessScope.PREDICT, send_sample), methods=["GET"]),
)
