"""`amd-service dataset build`"""

from pathlib import Path
from typing import Annotated

import typer

from amd_service.cli.plain_help import PlainCommand, PlainGroup
from amd_service.cli.process import load_settings_and_logging, run

app = typer.Typer(
    cls=PlainGroup, no_args_is_help=True, help="Build a dataset of your own calls, to train and evaluate."
)


@app.callback()
def _group() -> None:
    # With a callback, typer keeps the name of a group's only command.
    pass


@app.command(cls=PlainCommand)
def build(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="New folder, or the folder of an earlier build.")],
    from_reviews: Annotated[
        bool, typer.Option("--from-reviews", help="Use the calls that people have reviewed on the page /review.")
    ] = False,
    labels: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Use labelled calls: a CSV file with the columns call_sid and label."),
    ] = None,
    from_folder: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Use audio files: a folder with metadata.csv, or with a sub-folder per label."
        ),
    ] = None,
    group_by: Annotated[
        str | None,
        typer.Option(
            help="Keep recordings of one `number`, `day` or `call` in one split. For a folder: a column of its "
            "metadata, such as `voice`. Default: number, and the column group."
        ),
    ] = None,
    split: Annotated[
        str, typer.Option(metavar="PERCENT", help="Shares of train, validation and test, e.g. 80,0,20.")
    ] = "70,15,15",
    seed: Annotated[int, typer.Option(help="Seed of the division into splits.")] = 0,
    language: Annotated[
        str | None, typer.Option(help="Language of recordings for which the source names none, e.g. de.")
    ] = None,
    channel: Annotated[
        int | None, typer.Option(min=1, max=2, help="The called party's channel of two-channel files in FOLDER.")
    ] = None,
    keep_other: Annotated[
        bool, typer.Option("--keep-other", help="Keep labels that are neither human nor voicemail, such as screening.")
    ] = False,
    check_labels: Annotated[
        bool | None,
        typer.Option(
            "--check-labels/--no-check-labels",
            help="List labels that are probably wrong in suspicious.csv. Runs AMD_MODEL on every recording. Default: "
            "only if the extras `train` and `cleanlab` are installed.",
        ),
    ] = None,
    send_to_review: Annotated[
        bool,
        typer.Option("--send-to-review", help="Put suspicious calls into the queue `Check again` of /review."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON document.")] = False,
) -> None:
    """Build a dataset from labelled calls or files: one WAV file per call with the called party's audio.

    The files, their labels and the division into train, validation and test have the AudioFolder layout of Hugging
    Face. No number, day or voice is in two splits. After an interruption, or when there are more reviews, run the same
    command again: it fetches only the missing recordings. Exits 1 if some recordings could not be fetched for now.
    """
    settings = load_settings_and_logging(quiet=True)
    from amd_service.cli.dataset_build import BuildPlan, build_and_print, parse_shares
    from amd_service.cli.suspicious_labels import will_check
    from amd_service.lab.dataset.gathering import Sources

    sources = Sources(
        reviews=from_reviews,
        labels=labels,
        folder=from_folder,
        group_by=group_by,
        language=language,
        keep_other=keep_other,
        channel=channel,
    )
    plan = BuildPlan(
        folder,
        sources,
        parse_shares(split),
        seed,
        check=will_check(True if send_to_review else check_labels),
        send_to_review=send_to_review,
    )
    if not run(build_and_print(plan, settings, as_json=as_json)):
        raise typer.Exit(1)
