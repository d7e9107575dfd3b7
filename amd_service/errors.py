"""Every error the service raises on purpose.

    AmdError
    ├── ConfigurationError          what was configured cannot work; the message names the cure
    ├── CallbackRefused             a request to a webhook that is not a valid Twilio callback
    │   ├── SignatureRefused
    │   └── MalformedCallback
    ├── Retryable                   the same work may succeed later
    │   ├── MediaNotYet
    │   └── Outage                  something we need is away; says nothing about this recording
    │       ├── DatabaseUnavailable
    │       ├── TwilioUnavailable
    │       │   └── TooManyRequests
    │       ├── CredentialsMissing
    │       └── ClassifierUnavailable
    │           └── QueueFull
    ├── Permanent                   a retry cannot help; carries the reason that is written on the row
    │   ├── Undecodable
    │   ├── MediaRefused
    │   └── ModelFailed
    ├── RequestRefused              Twilio, or we ourselves, will not do what a REST request asked; nothing was done
    │   ├── CredentialsRefused      whatever else is asked with these credentials will be refused as well
    │   ├── NotAllowed              the deployment's settings do not allow it
    │   ├── KeyReused               another request, or another secret of the account, had its idempotency key
    │   ├── KeyInUse                a request with its idempotency key is under way, or its outcome is not known
    │   └── TooManyCalls            more calls in a minute than the deployment allows
    ├── OutcomeUnknown              whether Twilio did what a REST request asked is not known: it is not asked twice
    └── ModelUnusable               the model cannot be loaded or must not serve

Anything else that reaches the worker is a bug: retried a few times, logged with its traceback.
"""

from amd_service.domain import Failure


class AmdError(Exception):
    """Base of all deliberate errors."""


class ConfigurationError(AmdError):
    """A setting, file or environment that cannot work. The message says what to change."""


class CallbackRefused(AmdError):
    """A webhook request that is not accepted."""


class SignatureRefused(CallbackRefused):
    """The request is not provably from Twilio."""


class MalformedCallback(CallbackRefused):
    """The request is signed, but a field every callback needs is missing or ill-formed."""


class Retryable(AmdError):
    """The same work may succeed later.

    `failure` is the reason written on the row once the attempts are used up;
    `retry_after_s` is the delay the other side asked for, if it did.
    """

    failure = Failure.GAVE_UP

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Outage(Retryable):
    """Something we need is away for everybody. Costs a recording no attempt for as long as AMD_JOB_OUTAGE_S says."""


class DatabaseUnavailable(Outage):
    """Postgres cannot be reached, is shutting down, or closed the connection."""


class MediaNotYet(Retryable):
    """Twilio answers 404 for a recording; right after the callback that is normal for a while."""

    failure = Failure.MEDIA_MISSING


class TwilioUnavailable(Outage):
    """Timeout, connection error, 429 or 5xx from Twilio."""


class TooManyRequests(TwilioUnavailable):
    """429 from Twilio: it wants to be left alone for a while, whatever would be asked for."""


class CredentialsMissing(Outage):
    """This process has no credentials for an account whose callbacks were accepted before."""

    failure = Failure.UNAUTHORISED


class ClassifierUnavailable(Outage):
    """No model is loaded and warm at the moment."""


class QueueFull(ClassifierUnavailable):
    """The inference queue is at its bound."""


class Permanent(AmdError):
    """A retry cannot help. `failure` is written on the row as the reason."""

    failure: Failure

    def __init__(self, message: str, failure: Failure) -> None:
        super().__init__(message)
        self.failure = failure


class Undecodable(Permanent):
    """The bytes are not audio we can read."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Failure.UNDECODABLE)


class MediaRefused(Permanent):
    """Twilio will not give us the recording: credentials, deletion, encryption, external storage."""


class ModelFailed(Permanent):
    """The model ran and gave something that is not a probability."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Failure.MODEL_FAILED)


class RequestRefused(AmdError):
    """A REST request that was refused: nothing was done. `code`: Twilio's error code, None where it gave none."""

    def __init__(self, message: str, *, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class CredentialsRefused(RequestRefused):
    """401 or 403 from Twilio. The message names the settings to check."""


class NotAllowed(RequestRefused):
    """The deployment's settings do not allow it. The message names the setting."""


class KeyReused(RequestRefused):
    """A call was placed with the idempotency key, for another request or before the account's secret changed."""


class KeyInUse(RequestRefused):
    """A request with this idempotency key is under way, or whether it was carried out is not known."""


class TooManyCalls(RequestRefused):
    """As many calls as the deployment allows were placed in the last minute; there is room in `retry_after_s`."""

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class OutcomeUnknown(AmdError):
    """A REST request that changes something was sent and its answer was lost. Never repeated by itself."""


class ModelUnusable(AmdError):
    """The model cannot be loaded, or must not serve. The message says what to do."""
