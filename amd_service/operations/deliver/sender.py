"""Signs an event and posts it to a backend (https://www.standardwebhooks.com)."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import httpx2
from standardwebhooks import Webhook

from amd_service import __version__
from amd_service.domain import DeliveryJob, event_id
from amd_service.errors import DeliveryFailed, DeliveryRefused
from amd_service.operations.deliver.targets import CheckedTransport, Resolve, resolve
from amd_service.settings import Network, Settings
from amd_service.twilio.retry_after import retry_after_s

# Bytes of a response that are read, so that its connection can be used again. Their content does not matter.
MOST_RESPONSE_BYTES = 64 * 1024
# Maximum seconds for reading them.
BODY_TIMEOUT_S = 1.0


class Sender:
    """Posts events to one backend.

    `secrets`: an event is signed with each of them. `timeout_s`: maximum seconds for a whole request.
    """

    def __init__(self, client: httpx2.AsyncClient, *, secrets: Sequence[str], timeout_s: float) -> None:
        self._client = client
        self._signers = [Webhook(secret) for secret in secrets]
        self._timeout_s = timeout_s

    async def send(self, job: DeliveryJob) -> int:
        """Post an event and return the status of the response, which is 2xx.

        Raises DeliveryFailed if a later request may succeed, and DeliveryRefused for 410. A redirect is a failure: it
        is not followed, because the target of a redirect is not in the settings. The body of the response does not
        matter, even if it never ends.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                request = self._client.build_request(
                    "POST", job.url, content=job.payload.encode(), headers=self.headers(job)
                )
                response = await self._client.send(request, stream=True)
        except TimeoutError as error:
            raise DeliveryFailed(f"no response within {self._timeout_s:g} s") from error
        except httpx2.HTTPError as error:
            raise DeliveryFailed(f"{type(error).__name__}: {error}") from error
        try:
            _raise_for_failure(response)
            return response.status_code
        finally:
            await _finish(response)

    def headers(self, job: DeliveryJob) -> dict[str, str]:
        """Return the headers of a request, with a signature of the present time by each secret."""
        identifier, now = event_id(job.call_sid, job.sequence), datetime.now(UTC)
        signatures = [signer.sign(identifier, now, job.payload) for signer in self._signers]
        return {
            "content-type": "application/json",
            "webhook-id": identifier,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signatures),
        }


def _raise_for_failure(response: httpx2.Response) -> None:
    status = response.status_code
    if response.is_success:
        return
    if status == httpx2.codes.GONE:
        raise DeliveryRefused("the backend answered 410 Gone: it wants no further events", status=status)
    hint = ": redirects are not followed, set AMD_DELIVERY_URL to the target" if response.is_redirect else ""
    raise DeliveryFailed(
        f"the backend answered {status}{hint}",
        status=status,
        retry_after_s=retry_after_s(response.headers.get("retry-after")),
    )


async def _finish(response: httpx2.Response) -> None:
    """Read a short body, so that the connection can be used again. A long or slow body closes the connection."""
    read = 0
    try:
        with suppress(TimeoutError, httpx2.HTTPError):
            async with asyncio.timeout(BODY_TIMEOUT_S):
                async for chunk in response.aiter_raw():
                    read += len(chunk)
                    if read > MOST_RESPONSE_BYTES:
                        break
    finally:
        await response.aclose()


@asynccontextmanager
async def open_sender(
    settings: Settings, *, resolve: Resolve = resolve, transport: httpx2.AsyncBaseTransport | None = None
) -> AsyncIterator[Sender]:
    """Open the sender of one backend. Proxies of the environment are not used: a proxy would look up the name again."""
    networks: Sequence[Network] = settings.delivery_allowed_networks
    async with httpx2.AsyncClient(
        transport=CheckedTransport(networks, resolve=resolve, transport=transport),
        headers={"user-agent": f"amd-service/{__version__}"},
        timeout=None,  # the sender limits the whole request
        follow_redirects=False,
        trust_env=False,
    ) as client:
        secrets = [secret.get_secret_value() for secret in settings.delivery_secret]
        yield Sender(client, secrets=secrets, timeout_s=settings.delivery_timeout_s)
