"""Spans as the service uses them. While traces are off, no library is imported."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Literal

from amd_service.errors import ConfigurationError

Kind = Literal["internal", "server", "consumer", "client"]
Attribute = str | int | float | bool | None


class Span:
    """A running span. This class records nothing: traces are off.

    `traceparent`: the span's context in the format of W3C Trace Context, or None while traces are off. A process that
    continues the work passes this text to `Traces.span`.
    """

    traceparent: str | None = None

    def set(self, **attributes: Attribute) -> None:
        """Add attributes. An attribute that is None is left out."""


class Traces:
    """Makes the spans of a process. This class makes none: traces are off."""

    @contextmanager
    def span(
        self,
        name: str,  # noqa: ARG002 - this class makes no span
        kind: Kind = "internal",  # noqa: ARG002
        *,
        parent: str | None = None,  # noqa: ARG002
        **attributes: Attribute,  # noqa: ARG002
    ) -> Iterator[Span]:
        """Run the block in a span, as a child of the span around it.

        `parent`: traceparent of a span in another process or task. The new span belongs to the same trace and links to
        that span. An error of the block marks the span, and goes on.
        """
        yield Span()


@asynccontextmanager
async def open_traces(endpoint: str | None) -> AsyncIterator[Traces]:
    """Open the export of spans to `endpoint` (AMD_OTLP_ENDPOINT). None: traces are off.

    Raises ConfigurationError if the extra `otel` is not installed.
    """
    if endpoint is None:
        yield Traces()
        return
    try:
        from amd_service.tracing.otlp import OtlpTraces
    except ImportError as error:
        raise ConfigurationError(
            f"AMD_OTLP_ENDPOINT is set, but a library is missing ({error.name}): pip install 'amd-service[otel]'"
        ) from error
    traces = OtlpTraces(endpoint)
    try:
        yield traces
    finally:
        # The last export is a request, which must not stop the event loop.
        await asyncio.to_thread(traces.close)
