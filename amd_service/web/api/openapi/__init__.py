"""The OpenAPI 3.1 document: each route carries the description of its operations."""
