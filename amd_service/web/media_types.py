"""Media types of requests and responses."""

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"
NDJSON = "application/x-ndjson"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
BYTES = "application/octet-stream"
HTML = "text/html"
