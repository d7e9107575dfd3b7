"""Errors that the service raises deliberately.

    AmdError
    ├── ConfigurationError            invalid configuration; the message names the cure
    ├── InvalidCallback               a webhook request that is not a valid Twilio callback
    │   ├── InvalidSignature
    │   └── MalformedCallback
    ├── Retryable                     a later attempt may succeed
    │   ├── MediaNotYet
    │   │   └── MediaIncomplete
    │   └── Outage                    a dependency of all recordings is unavailable
    │       ├── DatabaseUnavailable
    │       │   ├── DatabaseLocked    another database session holds a lock
    │       │   └── DatabaseMisconfigured   waiting does not help: the configuration must change
    │       ├── TwilioUnavailable
    │       │   └── TooManyRequests
    │       ├── CredentialsMissing
    │       └── ClassifierUnavailable
    │           └── QueueFull
    ├── Permanent                     a retry cannot help; `failure` is stored
    │   ├── Undecodable
    │   ├── MediaRefused
    │   └── ModelFailed
    ├── RequestRefused                Twilio or this service refused a REST request; nothing was done
    │   ├── CredentialsRefused        Twilio refuses every request with these credentials
    │   ├── NotAllowed                the settings do not allow the request
    │   ├── IdempotencyKeyReused      the key belongs to another request, or the account's secret has changed
    │   ├── IdempotencyKeyInUse       a request with the key is in progress, or its outcome is unknown
    │   └── TooManyCalls              the limit of calls per minute is reached
    ├── OutcomeUnknown                Twilio may have carried out a REST request; the request is never repeated
    ├── DeliveryFailed                a backend did not accept an event; a later request may succeed
    │   └── TargetRefused             the address of the backend is not allowed
    ├── DeliveryRefused               a backend wants no further events
    ├── InvalidFilter                 a filter of calls has a value that cannot be read
    ├── ViewNameTaken                 another saved view has the name
    ├── DatasetUnusable               a folder of labelled recordings cannot be read or built
    ├── NothingToCompare              no runs of a shadow model are stored
    └── ModelUnusable                 the model cannot be loaded or must not serve

Any other exception in the worker is a bug: the worker retries a few times and logs the traceback.
"""

from amd_service.domain import Failure


class AmdError(Exception):
    """Base class of all deliberate errors."""


class ConfigurationError(AmdError):
    """A setting, file or environment is invalid. The message says what to change."""


class InvalidCallback(AmdError):
    """A webhook request is not a valid Twilio callback."""


class InvalidSignature(InvalidCallback):
    """A request, handshake or stream has no valid Twilio signature or key."""


class VerificationNotConfigured(InvalidSignature):
    """The settings lack what the check of a signature needs. The message can be sent to the client: it has no value."""


class MalformedCallback(InvalidCallback):
    """A required field of a callback, resource or message is missing or malformed."""


class Retryable(AmdError):
    """A later attempt may succeed.

    `failure`: reason that is stored with the recording after the last attempt. `retry_after_s`: minimum seconds before
    the next attempt, None for no minimum.
    """

    failure = Failure.GAVE_UP

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Outage(Retryable):
    """A dependency of all recordings is unavailable.

    An outage does not count as an attempt until AMD_JOB_OUTAGE_S seconds after the recording was enqueued.
    """


class DatabaseUnavailable(Outage):
    """Postgres is unreachable, is shutting down, or closed the connection."""


class DatabaseLocked(DatabaseUnavailable):
    """Another database session holds a lock for longer than this service waits. Other rows may not be locked."""


class DatabaseMisconfigured(DatabaseUnavailable):
    """Postgres refuses the service until the configuration or a privilege changes. The message names the change.

    A process that starts refuses to start. A running process treats the error as an outage, because Twilio then retries
    and no callback is lost. `reason`: the cause in few words, without names of hosts and roles, for public responses.
    """

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class MediaNotYet(Retryable):
    """Twilio responded with 404 for a recording. This response is normal for some seconds after the callback."""

    failure = Failure.MEDIA_MISSING


class MediaIncomplete(MediaNotYet):
    """Twilio responded with 200, but the body cannot be the whole recording, for example because it is empty."""

    failure = Failure.UNDECODABLE


class TwilioUnavailable(Outage):
    """A request to Twilio timed out, failed to connect, or got a 429 or 5xx."""


class TooManyRequests(TwilioUnavailable):
    """Twilio responded with 429, so further requests will also fail for some time."""


class CredentialsMissing(Outage):
    """This process has no credentials for an account whose callbacks were accepted earlier."""

    failure = Failure.UNAUTHORISED


class ClassifierUnavailable(Outage):
    """The model is not loaded or not warmed up."""


class QueueFull(ClassifierUnavailable):
    """The inference queue is full."""


class Permanent(AmdError):
    """A retry cannot help. `failure`: reason that is stored with the recording."""

    failure: Failure

    def __init__(self, message: str, failure: Failure) -> None:
        super().__init__(message)
        self.failure = failure


class Undecodable(Permanent):
    """The bytes are not audio in a supported format."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Failure.UNDECODABLE)


class MediaRefused(Permanent):
    """Twilio does not deliver the recording.

    The credentials are wrong, or the recording is deleted, encrypted or in external storage.
    """


class ModelFailed(Permanent):
    """The model's output is not a probability."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Failure.MODEL_FAILED)


class RequestRefused(AmdError):
    """A REST request was refused and nothing was done. `code`: Twilio's error code, or None."""

    def __init__(self, message: str, *, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class CredentialsRefused(RequestRefused):
    """Twilio responded with 401 or 403. The message names the settings to check."""


class NotAllowed(RequestRefused):
    """The settings do not allow the request. The message names the setting."""


class IdempotencyKeyReused(RequestRefused):
    """The idempotency key was used for another request, or before the account's secret changed."""


class IdempotencyKeyInUse(RequestRefused):
    """A call request with this idempotency key is in progress, or its outcome is unknown."""


class TooManyCalls(RequestRefused):
    """The limit of calls per minute is reached. The next call may be placed after `retry_after_s` seconds."""

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class OutcomeUnknown(AmdError):
    """Twilio may have carried out a REST request, but the response was lost.

    The request is repeated only if a second one changes nothing.
    """


class DeliveryFailed(AmdError):
    """A backend did not accept an event. A later request may succeed.

    `status`: HTTP status of the response, None without a response. `retry_after_s`: minimum seconds before the next
    request, None for no minimum.
    """

    def __init__(self, message: str, *, status: int | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s


class TargetRefused(DeliveryFailed):
    """The settings do not allow deliveries to the address of the backend. The name may get another address later."""


class DeliveryRefused(AmdError):
    """A backend wants no further events. `status`: HTTP status of its response."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class ModelUnusable(AmdError):
    """The model cannot be loaded, or must not serve. The message says what to do."""


class NothingToCompare(AmdError):
    """No runs of a shadow model are stored. The message says how to get some."""


class DatasetUnusable(AmdError):
    """A folder of labelled recordings cannot be read or built. The message names the files and the cure."""


class InvalidFilter(AmdError):
    """A filter of calls has a value that cannot be read. The message names the cure."""


class InvalidThreshold(AmdError):
    """A minimum confidence decides nothing, or no confidence reaches it. The message names the cure."""


class ViewNameTaken(AmdError):
    """Another saved view has the name. The message names the cure."""
