"""GET /calls/{sid} and the requests of its page."""

import re

import pytest
from sqlalchemy import func, update

from amd_service.calls.streams import Stream, settle_stream
from amd_service.calls.tables import CallLog, Recording
from amd_service.database.pool import Database
from amd_service.domain import CallSid, Label, Role, StreamSid
from tests.support.app import RECORDED, STATUS, App
from tests.support.call_page import HTML, PAGE, PART, judge, read, section, send
from tests.support.deliveries import amd, claim, deliver, recording, recording_row, settle, status, verdict_rows
from tests.support.intake import ANSWERED, COMPLETED, INITIATED, RINGING
from tests.support.review_rows import stored_reviews
from tests.support.shadow import shadow_verdict, store_shadow
from tests.support.sids import ACCOUNT, CALL, OTHER_CALL, RECORDING
from tests.support.signed_in import sign_in
from tests.support.verdicts import HUMAN, verdict

pytestmark = pytest.mark.anyio


async def test_the_page_shows_verdict_facts_run_recording_and_callbacks(service: App, database: Database) -> None:
    await judge(database)
    page = await read(service)
    assert "human 90.0 % threshold 70.0 %" in section(page, "verdict")
    assert "reaches the threshold" in section(page, "verdict")
    assert "human 2.90 s agrees" in section(page, "facts")
    assert "90.0 % 10.0 % 70.0 % 0.00 s to 2.00 s from 0.30 s 1 torch fp32 12 ms demo" in section(page, "runs")
    assert f"{RECORDING} in the player completed OutboundAPI 2" in section(page, "recordings")
    callbacks = section(page, "callbacks")
    assert callbacks.index("initiated number 0") < callbacks.index("ringing number 1")
    assert callbacks.index("completed number 3") < callbacks.index("recording completed")
    assert "call_status initiated → ringing" in callbacks
    assert "Nobody has reviewed this call" in section(page, "reviews")


async def test_shadow_runs_are_shown_apart_and_change_nothing_else(service: App, database: Database) -> None:
    await judge(database)
    before = await read(service)
    await store_shadow(database, shadow_verdict(Label.VOICEMAIL, human=0.1))
    page = await read(service)
    assert "have no effect on the call" in section(page, "shadow")
    assert "voicemail 10.0 % 90.0 % 70.0 %" in section(page, "shadow")
    assert "in force" not in section(page, "shadow")
    for name in ("verdict", "listen", "facts", "runs", "recordings"):
        assert section(page, name) == section(before, name)
    assert re.findall('sources="[^"]*"', page) == re.findall('sources="[^"]*"', before)


async def test_the_player_gets_the_judged_channel_first_with_window_and_onset(service: App, database: Database) -> None:
    await judge(database)
    page = await read(service)
    assert 'window-start="0.0" window-end="2.0"' in page
    assert 'onset="0.3"' in page
    sources = re.search('sources="([^"]*)"', page)
    assert sources
    assert re.findall(r"(Called party|Our side|Both channels)", sources[1]) == [
        "Called party",
        "Our side",
        "Both channels",
    ]
    assert f"/calls/{CALL}/audio/{RECORDING}?channel=1" in sources[1]


async def test_a_live_run_stands_beside_the_run_of_the_recording(service: App, database: Database) -> None:
    await deliver(database, ANSWERED)
    stream = Stream(ACCOUNT, CALL, StreamSid("MZ" + "5" * 32), lasted_s=2.0, whole=True)
    async with database.transaction() as session:
        assert await settle_stream(session, stream, verdict(Label.VOICEMAIL, human=0.1), {})
    await deliver(database, COMPLETED, recording("completed"), amd("human", 2900))
    (job,) = await claim(database)
    assert await settle(database, job, HUMAN)
    page = await read(service)
    runs = section(page, "runs")
    assert "live stream voicemail in force" in runs
    assert "recording human" in runs
    assert "disagrees" in section(page, "facts")
    assert RECORDING in page[page.index("<audio-player") :].partition(">")[0]


async def test_a_late_and_a_repeated_callback_say_that_they_changed_nothing(service: App, database: Database) -> None:
    await deliver(database, INITIATED, COMPLETED, RINGING, status("completed", duration_s=42, to_number="+15005550001"))
    callbacks = section(await read(service), "callbacks")
    assert "Changed nothing: it arrived late, after newer callbacks." in callbacks


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"erased_at": func.now()}, "was deleted at Twilio"),
        ({"source": "MediaStream"}, "audio is not stored"),
    ],
)
async def test_a_call_without_audio_says_why(
    service: App, database: Database, columns: dict[str, object], words: str
) -> None:
    await judge(database)
    async with database.transaction() as session:
        await session.execute(update(Recording).values(columns))
    page = await read(service)
    assert "<audio-player" not in page
    assert words in section(page, "listen")


async def test_an_unknown_and_a_malformed_sid_are_told_apart(service: App) -> None:
    unknown = await service.client.get(PAGE, headers=HTML)
    assert (unknown.status_code, "no callback about it has arrived" in unknown.text) == (404, True)
    malformed = await service.client.get("/calls/CA123", headers=HTML)
    assert (malformed.status_code, "32 hexadecimal digits" in malformed.text) == (404, True)


