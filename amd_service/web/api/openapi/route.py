"""Routes with an OpenAPI description."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from amd_service.domain import ALL_SCOPES, AccessScope
from amd_service.web.api.openapi.responses import Json
from amd_service.web.authentication import needed_scopes, with_scope

# Values of the member `security` of an OpenAPI operation.
PUBLIC: Json = {"security": []}
SIGNED: Json = {"security": [{"signature": []}]}

# Statuses of the problems that every operation can return that needs a scope.
NO_ACCESS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class DescribedRoute(Route):
    """A route that supports only the HTTP methods in `operations`.

    `needs`: scope that the sender must have, or scopes of which the sender must have one; None for a public route, and
    for a route whose requests Twilio signs. `operations`: OpenAPI operation objects, keyed by HTTP method in lower
    case. The operationId is the name of the endpoint. If the route has several methods, the method is added. Clients
    are generated from these ids, so do not rename an endpoint.
    """

    def __init__(
        self,
        path: str,
        endpoint: Callable[[Request], Awaitable[Response]],
        *,
        needs: AccessScope | frozenset[AccessScope] | None = None,
        **operations: Json,
    ) -> None:
        endpoint = endpoint if needs is None else with_scope(needs, endpoint)
        super().__init__(path, endpoint, methods=[method.upper() for method in operations])
        self.operations = {
            method: {
                "operationId": endpoint.__name__ if len(operations) == 1 else f"{endpoint.__name__}_{method}",
                **operation,
                **_describe_scopes(operation, needed_scopes(endpoint)),
            }
            for method, operation in operations.items()
        }


def _describe_scopes(operation: Json, scopes: frozenset[AccessScope]) -> Json:
    """Return the members `security` and `description` of an operation that needs one of the scopes.

    OpenAPI 3.1 allows role names in the security requirement of an HTTP scheme.
    """
    if not scopes:
        return {}
    any_key = scopes == ALL_SCOPES
    text = "a key with any scope" if any_key else f"the scope {' or '.join(f'`{scope}`' for scope in sorted(scopes))}"
    return {
        "security": [{"key": []}] if any_key else [{"key": [scope.value]} for scope in sorted(scopes)],
        "description": f"{operation.get('description', '')} Needs {text}.".strip(),
    }
