"""Serves the scripts and styles of the pages."""

import os
from typing import Any

from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from amd_service.web.pages.rendering import STATIC_FOLDER


class PageFiles(StaticFiles):
    """The files of STATIC_FOLDER. Browsers revalidate each file, so an upgrade changes all files of a page at once.

    Scripts import other scripts by relative URLs, which contain no version.
    """

    def __init__(self) -> None:
        super().__init__(directory=STATIC_FOLDER)

    def file_response(self, full_path: str | os.PathLike[str], *arguments: Any, **options: Any) -> Response:
        response = super().file_response(full_path, *arguments, **options)
        response.headers["cache-control"] = "no-cache"
        response.headers["x-content-type-options"] = "nosniff"
        return response
