"""Spans that the OpenTelemetry SDK exports by OTLP. Imported only while traces are on."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from amd_service import __version__
from amd_service.tracing.spans import Attribute, Kind, Span, Traces

# Seconds for one request to the collector. A shutdown of the process waits for the last request.
EXPORT_TIMEOUT_S = 3.0

_KINDS: Mapping[Kind, trace.SpanKind] = {
    "internal": trace.SpanKind.INTERNAL,
    "server": trace.SpanKind.SERVER,
    "consumer": trace.SpanKind.CONSUMER,
    "client": trace.SpanKind.CLIENT,
}


class OtlpSpan(Span):
    """A span of the SDK."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier, trace.set_span_in_context(span))
        self.traceparent = carrier.get("traceparent")

    def set(self, **attributes: Attribute) -> None:
        """Add attributes. An attribute that is None is left out."""
        self._span.set_attributes(_named(attributes))


class OtlpTraces(Traces):
    """Makes spans and exports them in batches, from a thread of the SDK.

    `endpoint`: base URL of the collector; `/v1/traces` is added. The variables OTEL_* of the SDK apply too, for example
    OTEL_EXPORTER_OTLP_HEADERS, OTEL_RESOURCE_ATTRIBUTES and OTEL_TRACES_SAMPLER.
    """

    def __init__(self, endpoint: str) -> None:
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_TIMEOUT_S)
        resource = Resource.create({"service.name": "amd-service", "service.version": __version__})
        # The provider belongs to this object, not to the whole process, so no library adds spans of its own.
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("amd_service", __version__)

    @contextmanager
    def span(
        self, name: str, kind: Kind = "internal", *, parent: str | None = None, **attributes: Attribute
    ) -> Iterator[Span]:
        """Run the block in a span; see Traces.span."""
        options: dict[str, Any] = {"kind": _KINDS[kind], "attributes": _named(attributes)}
        if parent is not None:
            context = TraceContextTextMapPropagator().extract({"traceparent": parent})
            options |= {"context": context, "links": [trace.Link(trace.get_current_span(context).get_span_context())]}
        # The SDK would record the message of an error, which can contain a phone number or a URL with a password.
        with self._tracer.start_as_current_span(
            name, record_exception=False, set_status_on_exception=False, **options
        ) as span:
            try:
                yield OtlpSpan(span)
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(trace.StatusCode.ERROR, type(error).__name__)
                raise

    def close(self) -> None:
        """Export the remaining spans and stop the thread."""
        self._provider.shutdown()


def _named(attributes: Mapping[str, Attribute]) -> dict[str, str | int | float | bool]:
    """Return the attributes with the prefix of this service. `label` becomes `amd.label`."""
    return {f"amd.{name}": value for name, value in attributes.items() if value is not None}
