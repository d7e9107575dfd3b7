"""One call through the whole service: placed, streamed, classified, hung up, and reported by callbacks."""

from secrets import token_hex

import httpx2
import pytest
from twilio.request_validator import RequestValidator

from amd_service.database.pool import Database
from amd_service.simulator.live_calls import read_stream
from amd_service.simulator.service_process import COMMAND
from amd_service.simulator.twilio.call_simulation import CallScenario, simulate_call
from amd_service.simulator.twilio.media_host import MediaFile
from amd_service.simulator.twilio.resources import SimulatedCall
from amd_service.simulator.twilio.streams import MediaStream, send_stream
from tests.end_to_end.test_live import audio_of, recording_of
from tests.support.inbox import until_folded_by_service
from tests.support.scene import Scene
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

VOICEMAIL = "08-voicemail-personal"


async def test_a_voicemail_is_hung_up_during_its_greeting(scene: Scene, database: Database) -> None:
    token, key = scene.account.auth_tokens[0].get_secret_value(), token_hex(16)
    settings = {"live": "true", "on_voicemail": "hang_up", "dial_prefixes": "+1500", "api_keys": key}
    async with (
        scene.run_service((*COMMAND, "serve"), threads=1, **settings) as service,
        httpx2.AsyncClient(trust_env=False, headers={"authorization": f"Bearer {key}"}) as client,
    ):
        await service.wait_until_alive()

        async def is_ready() -> bool:
            return (await client.get(f"{service.url}/ready/classifier")).status_code == 200

        await until(is_ready)

        async def open_stream(call: SimulatedCall) -> None:
            """Fetch the TwiML and open its stream, as Twilio does for an answered call."""
            url = (call.form_value("Url") or "").partition("#")[0]
            form = {"AccountSid": call.account_sid, "CallSid": call.sid, "CallStatus": "in-progress"}
            signed = {"x-twilio-signature": RequestValidator(token).compute_signature(url, form)}
            twiml = (await client.post(url, data=form, headers=signed)).text
            stream_url, parameters = read_stream(twiml)
            stream = MediaStream(call.account_sid, audio_of(VOICEMAIL), call_sid=call.sid, parameters=parameters)
            played = await send_stream(stream_url, stream, token=token)
            assert played.close_code == 1000

            async def is_hung_up() -> bool:
                return call.is_over

            await until(is_hung_up)

        async def simulate(call: SimulatedCall) -> None:
            scenario = CallScenario(
                media_file=MediaFile(recording_of(VOICEMAIL), content_type="audio/x-wav"),
                answered_by="machine_start",
                while_in_progress=open_stream,
            )
            deliveries = await simulate_call(scene.simulated_twilio.rest, call, scenario, token=token, client=client)
            assert {delivery.outcome for delivery in deliveries} == {"2xx"}

        scene.simulated_twilio.rest.on_created = simulate
        request = {"to": "+15005550100", "from": "+15005550006", "twilio_amd": True}
        answer = await client.post(f"{service.url}/api/calls", json=request)
        assert answer.status_code == 201, answer.text
        await scene.simulated_twilio.rest.wait_for_calls()
        await until_folded_by_service(database)

        async def row() -> dict[str, object]:
            found = await client.get(f"{service.url}{answer.headers['location']}")
            return dict(found.json())

        async def is_recording_done() -> bool:
            recordings = (await row())["recordings"]
            return isinstance(recordings, list) and {each["state"] for each in recordings} == {"done"}

        await until(is_recording_done)
        call = await row()
    assert (call["label"], call["reason"], call["verdict_source"]) == ("voicemail", "confident", "stream")
    assert (call["action"], call["action_state"], call["action_note"]) == ("hang_up", "done", None)
    assert (call["call_status"], call["twilio_answered_by"]) == ("completed", "machine_start")
    path = f"/Calls/{call['call_sid']}.json"
    updates = [request.form for request in scene.simulated_twilio.rest.requests if request.path.endswith(path)]
    assert updates == [[("Status", "completed")]]
