"""A stub of the service for tests of replay, and calls to replay."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from amd_service.domain import RecordingSid
from amd_service.errors import MediaNotYet
from amd_service.settings import Account, Settings
from amd_service.twilio.callbacks import parse_form
from amd_service.twilio.recordings import AudioRules, Recordings, http_client
from amd_service.twilio.signature import verify

AC = "AC" + "a" * 32
ACCOUNT = Account.model_validate({"account_sid": AC, "auth_tokens": ["token"]})
WHOLE = AudioRules(is_audio=lambda _prefix, _type: True, is_enough=lambda _prefix: False)
PUBLIC_URL = "https://amd.example.com"
JUDGED: dict[str, JsonValue] = {"analysis_state": "judged", "label": "human"}
STEREO = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x02\0" + bytes(100)


def write_call(
    folder: Path, expected: Mapping[str, JsonValue], *, media: bytes | None = STEREO, **serving: object
) -> None:
    folder.mkdir(parents=True)
    identity = [["CallSid", "{call_sid}"], ["AccountSid", "{account_sid}"]]
    recording = [*identity, ["RecordingSid", "{recording_sid}"], ["RecordingUrl", "{recording_url}"]]
    callbacks = [{"path": "/twilio/status", "form": identity}, {"path": "/twilio/recording", "form": recording}]
    (folder / "callbacks.jsonl").write_text("\n".join(map(json.dumps, callbacks)) + "\n")
    (folder / "expected.json").write_text(json.dumps(expected))
    if media is not None:
        (folder / "recording.wav").write_bytes(media)
    if serving:
        (folder / "media.json").write_text(json.dumps(serving))


@dataclass
class Service:
    """A stub of the service: verifies signatures, fetches the recording, and returns `human` for every call."""

    twilio_api_url: str
    api_key: str | None = None
    interim: dict[str, JsonValue] | None = None
    forms: list[dict[str, str]] = field(default_factory=list)
    rows: dict[str, dict[str, JsonValue]] = field(default_factory=dict)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/model-info", self.model_info),
                Route("/api/calls/{sid}", self.call),
                Route("/twilio/{route}", self.callback, methods=["POST"]),
            ]
        )

    def _has_access(self, request: Request) -> bool:
        return self.api_key is None or request.headers.get("authorization") == f"Bearer {self.api_key}"

    async def model_info(self, request: Request) -> Response:
        if not self._has_access(request):
            return Response(status_code=401)
        return JSONResponse({"twilio_api_url": self.twilio_api_url})

    async def call(self, request: Request) -> Response:
        if not self._has_access(request):
            return Response(status_code=401)
        row = self.rows.get(request.path_params["sid"])
        if self.interim is not None:
            row, self.interim = self.interim, None
        return Response(status_code=404) if row is None else JSONResponse(row)

    async def callback(self, request: Request) -> Response:
        form = parse_form(await request.body())
        verify({ACCOUNT.account_sid: ACCOUNT}, PUBLIC_URL, request.scope["raw_path"], b"", form, request.headers)
        assert "authorization" not in request.headers
        self.forms.append(dict(form))
        if request.path_params["route"] == "recording":
            fields = dict(form)
            self.rows[fields["CallSid"]] = await self._judge(RecordingSid(fields["RecordingSid"]))
        return Response(status_code=204)

    async def _judge(self, recording_sid: RecordingSid) -> dict[str, JsonValue]:
        settings = Settings(_env_file=None, twilio_api_url=self.twilio_api_url)
        async with http_client(settings) as client:
            recordings = Recordings(client, settings)
            for _attempt in range(3):
                try:
                    media = await recordings.fetch(ACCOUNT, recording_sid, prefer_dual=True, rules=WHOLE)
                except MediaNotYet:
                    continue
                return {"analysis_state": "judged", "label": "human", "confidence": len(media.data) / 1000}
        return {"analysis_state": "failed", "reason": "media_missing", "confidence": None}
