"""Routes that carry their OpenAPI operations."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from amd_service.web.api.openapi.responses import Json

# The `security` of an operation.
KEY_REQUIRED: Json = {"security": [{"key": []}]}
PUBLIC: Json = {"security": []}
SIGNED: Json = {"security": [{"signature": []}]}

# Problems that any operation with KEY_REQUIRED can answer.
NO_ACCESS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class DescribedRoute(Route):
    """A route that serves exactly the methods it describes.

    `operations`: OpenAPI operation objects by method in lower case.
    """

    def __init__(self, path: str, endpoint: Callable[[Request], Awaitable[Response]], **operations: Json) -> None:
        super().__init__(path, endpoint, methods=[method.upper() for method in operations])
        self.operations = operations
