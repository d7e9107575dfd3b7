"""Reads multipart/form-data into memory. Starlette's parser writes files of more than 1 MB to disk."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field
from http import HTTPStatus

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from amd_service.web.body import stream_body, too_large
from amd_service.web.problems import Problem

MAX_PARTS = 16
# Bytes that boundaries, part headers and small fields may need in addition to the largest part.
OVERHEAD_BYTES = 16 * 1024


@dataclass(slots=True)
class Part:
    """One part of a form. Header names are in lower case."""

    headers: dict[str, str] = field(default_factory=dict)
    data: bytearray = field(default_factory=bytearray)

    @property
    def name(self) -> str:
        _, options = parse_options_header(self.headers.get("content-disposition"))
        return options.get(b"name", b"").decode("utf-8", errors="replace")


async def read_form(request: Request, max_part_bytes: int, *, setting: str, timeout_s: float) -> list[Part]:
    """Read all parts of a form.

    `setting`: the name of the setting that contains `max_part_bytes`.
    Raises Problem 400 for a body that is malformed or incomplete, 408 after `timeout_s` seconds, and 413 if a part has
    more than `max_part_bytes` bytes.
    """
    form = _Form(max_part_bytes, setting)
    parser = form.parser(_boundary(request))
    try:
        async with asyncio.timeout(timeout_s):
            body = stream_body(request, max_part_bytes, setting=setting, overhead=OVERHEAD_BYTES)
            async with aclosing(body) as chunks:
                async for chunk in chunks:
                    parser.write(chunk)
    except FormParserError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, form.describe(error)) from error
    except TimeoutError as error:
        raise Problem(HTTPStatus.REQUEST_TIMEOUT, f"the body did not arrive within {timeout_s:g} s") from error
    if not form.parts:
        raise Problem(HTTPStatus.BAD_REQUEST, "the multipart body has no part: send the audio in the part `audio`")
    if not form.is_complete:
        raise Problem(
            HTTPStatus.BAD_REQUEST, "the multipart body ends before its closing boundary: send the whole body"
        )
    return form.parts


def _boundary(request: Request) -> bytes:
    _, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= 70:  # RFC 2046, section 5.1.1
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "the content type multipart/form-data needs a boundary of 1 to 70 characters: do not set the content type "
            "yourself, so that the HTTP client adds the boundary",
        )
    return boundary


class _Form:
    """Collects the parts that the parser reports."""

    def __init__(self, max_part_bytes: int, setting: str) -> None:
        self.parts: list[Part] = []
        self.is_complete = False
        self._max_part_bytes = max_part_bytes
        self._setting = setting
        self._header = bytearray()
        self._value = bytearray()

    def parser(self, boundary: bytes) -> MultipartParser:
        return MultipartParser(
            boundary,
            {
                "on_part_begin": self.begin_part,
                "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                "on_header_end": self.end_header,
                "on_part_data": self.add_data,
                "on_end": self.end,
            },
        )

    def describe(self, error: FormParserError) -> str:
        if self.parts:
            return f"the multipart body is malformed: {error}"
        return "the multipart body does not begin with the boundary of the content type: send both unchanged"

    def begin_part(self) -> None:
        if len(self.parts) == MAX_PARTS:
            raise Problem(HTTPStatus.BAD_REQUEST, f"the form has more than {MAX_PARTS} parts: send only the audio")
        self.parts.append(Part())

    def end_header(self) -> None:
        name, value = self._header.decode("latin-1").lower(), self._value.decode("latin-1")
        self.parts[-1].headers[name] = value
        self._header.clear()
        self._value.clear()

    def add_data(self, data: bytes, start: int, end: int) -> None:
        part = self.parts[-1]
        part.data += data[start:end]
        if len(part.data) > self._max_part_bytes:
            raise too_large(f"the part `{part.name}`", self._max_part_bytes, self._setting)

    def end(self) -> None:
        self.is_complete = True