async def test_a_person_who_may_not_see_numbers_gets_none(service: App) -> None:
    private = [("CallerName", "Jane Roe"), ("SipHeader_x", "to 5005550010 please"), ("Digits", "12")]
    assert (await service.callback("/twilio/status", [*STATUS, *private])).status_code == 204
    page = await read(service)
    assert "+15005550010" in page
    assert "Jane Roe" in page
    await sign_in(service, Role.VIEWER)
    page = await read(service)
    raw = (await service.client.get(f"/api/calls/{CALL}")).text
    for text in (page, raw):
        for secret in ("5005550010", "5005550006", "Jane Roe"):
            assert secret not in text
    assert "+15•••10" in page
    assert "hidden" in section(page, "callbacks")
    assert '"to_number":"+15•••10"' in raw


async def test_parts_are_sent_only_after_a_change(service: App, database: Database) -> None:
    await judge(database)
    url = re.search('hx-get="([^"]*/parts[^"]*)"', await read(service))
    assert url
    path = url[1].replace("&amp;", "&")
    assert (await service.client.get(path, headers=PART)).status_code == 204
    await deliver(database, amd("machine_start", 4000))
    changed = await service.client.get(path, headers=PART)
    assert (changed.status_code, "machine start" in changed.text, "<html" in changed.text) == (200, True, False)


async def test_analyse_again_adds_a_run_and_keeps_the_old_one(service: App, database: Database) -> None:
    await judge(database)
    response = await send(service, "analysis")
    assert "The recording is queued" in response.text
    assert "human 90.0 %" in section(response.text, "verdict")
    assert "being analysed again" in section(response.text, "verdict")
    (job,) = await claim(database)
    assert await settle(database, job, verdict(Label.VOICEMAIL, human=0.2))
    assert [row.label for row in await verdict_rows(database)] == ["human", "voicemail"]
    page = await read(service)
    assert section(page, "runs").index("human") < section(page, "runs").index("voicemail in force")


async def test_a_failed_call_can_be_analysed_again(service: App, database: Database) -> None:
    await deliver(database, COMPLETED, recording("completed"))
    async with database.transaction() as session:
        await session.execute(update(Recording).values(state="dead", failure="undecodable", attempts=3))
        await session.execute(update(CallLog).values(analysis_state="failed", reason="undecodable"))
    assert "not audio in a known format" in section(await read(service), "verdict")
    response = await send(service, "analysis")
    assert "waits for a worker" in section(response.text, "verdict")
    assert (await recording_row(database)).state == "queued"


async def test_a_call_whose_audio_is_gone_cannot_be_analysed_again(service: App, database: Database) -> None:
    await judge(database)
    async with database.transaction() as session:
        await session.execute(update(Recording).values(erased_at=func.now()))
    assert "the recording was deleted at Twilio" in (await send(service, "analysis")).text
    assert (await recording_row(database)).state == "done"


async def test_an_answer_is_a_new_row_and_the_verdict_stays(service: App, database: Database) -> None:
    await judge(database)
    first = await send(service, "answers", answer="voicemail", seen="0")
    assert "Saved: Voicemail." in section(first.text, "verdict")
    assert "human 90.0 %" in section(first.text, "verdict")
    seen = re.search('name="seen" value="([0-9]+)"', first.text)
    assert seen
    await send(service, "answers", answer="screening", seen=seen[1])
    assert [(row.answer, row.stratum) for row in await stored_reviews(database)] == [
        ("voicemail", None),
        ("screening", None),
    ]
    assert "heard screening" in section(await read(service), "reviews")


async def test_wrong_answers_are_refused(service: App, database: Database) -> None:
    await deliver(database, ANSWERED)
    assert (await send(service, "answers", answer="robot", seen="0")).status_code == 422
    assert (await send(service, "answers", answer="human", seen="x")).status_code == 422
    assert (await send(service, "answers", answer="human", seen="0")).status_code == 409
    assert await stored_reviews(database) == []


async def test_only_reviewers_analyse_and_answer(service: App, database: Database) -> None:
    await judge(database)
    token = await sign_in(service, Role.VIEWER)
    page = await read(service)
    assert "Analyse again" not in page
    assert 'name="answer"' not in page
    service.client.headers["x-csrf-token"] = token
    for path in ("analysis", "answers"):
        assert (await send(service, path, answer="human", seen="0")).status_code == 403


async def test_a_request_without_the_csrf_token_is_refused(service: App, database: Database) -> None:
    await judge(database)
    await sign_in(service, Role.REVIEWER)
    assert (await send(service, "analysis")).status_code == 403
    assert (await recording_row(database)).state == "done"


async def test_neighbours_keep_the_filter_of_the_list(service: App, database: Database) -> None:
    sids = [CallSid(f"CA{number:032x}") for number in range(1, 6)]
    for sid in sids:
        await service.callback(
            "/twilio/recording", [*RECORDED[:1], ("CallSid", sid), ("RecordingSid", "RE" + sid[2:]), *RECORDED[3:]]
        )
    async with database.transaction() as session:
        await session.execute(update(CallLog).where(CallLog.call_sid.in_(sids[::2])).values(campaign="spring"))
    links = (await service.client.get(f"/calls/{sids[2]}/neighbours?campaign=spring", headers=PART)).text
    assert f'rel="prev" href="/calls/{sids[4]}?campaign=spring"' in links
    assert f'rel="next" href="/calls/{sids[0]}?campaign=spring"' in links
    assert 'href="/calls?campaign=spring">List' in links
    ends = (await service.client.get(f"/calls/{sids[4]}/neighbours", headers=PART)).text
    assert (f"/calls/{sids[3]}" in ends, 'rel="prev"' in ends) == (True, False)
    nowhere = (await service.client.get(f"/calls/{OTHER_CALL}/neighbours", headers=PART)).text
    assert "rel=" not in nowhere
