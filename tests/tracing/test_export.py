"""Spans are exported to a real OTLP receiver, and cost nothing while traces are off."""

import subprocess
import sys

import pytest

from amd_service import __version__
from amd_service.errors import ConfigurationError
from amd_service.tracing.spans import open_traces
from tests.support.otlp import attributes, otlp_receiver

pytestmark = [pytest.mark.anyio, pytest.mark.otel]


async def test_a_span_in_a_later_process_belongs_to_the_trace_and_links_to_its_cause() -> None:
    with otlp_receiver() as received:
        async with open_traces(received.url) as traces:
            with traces.span("callback", "server", call_sid="CA1", recording_sid=None) as cause:
                pass
        async with open_traces(received.url) as traces:
            with traces.span("judge", "consumer", parent=cause.traceparent), traces.span("fetch"):
                pass
    (callback,), (judge,), (fetch,) = (received.named(name) for name in ("callback", "judge", "fetch"))
    assert callback.trace_id == judge.trace_id == fetch.trace_id
    assert (judge.parent_span_id, fetch.parent_span_id) == (callback.span_id, judge.span_id)
    assert [(link.trace_id, link.span_id) for link in judge.links] == [(callback.trace_id, callback.span_id)]
    assert (callback.kind, judge.kind) == (callback.SPAN_KIND_SERVER, callback.SPAN_KIND_CONSUMER)
    assert attributes(callback) == {"amd.call_sid": "CA1"}
    assert set(received.paths) == {"/v1/traces"}
    assert received.resources[0]["service.name"] == "amd-service"
    assert received.resources[0]["service.version"] == __version__


async def test_an_error_marks_the_span_without_its_message() -> None:
    with otlp_receiver() as received:
        async with open_traces(received.url) as traces:
            with pytest.raises(ValueError, match="secret"), traces.span("judge"):
                raise ValueError("a secret")
    (span,) = received.spans
    assert span.status.code == span.status.STATUS_CODE_ERROR
    assert attributes(span) == {"error.type": "ValueError"}
    assert b"secret" not in span.SerializeToString()


async def test_a_collector_that_is_down_loses_spans_and_nothing_else() -> None:
    async with open_traces("http://127.0.0.1:1") as traces:
        with traces.span("judge") as span:
            assert span.traceparent is not None


async def test_traces_are_off_without_an_endpoint() -> None:
    async with open_traces(None) as traces:
        with traces.span("callback", "server", call_sid="CA1") as span:
            span.set(label="human")
            assert span.traceparent is None


def test_opentelemetry_is_not_imported_while_traces_are_off() -> None:
    # tools/check_fences.py allows the import only in amd_service/tracing/otlp.py.
    script = "import sys, amd_service.tracing.spans; print('opentelemetry' in sys.modules)"
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert printed == "False\n"


async def test_a_missing_extra_is_an_error_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "amd_service.tracing.otlp", None)
    with pytest.raises(ConfigurationError, match=r"AMD_OTLP_ENDPOINT is set.*pip install 'amd-service\[otel\]'"):
        async with open_traces("http://127.0.0.1:1"):
            pass
