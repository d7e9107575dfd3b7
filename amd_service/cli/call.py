"""`amd-service call`"""

from typing import Annotated

import typer

from amd_service.cli.options import JsonFlag
from amd_service.cli.process import load_settings_and_logging, run


def call(
    to: Annotated[
        str, typer.Argument(metavar="TO", help="The number to call, e.g. +15005550010; see AMD_DIAL_PREFIXES.")
    ],
    from_number: Annotated[str, typer.Option("--from", metavar="NUMBER", help="A number of the account.")],
    url: Annotated[str | None, typer.Option(help="URL at which Twilio requests the call's TwiML.")] = None,
    twiml: Annotated[str | None, typer.Option(help="The TwiML itself, at most 4000 characters.")] = None,
    account: Annotated[str | None, typer.Option(metavar="AC…", help="The account, if there are several.")] = None,
    track: Annotated[str, typer.Option(help="Record `inbound`, the called party alone, or `both`.")] = "inbound",
    twilio_amd: Annotated[bool, typer.Option("--twilio-amd", help="Also run Twilio's own detection.")] = False,
    ring_s: Annotated[int, typer.Option(help="Seconds that it may ring.")] = 60,
    key: Annotated[str | None, typer.Option(help="Idempotency key: the same key never places a second call.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the call to its verdict.")] = False,
    timeout: Annotated[float, typer.Option(min=0, help="With --wait: seconds to wait for the verdict.")] = 300.0,
    as_json: JsonFlag = False,
) -> None:
    """Place a call. Exits 0 when it is placed (with --wait: judged), 1 without a verdict, 2 when nothing was done.

    Exits 3 when the outcome is unknown, now or since an earlier try with the same key. The call may have been placed:
    check before you place it again.
    """
    from amd_service.cli.place_and_follow import place_and_follow
    from amd_service.errors import IdempotencyKeyInUse, OutcomeUnknown
    from amd_service.twilio.call_request import make_call_request

    settings, wait_s = load_settings_and_logging(quiet=True), timeout if wait else None
    request = make_call_request(
        to=to,
        from_number=from_number,
        url=url,
        twiml=twiml,
        account_sid=account,
        track=track,
        twilio_amd=twilio_amd,
        ring_s=ring_s,
    )
    try:
        succeeded = run(place_and_follow(request, settings, key=key, wait_s=wait_s, as_json=as_json))
    except (OutcomeUnknown, IdempotencyKeyInUse) as error:
        typer.echo(f"amd-service: {error}", err=True)
        raise typer.Exit(3) from error
    if not succeeded:
        raise typer.Exit(1)
