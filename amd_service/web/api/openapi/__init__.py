"""The HTTP API as an OpenAPI 3.1 document, made of the shapes that the answers are made of."""

from amd_service.web.api.openapi.document import describe, openapi

__all__ = ["describe", "openapi"]
