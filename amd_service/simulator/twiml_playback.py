"""Plays the TwiML of an answered call as far as the simulation supports it: starts its Media Stream."""

from dataclasses import dataclass
from urllib.parse import urlencode, urljoin, urlsplit
from xml.etree import ElementTree

import httpx2
from websockets.exceptions import WebSocketException

from amd_service.domain import CallStatus
from amd_service.settings import is_loopback
from amd_service.simulator.journal import CURE, Journal, explain
from amd_service.simulator.live_calls import find_stream
from amd_service.simulator.twilio.resources import SimulatedCall
from amd_service.simulator.twilio.signed_callbacks import CallbackOutcome, Pairs, sign
from amd_service.simulator.twilio.streams import FRAME_MS, MediaStream, send_stream

MAX_REDIRECTS = 5


@dataclass(frozen=True, slots=True)
class TwimlPlayback:
    """Plays TwiML. `token`: auth token of the call's account. `pace`: how many times faster than real time."""

    client: httpx2.AsyncClient
    journal: Journal
    token: str
    pace: float

    async def play(self, call: SimulatedCall, audio: bytes | None) -> None:
        """Fetch the call's TwiML, and stream `audio` if the TwiML starts a stream. Returns when the stream is closed.

        `audio`: the called party's audio, μ-law at 8 kHz; None if it cannot be streamed. The simulation follows a
        `<Redirect>` that is the first verb, and ignores all other verbs.
        """
        twiml = call.form_value("Twiml") or await self._fetch(call, call.form_value("Url"), call.form_value("Method"))
        for _ in range(MAX_REDIRECTS):
            redirect = first_redirect(twiml)
            if redirect is None:
                break
            url = urljoin(call.form_value("Url") or "", redirect.text or "")
            twiml = await self._fetch(call, url.strip(), redirect.get("method"))
        stream = find_stream(twiml)
        if stream is None:
            return
        if audio is None:
            self.journal.add(call.sid, "stream", "not sent: the recording has no separate audio of the called party")
            return
        await self._stream(call, audio, *stream)

    async def _fetch(self, call: SimulatedCall, url: str | None, method: str | None) -> str:
        """Request TwiML as Twilio does. Returns an empty text if the request fails."""
        if not url:
            return ""
        address, twiml = url.partition("#")[0], ""
        try:
            response = await self._request(call, address, is_get=(method or "").upper() == "GET")
        except (httpx2.TransportError, httpx2.InvalidURL) as error:
            outcome = CallbackOutcome(None, type(error).__name__, 1)
        else:
            outcome = CallbackOutcome(response.status_code, f"{response.status_code // 100}xx", 1)
            twiml = response.text if outcome.outcome == "2xx" else ""
        result = explain(address, outcome, cure="use a TwiML URL on this machine; the call goes on without TwiML")
        self.journal.add(call.sid, "twiml", f"{address}  {result}", status=outcome.status)
        return twiml

    async def _request(self, call: SimulatedCall, address: str, *, is_get: bool) -> httpx2.Response:
        form: Pairs = [
            ("AccountSid", call.account_sid),
            ("ApiVersion", "2010-04-01"),
            ("CallSid", call.sid),
            ("CallStatus", CallStatus.IN_PROGRESS),
            ("Direction", call.direction),
            ("From", call.from_number),
            ("To", call.to_number),
        ]
        if is_get:
            address += ("&" if urlsplit(address).query else "?") + urlencode(form)
            return await self.client.get(address, headers=sign(address, [], self.token))
        return await self.client.post(address, content=urlencode(form), headers=sign(address, form, self.token))

    async def _stream(self, call: SimulatedCall, audio: bytes, url: str, parameters: dict[str, str]) -> None:
        if not is_loopback(urlsplit(url).hostname or ""):
            self.journal.add(call.sid, "stream", f"{url}  not sent, because the host is not loopback: {CURE}")
            return
        stream = MediaStream(call.account_sid, audio, call.sid, pace=self.pace, parameters=parameters)
        try:
            result = await send_stream(url, stream, token=self.token)
        except (OSError, WebSocketException) as error:
            self.journal.add(call.sid, "stream", f"{url}  {error or type(error).__name__}")
            return
        seconds = result.sent * FRAME_MS / 1000
        end = f"refused with {result.refused}" if result.refused else f"closed with {result.close_code}"
        self.journal.add(call.sid, "stream", f"{url}  {seconds:.1f} s of audio, {end}", audio_seconds=seconds)


def first_redirect(twiml: str) -> ElementTree.Element | None:
    """Return the `<Redirect>` that is the first verb of the TwiML; None if the first verb is another one."""
    try:
        root = ElementTree.fromstring(twiml)  # noqa: S314 - the user's own TwiML
    except ElementTree.ParseError:
        return None
    return root[0] if len(root) and root[0].tag == "Redirect" else None
