"""One trace from a callback to the delivery of the verdict, over two processes, in a real OTLP receiver."""

import pytest

from amd_service.simulator.service_process import COMMAND
from amd_service.simulator.twilio.media_host import MediaFile
from tests.support.otlp import attributes, otlp_receiver
from tests.support.scene import HUMAN, Scene, until_state
from tests.support.waiting import until
from tests.support.webhook_receiver import SECRET, webhook_receiver

pytestmark = [pytest.mark.anyio, pytest.mark.otel, pytest.mark.slow, pytest.mark.timeout(300)]

WEB = (*COMMAND, "serve", "--no-worker", "--no-model")
WORKER = (*COMMAND, "worker")


async def test_a_trace_leads_from_the_callback_to_the_delivery_by_another_process(scene: Scene) -> None:
    with otlp_receiver() as received:
        async with webhook_receiver() as backend:
            settings = {
                "otlp_endpoint": received.url,
                "delivery_url": backend.url,
                "delivery_secret": SECRET,
                "delivery_networks": "127.0.0.0/8",
            }
            async with scene.run_service(WEB, **settings) as web:
                await web.wait_until_alive()
                call_sid = await scene.report_ended_call(web, MediaFile(HUMAN))
                async with scene.run_service(WORKER, **settings):
                    await until_state(web, call_sid, "judged")
                    await until(lambda: bool(backend.accepted))
        # Both processes have ended, so they have exported all spans.
    (callback,), (judge,) = received.named("recording callback"), received.named("judge recording")
    (fetch,), (classify,) = received.named("fetch"), received.named("classify")
    assert {span.trace_id for span in received.spans} == {callback.trace_id}
    assert judge.parent_span_id == callback.span_id
    assert [link.span_id for link in judge.links] == [callback.span_id]
    (deliver,) = received.named("deliver event")
    assert (deliver.parent_span_id, deliver.status.code) == (callback.span_id, deliver.status.STATUS_CODE_UNSET)
    assert fetch.parent_span_id == classify.parent_span_id == judge.span_id
    assert callback.end_time_unix_nano <= judge.end_time_unix_nano
    assert attributes(callback)["amd.call_sid"] == attributes(judge)["amd.call_sid"] == call_sid
    assert attributes(judge)["amd.label"] == "human"
    assert attributes(judge)["amd.attempt"] == 1
