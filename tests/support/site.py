"""The service as a process with its own database, for tests that open its pages."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from secrets import token_hex

import httpx2

from amd_service.calls.tables import CallLog
from amd_service.database.pool import Database
from amd_service.domain import AnalysisState, CallSid, Role
from amd_service.operations import credentials
from amd_service.settings import RETRY_OVERRIDES
from amd_service.simulator.live_calls import with_current_times
from amd_service.simulator.recorded_calls import load_call
from amd_service.simulator.service_process import COMMAND, ServiceProcess
from amd_service.simulator.twilio.resources import make_account
from amd_service.simulator.twilio.signed_callbacks import send_callback
from tests.support.deliveries import call_row
from tests.support.fixture_calls import CALLS
from tests.support.inbox import until_folded_by_service
from tests.support.scene import Scene
from tests.support.simulated_twilio import watched_simulated_twilio
from tests.support.waiting import until

PASSWORD = "a long enough password"
# One person for each role, named after the role.
ROLES = tuple(Role)

_FINAL = (AnalysisState.JUDGED, AnalysisState.FAILED, AnalysisState.NOT_APPLICABLE)


@dataclass(frozen=True, slots=True)
class Site:
    """A running service with the demo model. Its recordings come from a simulated Twilio."""

    scene: Scene
    service: ServiceProcess
    database: Database

    @property
    def url(self) -> str:
        return self.service.url

    async def post_call(
        self,
        name: str,
        *,
        call_sid: CallSid | None = None,
        query: str = "",
        fields: Mapping[str, str] | None = None,
        current_times: bool = True,
    ) -> CallSid:
        """Deliver the signed callbacks of a fixture call, and return the CallSid once the row of the call shows them.

        Without `call_sid` the SID is new.

        `query`: query string of the callback URLs, for example `campaign=spring`. `fields`: values that replace those
        of the callbacks, for example `{"To": "+15005550001"}`. `current_times`: the call takes place now.
        """
        call, token = load_call(CALLS / name), self.scene.account.auth_tokens[0].get_secret_value()
        call_sid, recording_sid = call_sid or new_call_sid(), f"RE{token_hex(16)}"
        media_file, media = call.media_file(), self.scene.simulated_twilio
        if media_file is not None:
            media.media.files[recording_sid] = media_file
        account_sid = self.scene.account.account_sid
        placeholders = {
            "{account_sid}": account_sid,
            "{call_sid}": call_sid,
            "{recording_sid}": recording_sid,
            "{recording_url}": f"{media.url}/2010-04-01/Accounts/{account_sid}/Recordings/{recording_sid}",
        }
        replaced: dict[str, str] = {}
        async with httpx2.AsyncClient(trust_env=False) as client:
            for recorded in call.callbacks:
                callback = with_current_times(recorded, replaced) if current_times else recorded
                form = [(key, (fields or {}).get(key, value)) for key, value in callback.fill(placeholders)]
                path = f"{callback.path}?{query}" if query else callback.path
                outcome = await send_callback(client, self.url, path, form, token=token, overrides=RETRY_OVERRIDES)
                assert outcome.outcome == "2xx", outcome
        await until_folded_by_service(self.database)
        return call_sid

    async def analysed(self, call_sid: CallSid) -> CallLog:
        """Wait until the analysis of the call has ended, and return the call's row."""

        async def has_ended() -> bool:
            return (await call_row(self.database, call_sid)).analysis_state in _FINAL

        await until(has_ended)
        return await call_row(self.database, call_sid)


def new_call_sid() -> CallSid:
    return CallSid(f"CA{token_hex(16)}")


@asynccontextmanager
async def run_site(database_url: str, **settings: object) -> AsyncIterator[Site]:
    """Run the service with this database, and wait until it responds. Then its classifier still starts."""
    account, database = make_account(), Database(database_url)
    async with watched_simulated_twilio(account) as simulated_twilio:
        scene = Scene(database_url, simulated_twilio, account)
        async with scene.run_service((*COMMAND, "serve"), threads=1, **settings) as service:
            await service.wait_until_alive()
            yield Site(scene, service, database)
    await database.dispose()


async def add_people(database: Database) -> None:
    """Add one person for each role, named after the role."""
    for role in ROLES:
        await credentials.add_person(database, role.value, role, PASSWORD, sees_numbers=role is Role.ADMIN)
