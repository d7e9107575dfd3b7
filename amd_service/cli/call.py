"""`amd-service call`"""

from typing import Annotated

import typer

from amd_service.cli.options import JsonFlag
from amd_service.cli.process import load_settings_and_logging, run


def call(
    to: Annotated[
        str,
        typer.Argument(metavar="NUMBER", help="Number to call, e.g. +15005550010. AMD_DIAL_PREFIXES must allow it."),
    ],
    from_number: Annotated[
        str, typer.Option("--from", metavar="NUMBER", help="Caller ID: a number of the Twilio account.")
    ],
    url: Annotated[str | None, typer.Option(help="URL at which Twilio requests the call's TwiML.")] = None,
    twiml: Annotated[
        str | None, typer.Option(help="TwiML of the call, at most 4000 characters; instead of --url.")
    ] = None,
    account: Annotated[
        str | None,
        typer.Option(metavar="AC…", help="Twilio account that places the call. Required if several are configured."),
    ] = None,
    track: Annotated[
        str, typer.Option(help="Track to record: `inbound` (only the called party) or `both`.")
    ] = "inbound",
    twilio_amd: Annotated[bool, typer.Option("--twilio-amd", help="Also run Twilio's own detection.")] = False,
    ring_s: Annotated[int, typer.Option(help="Maximum seconds that the call may ring.")] = 60,
    campaign: Annotated[str | None, typer.Option(help="Campaign of the call.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Tag of the call. Can be repeated, at most 10 tags.")] = None,
    key: Annotated[
        str | None, typer.Option(help="Idempotency key. A second command with the same key places no second call.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the verdict of the call and print it.")] = False,
    timeout: Annotated[
        float, typer.Option(min=0, help="With --wait: maximum seconds to wait for the verdict.")
    ] = 300.0,
    as_json: JsonFlag = False,
) -> None:
    """Place a call.

    Exit code 0 means that the call was placed and, with --wait, that the verdict arrived. Exit code 1 means that the
    verdict did not arrive in time (with --wait). Exit code 2 means that no call was placed. Exit code 3 means that the
    outcome of this command, or of an earlier command with the same key, is unknown. In this case the call may have been
    placed, so check at Twilio before you place the call again.
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
        campaign=campaign,
        tags=tuple(tag or ()),
    )
    try:
        succeeded = run(place_and_follow(request, settings, key=key, wait_s=wait_s, as_json=as_json))
    except (OutcomeUnknown, IdempotencyKeyInUse) as error:
        typer.echo(f"amd-service: {error}", err=True)
        raise typer.Exit(3) from error
    if not succeeded:
        raise typer.Exit(1)
