"""The service behind nginx and a program that signs people in, with the configuration of docs/access.md."""

from pathlib import Path
from secrets import token_hex

import httpx2
import pytest

from amd_service.database.pool import Database
from amd_service.domain import AccessScope, Role
from amd_service.operations import credentials
from amd_service.simulator.service_process import COMMAND, free_port
from amd_service.simulator.twilio.signed_callbacks import Pairs, sign
from tests.support.people import add_key
from tests.support.scene import Scene
from tests.support.single_sign_on import COOKIE, single_sign_on

pytestmark = [pytest.mark.anyio, pytest.mark.proxies, pytest.mark.slow, pytest.mark.timeout(300)]

HTML = {"accept": "text/html"}
FORGED = {"x-forwarded-user": "admin@example.com", "X_Forwarded_User": "admin@example.com"}


async def test_the_documented_proxy_signs_people_in(scene: Scene, database: Database, tmp_path: Path) -> None:
    for name, role in (("ann@example.com", Role.VIEWER), ("admin@example.com", Role.ADMIN)):
        await credentials.add_person(database, name, role, None)
    key = await add_key(database, "dashboard", AccessScope.READ)
    port = free_port()
    public_url = f"http://127.0.0.1:{port}"
    settings = {"public_url": public_url, "user_header": "X-Forwarded-User", "trusted_proxies": "127.0.0.1"}
    command = (*COMMAND, "serve", "--no-worker", "--no-model")
    async with scene.run_service(command, **settings) as service:
        await service.wait_until_alive()
        async with (
            single_sign_on(tmp_path, port, int(service.url.rpartition(":")[2])) as url,
            httpx2.AsyncClient(trust_env=False, base_url=url) as client,
        ):
            await _check_people(client)
            await _check_forged_headers(client, key)
            await _check_callback(client, scene, public_url)


async def _check_people(client: httpx2.AsyncClient) -> None:
    response = await client.get("/calls", headers=HTML)
    assert (response.status_code, response.headers["location"]) == (
        302,
        str(client.base_url.join("/oauth2/start?rd=/calls")),
    )
    response = await client.get("/calls", headers=HTML | signed_in_as("ann@example.com"))
    assert response.status_code == 200
    assert "ann@example.com" in response.text
    response = await client.get("/review", headers=HTML | signed_in_as("ann@example.com"))
    assert response.status_code == 403  # a viewer reviews nothing
    response = await client.get("/calls", headers=HTML | signed_in_as("eve@example.com"))
    assert (response.status_code, "amd-service person add eve@example.com" in response.text) == (403, True)
    cross_site = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    response = await client.post("/predict", headers=cross_site | signed_in_as("admin@example.com"))
    assert response.status_code == 403


async def _check_forged_headers(client: httpx2.AsyncClient, key: dict[str, str]) -> None:
    """The header of a client never counts: neither for a signed-in person, nor for a key, nor without both."""
    response = await client.get("/review", headers=HTML | FORGED | signed_in_as("ann@example.com"))
    assert (response.status_code, "ann@example.com" in response.text) == (403, True)
    assert "admin@example.com" not in response.text
    assert (await client.get("/calls", headers=HTML | FORGED)).status_code == 302
    assert (await client.get("/calls", headers=FORGED | {"authorization": "Bearer x"})).status_code == 401
    assert (await client.get("/metrics", headers=FORGED | key)).status_code == 200
    assert (await client.get("/review", headers=FORGED | key)).status_code == 403


async def _check_callback(client: httpx2.AsyncClient, scene: Scene, public_url: str) -> None:
    form: Pairs = [
        ("AccountSid", scene.account.account_sid),
        ("CallSid", f"CA{token_hex(16)}"),
        ("CallStatus", "ringing"),
    ]
    headers = sign(f"{public_url}/twilio/status", form, scene.account.auth_tokens[0].get_secret_value())
    assert (await client.post("/twilio/status", data=dict(form), headers=headers)).status_code == 204
    assert (await client.get("/health")).status_code == 200


def signed_in_as(name: str) -> dict[str, str]:
    return {"cookie": f"{COOKIE}={name}"}
