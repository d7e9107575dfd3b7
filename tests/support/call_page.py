"""The page of a call, read and used without a browser."""

import re

import httpx2

from amd_service.database.pool import Database
from amd_service.domain import Label
from tests.support.app import App
from tests.support.deliveries import claim, deliver, recording, settle
from tests.support.intake import ANSWERED, COMPLETED, INITIATED, RINGING
from tests.support.sids import CALL
from tests.support.verdicts import HUMAN, verdict

PAGE = f"/calls/{CALL}"
HTML = {"accept": "text/html"}
PART = HTML | {"hx-request": "true"}


async def judge(database: Database, *, label: Label = Label.HUMAN) -> None:
    await deliver(database, INITIATED, RINGING, ANSWERED, COMPLETED, recording("completed", channels=2))
    (job,) = await claim(database)
    assert await settle(database, job, HUMAN if label is Label.HUMAN else verdict(label, human=0.6))


async def read(service: App, path: str = PAGE) -> str:
    response = await service.client.get(path, headers=HTML)
    assert response.status_code == 200
    return response.text


async def send(service: App, path: str, **form: str) -> httpx2.Response:
    return await service.client.post(f"{PAGE}/{path}", data=form, headers=PART)


def section(page: str, name: str) -> str:
    """The text of a section, without markup."""
    start = page.index(f'id="{name}-title"')
    return " ".join(re.sub("<[^>]*>", " ", page[page.index(">", start) + 1 : page.index("</section>", start)]).split())
