"""Every route that is not public needs a scope."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from starlette.routing import Mount, Route, WebSocketRoute

from amd_service.database.pool import Database
from amd_service.domain import ALL_SCOPES, SCOPES_OF_ROLE, AccessScope, Role
from amd_service.web.api.openapi.document import describe
from amd_service.web.api.openapi.route import DescribedRoute
from amd_service.web.app import PUBLIC_PATHS, SERVICE_ROUTES
from amd_service.web.authentication import needed_scopes
from tests.support.app import open_app
from tests.support.people import add_key, signed_in
from tests.support.sids import CALL, RECORDING

READ, PREDICT, CALL_SCOPE, REVIEW = AccessScope.READ, AccessScope.PREDICT, AccessScope.CALL, AccessScope.REVIEW
KEYLESS: dict[str, Any] = {"api_keys": [], "public_url": None}


def guarded() -> Iterator[Route | WebSocketRoute]:
    """The routes that are neither public nor signed by Twilio."""
    for route in SERVICE_ROUTES:
        is_public = route.path in PUBLIC_PATHS or f"{route.path}/" in PUBLIC_PATHS
        if not is_public and not route.path.startswith("/twilio/"):
            assert not isinstance(route, Mount), f"{route.path}: access to a mounted app is not limited by a scope"
            yield route


def path_of(route: Route | WebSocketRoute) -> str:
    return route.path.replace("{sid}", CALL).replace("{recording_sid}", RECORDING).replace("{name}", "x.wav")


@pytest.mark.parametrize("route", list(guarded()), ids=lambda route: f"{route.path} {route.name}")
def test_every_route_that_is_not_public_needs_a_scope(route: Route | WebSocketRoute) -> None:
    assert needed_scopes(route.endpoint), f"{route.path} has no scope: use with_scope, or `needs` of DescribedRoute"


def test_the_endpoints_for_programs_need_these_scopes() -> None:
    needs = {
        (route.path, method): needed_scopes(route.endpoint)
        for route in guarded()
        if isinstance(route, DescribedRoute)
        for method in route.operations
    }
    assert needs == {
        ("/predict", "post"): {PREDICT},
        ("/predict-stream", "post"): {PREDICT},
        ("/api/calls", "get"): {READ},
        ("/api/calls", "post"): {CALL_SCOPE},
        ("/api/calls/{sid}", "get"): {READ},
        ("/api/calls/{sid}/reviews", "get"): {READ},
        ("/api/calls/{sid}/reviews", "post"): {REVIEW},
        ("/api/calls/{sid}/analyse", "post"): {REVIEW},
        ("/api/stats", "get"): {READ},
        ("/metrics", "get"): {READ},
        ("/model-info", "get"): ALL_SCOPES,
        ("/ready/classifier", "get"): ALL_SCOPES,
        ("/openapi.json", "get"): ALL_SCOPES,
    }


@pytest.mark.anyio
async def test_a_key_or_a_session_without_the_scope_gets_403(database: Database) -> None:
    service = open_app(database, **KEYLESS)
    for scope in AccessScope:
        others = await add_key(database, f"all but {scope}", *(ALL_SCOPES - {scope}))
        for route in guarded():
            if needed_scopes(route.endpoint) == {scope}:
                response = await send(service.client, route, others)
                assert (response.status_code, scope.value in response.text) == (403, True), route.path
    await service.client.aclose()


@pytest.mark.anyio
@pytest.mark.parametrize("role", Role)
async def test_a_person_gets_only_the_routes_of_the_role(role: Role, database: Database) -> None:
    service = open_app(database, **KEYLESS)
    browser = await signed_in(database, "ann", role)
    del service.client.headers["authorization"]
    for route in guarded():
        if needed_scopes(route.endpoint) & SCOPES_OF_ROLE[role]:
            continue
        response = await send(service.client, route, browser.headers)
        assert response.status_code == 403, route.path
    await service.client.aclose()


async def send(client: httpx2.AsyncClient, route: Route | WebSocketRoute, headers: dict[str, str]) -> httpx2.Response:
    assert isinstance(route, Route)
    method = "GET" if "GET" in (route.methods or ()) else "POST"
    return await client.request(method, path_of(route), headers=headers)


def test_the_document_states_the_scope_and_403_of_each_operation() -> None:
    paths = describe(SERVICE_ROUTES)["paths"]
    assert paths["/predict"]["post"]["security"] == [{"key": ["predict"]}]
    assert paths["/predict"]["post"]["description"].endswith("Needs the scope `predict`.")
    assert paths["/model-info"]["get"]["security"] == [{"key": []}]
    for route in guarded():
        if isinstance(route, DescribedRoute):
            for operation in route.operations.values():
                assert {"401", "403"} <= set(operation["responses"]), route.path
                assert "Needs " in operation["description"], route.path
