"""Routes with an OpenAPI description."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from amd_service.domain import AccessScope
from amd_service.web.api.openapi.responses import Json
from amd_service.web.authentication import with_scope

# Values of the member `security` of an OpenAPI operation.
KEY_REQUIRED: Json = {"security": [{"key": []}]}
PUBLIC: Json = {"security": []}
SIGNED: Json = {"security": [{"signature": []}]}

# Statuses of the problems that every operation with KEY_REQUIRED can return.
NO_ACCESS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class DescribedRoute(Route):
    """A route that supports only the HTTP methods in `operations`.

    `needs`: scope that the sender must have; None if any access, or none, is enough.
    `operations`: OpenAPI operation objects, keyed by HTTP method in lower case. The operationId is the name of the
    endpoint. If the route has several methods, the method is added. Clients are generated from these ids, so do not
    rename an endpoint.
    """

    def __init__(
        self,
        path: str,
        endpoint: Callable[[Request], Awaitable[Response]],
        *,
        needs: AccessScope | None = None,
        **operations: Json,
    ) -> None:
        endpoint = endpoint if needs is None else with_scope(needs, endpoint)
        super().__init__(path, endpoint, methods=[method.upper() for method in operations])
        self.operations = {
            method: {
                "operationId": endpoint.__name__ if len(operations) == 1 else f"{endpoint.__name__}_{method}",
                **operation,
            }
            for method, operation in operations.items()
        }
