"""Logs and metrics. Logs contain no secrets and no full phone numbers. Importing this module configures nothing."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector

from amd_service import __version__
from amd_service.domain import ActionKind, ActionState, Failure, ModelIdentity, ShadowOutcome, Source, Verdict
from amd_service.telemetry.logs import configure_logging, get_logger, redact

__all__ = ["WEBHOOKS", "Metrics", "configure_logging", "get_logger", "redact"]

# Upper limits of the buckets of histograms, in seconds. Twilio waits for at most 15 s for the response to a callback.
_CALLBACK_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 7.5, 10, 12.5, 15)
# A live verdict comes after 1 to 5 s. The verdict on a recording comes after the end of the call.
_ANSWER_TO_VERDICT_BUCKETS = (0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 7.5, 10, 15, 30, 60, 120, 300, 900)
_STAGE_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

WEBHOOKS = ("status", "recording", "amd", "stream")


class Metrics:
    """The service's Prometheus metrics. Each instance has a separate registry.

    `campaigns`: campaigns that have their own value of the label `campaign` (AMD_CAMPAIGN_METRICS).

    docs/metrics.md is generated from the descriptions. Run `python -m tools.metrics_page` after each change.
    """

    def __init__(self, campaigns: Collection[str] = ()) -> None:
        self._campaigns = frozenset(campaigns)
        self.registry = CollectorRegistry()
        self._add_intake()
        self._add_inbox()
        self._add_queue()
        self._add_deliveries()
        self._add_calls_in_progress()
        self._add_background_work()
        self._add_classifier()
        self._add_process()

    def _add_intake(self) -> None:
        self.callbacks = self._counter(
            "amd_callbacks",
            "Requests of Twilio, by route (`status`, `recording`, `amd`, `stream`; `rest` for responses of Twilio's "
            "API) and outcome (`stored`, `stored_without_call`, `duplicate`, `answered` with TwiML, `malformed`, "
            "`failed_500` for a bug, and e.g. `refused_403` for a refusal with this HTTP status).",
            "route",
            "outcome",
        )
        self.callback_seconds = Histogram(
            "amd_callback_seconds",
            "Seconds from a request of Twilio to its response, by route. Twilio waits for at most 15 s.",
            ["route"],
            buckets=_CALLBACK_BUCKETS,
            registry=self.registry,
        )
        # If a time series began at its first event, `increase()` in Prometheus would not count that event.
        for route in WEBHOOKS:
            self.callbacks.labels(route, "failed_500")
            self.callback_seconds.labels(route)
        self.internal_errors = self._counter(
            "amd_internal_errors",
            "Responses with the HTTP status 500, by path. Each of them is a bug of this service.",
            "path",
        )
        self.unknown_values = self._counter(
            "amd_unknown_values", "Callback values that Twilio does not document, by parameter.", "parameter"
        )
        self.invalid_tags = self._counter(
            "amd_invalid_tags",
            "Requests of Twilio to a URL with an invalid campaign or tag, by route. The invalid value is ignored, and "
            "the callback is stored.",
            "route",
        )

    def _add_inbox(self) -> None:
        self.inbox_callbacks = self._gauge(
            "amd_inbox_callbacks",
            "Stored callbacks that are not yet folded into the row of their call, by state: `waiting`, and `failed` if "
            "an attempt has failed. Every process reports the same numbers.",
            "state",
        )
        self.inbox_oldest_s = self._gauge(
            "amd_inbox_oldest_seconds",
            "Seconds since the oldest callback in the state `waiting` was received; 0 without one. Every process "
            "reports the same number.",
        )

    def _add_queue(self) -> None:
        self.queue_depth = self._gauge(
            "amd_queue_depth",
            "Unfinished recordings in the database, by state: `queued`, `running`, and `again` for recordings that "
            "have a verdict and are judged again. Every process reports the same numbers.",
            "state",
        )
        self.queue_oldest_s = self._gauge(
            "amd_queue_oldest_seconds",
            "Seconds since the oldest due recording without a verdict became due. Every process reports the same "
            "number.",
        )
        self.stage_seconds = Histogram(
            "amd_stage_seconds",
            "Seconds per stage of processing a recording: `fetch` (download), `listen` (decoding and search for "
            "speech), `score` (the model), `judge` (listen and score), `settle` (storing the result). And of a "
            "delivery: `deliver` (the request), `settle_delivery` (storing its result); the same for `annotate`.",
            ["stage"],
            buckets=_STAGE_BUCKETS,
            registry=self.registry,
        )
        self.answer_to_verdict_seconds = Histogram(
            "amd_answer_to_verdict_seconds",
            "Seconds from the answer of a call to its verdict, by source: `stream` (live) or `recording`. Calls whose "
            "time of answer is not known, and second verdicts, are not counted.",
            ["source", "campaign"],
            buckets=_ANSWER_TO_VERDICT_BUCKETS,
            registry=self.registry,
        )
        self.verdicts = self._counter(
            "amd_verdicts", "Verdicts on recordings and streams, by label and reason.", "label", "reason", "campaign"
        )
        self.retries = self._counter("amd_retries", "Recordings scheduled for a retry, by error.", "error")
        self.given_up = self._counter(
            "amd_buried",
            "Recordings that were given up, by reason. A recording that has an earlier verdict keeps it.",
            "reason",
        )
        for failure in Failure:
            self.given_up.labels(failure)

    def _add_deliveries(self) -> None:
        self.delivery_depth = self._gauge(
            "amd_delivery_queue_depth",
            "Events for backends in the database, by state: `queued`, `running`, `dead` (given up). Every process "
            "reports the same numbers.",
            "state",
        )
        self.delivery_oldest_s = self._gauge(
            "amd_delivery_queue_oldest_seconds",
            "Seconds since the oldest undelivered event was written; 0 without one. Events that were given up are not "
            "counted. Every process reports the same number.",
        )
        self.deliveries = self._counter(
            "amd_deliveries",
            "Requests to backends, by outcome: `delivered`, `failed` (a retry follows), `dead` (given up).",
            "outcome",
        )
        for outcome in ("delivered", "failed", "dead"):
            self.deliveries.labels(outcome)
        self.annotations = self._counter(
            "amd_annotations",
            "Requests to Twilio that annotate reviewed calls, by outcome: `done`, `failed` (a retry follows), `dead` "
            "(given up).",
            "outcome",
        )
        for outcome in ("done", "failed", "dead"):
            self.annotations.labels(outcome)

    def _add_calls_in_progress(self) -> None:
        self.actions = self._counter(
            "amd_actions",
            "Actions after a verdict, by kind (`hang_up`, `redirect`) and outcome (`done`, `refused`, `failed`, `sent` "
            "if Twilio's response was lost).",
            "kind",
            "outcome",
            "campaign",
        )
        for kind in ActionKind:
            for state in (ActionState.DONE, ActionState.REFUSED, ActionState.FAILED, ActionState.SENT):
                self.actions.labels(kind, state, "")
        self.calls_started = self._counter(
            "amd_calls_started",
            "Call requests by outcome: `placed`, `replayed` (the Idempotency-Key was used before), `not_allowed` (by "
            "the settings), `too_many` (limit per minute), `refused` (by Twilio, or invalid), `unavailable` (Twilio or "
            "the database), `unknown` (Twilio's response was lost), `bug`.",
            "outcome",
            "campaign",
        )
        self.live_streams = self._gauge("amd_live_streams", "Live streams in progress.")
        self.streams = self._counter(
            "amd_streams",
            "Live streams that ended or were refused, by outcome. See docs/live.md.",
            "outcome",
        )

    def _add_background_work(self) -> None:
        self.forgotten = self._counter(
            "amd_forgotten",
            "Data deleted or made unreadable by retention, by kind: `recording` (Twilio's copy), `refused` (Twilio "
            "refused to delete a copy), `callback` (parameters), `call_request` and `delivery` (old rows), `numbers` "
            "(rows).",
            "what",
        )
        self.reconciled = self._counter(
            "amd_reconciled",
            "Found by reconciliation, by kind: new `call`, new `recording`, `change` of a row.",
            "what",
        )
        for what in ("call", "recording", "change"):
            self.reconciled.labels(what)
        self.loop_errors = self._counter(
            "amd_loop_errors", "Errors after which a background loop continued, by loop.", "loop"
        )
        self.lock_timeouts = self._counter(
            "amd_lock_timeouts", "Transactions that waited too long for a lock of another session."
        )
        self.postgres_restarts = self._counter(
            "amd_postgres_restarts", "Restarts of the embedded Postgres after it had died."
        )

    def _add_classifier(self) -> None:
        self.classifier_ready = self._gauge("amd_classifier_ready", "1 if the model is loaded and warmed up.")
        self.model = self._gauge(
            "amd_model_info",
            "1 for the loaded model. No value until the model is loaded.",
            "model",
            "revision",
            "engine",
        )
        self.model_proof = self._gauge(
            "amd_model_proof",
            "1 for the current result of the check with golden clips (recordings with known labels).",
            "outcome",
        )
        self.shadow_ready = self._gauge(
            "amd_shadow_ready",
            "1 if the shadow model is ready. Always 0 without AMD_SHADOW_MODEL.",
        )
        self.shadow_verdicts = self._counter(
            "amd_shadow_verdicts",
            "Judged recordings for the shadow model, by outcome: `stored`, `known` (stored before), `busy` (skipped: "
            "too many recordings waited for the shadow model), `not_ready` (skipped: the model is loading or cannot be "
            "used), `failed`, `shutdown` (skipped: the process ended).",
            "outcome",
        )
        for shadow_outcome in ShadowOutcome:
            self.shadow_verdicts.labels(shadow_outcome)
        self.inference_queue = self._gauge("amd_inference_queue", "Windows waiting for the model.")
        self.inference_restarts = self._counter("amd_inference_restarts", "Crashes of the inference thread.")

    def _add_process(self) -> None:
        build = Info("amd_build", "Version of the running service.", registry=self.registry)
        build.info({"version": __version__})
        # CPU, memory, start time and open files of the process. Only on Linux.
        ProcessCollector(registry=self.registry)

    def _counter(self, name: str, description: str, *labels: str) -> Counter:
        return Counter(name, description, labels, registry=self.registry)

    def _gauge(self, name: str, description: str, *labels: str) -> Gauge:
        return Gauge(name, description, labels, registry=self.registry)

    def set_model(self, model: ModelIdentity | None) -> None:
        """Set the labels of `amd_model_info`. None: no model is loaded."""
        self.model.clear()
        if model is not None:
            self.model.labels(model.id, model.revision or "", model.engine).set(1)

    def campaign_label(self, campaign: str | None) -> str:
        """Return the value of the label `campaign`.

        Only the campaigns of AMD_CAMPAIGN_METRICS have a value of their own. The names come from URLs, so otherwise the
        number of time series would have no limit. Without the setting, and for a call without a campaign, the value is
        empty. For Prometheus an empty label is the same as no label.
        """
        if campaign is None or not self._campaigns:
            return ""
        return campaign if campaign in self._campaigns else "other"

    def observe_verdict(
        self, verdict: Verdict, source: Source, *, campaign: str | None, answer_to_verdict_s: float | None
    ) -> None:
        """Count a stored verdict. `answer_to_verdict_s`: None if the seconds from the answer are not known."""
        group = self.campaign_label(campaign)
        self.verdicts.labels(verdict.label, verdict.reason, group).inc()
        if answer_to_verdict_s is not None:
            self.answer_to_verdict_seconds.labels(source, group).observe(answer_to_verdict_s)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure the seconds of a pipeline stage, also if the stage raises."""
        started = perf_counter()
        try:
            yield
        finally:
            self.stage_seconds.labels(name).observe(perf_counter() - started)
