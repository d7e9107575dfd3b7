"""`python -m benchmarks.live`: measures the delay of verdicts for live streams that begin at the same moment.

The benchmark streams recorded calls in real time to a service with the shipped model. Calls without a verdict by the
model are skipped. The run takes a minute and prints the table of docs/live.md.
"""

import argparse
import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import httpx2

from amd_service.detection.classifier.cores import usable_cores
from amd_service.domain import CallSid
from amd_service.settings import Account
from amd_service.simulator.called_party_audio import called_party_audio
from amd_service.simulator.recorded_calls import load_calls
from amd_service.simulator.service_process import ServiceProcess
from amd_service.simulator.twilio.streams import MediaStream, send_stream
from amd_service.twilio.stream_keys import stream_key
from benchmarks.services import Bench, open_bench

CALLS = Path("fixtures/calls")
STREAMS = (1, 8, 16)
BYTES_PER_MS = 8
# Minimum audio after the window. With less audio, the end of the call triggers the verdict.
TAIL_MS = 200


@dataclass(frozen=True, slots=True)
class StreamDelay:
    """Milliseconds to the close of one stream: from the last audio of its window, and from the onset of speech."""

    after_audio_ms: float
    after_onset_ms: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds; each round uses other calls")
    options = parser.parse_args()
    asyncio.run(measure(options.rounds))


async def measure(rounds: int) -> None:
    """Print a line of the table for each number of streams."""
    print(f"{usable_cores()} cores, load {os.getloadavg()[0]:.1f}, {rounds} rounds")
    print(
        "| concurrent streams | time from the last needed audio to the verdict: median, maximum "
        "| time from the beginning of speech to the verdict: median |"
    )
    print("|---|---|---|")
    async with (
        open_bench() as bench,
        bench.run_service("serve", model="demo", live="true", live_streams=max(STREAMS)) as service,
    ):
        await service.wait_until_ready()
        recordings = [audio for call in load_calls(CALLS) if (audio := called_party_audio(call, bench.account))]
        recordings = [audio for audio in recordings if await _measure_stream(bench, service, audio) is not None]
        for streams in STREAMS:
            heard = [
                each
                for round_number in range(rounds)
                for each in await _measure_concurrent(bench, service, recordings, streams, round_number)
            ]
            after_audio = [each.after_audio_ms for each in heard]
            after_onset = median(each.after_onset_ms for each in heard)
            of_audio = f"{median(after_audio):.0f} ms, {max(after_audio):.0f} ms"
            print(f"| {streams} | {of_audio} | {after_onset / 1000:.1f} s |")


async def _measure_concurrent(
    bench: Bench, service: ServiceProcess, recordings: list[bytes], streams: int, round_number: int
) -> list[StreamDelay]:
    chosen = [recordings[(round_number * streams + number) % len(recordings)] for number in range(streams)]
    heard = await asyncio.gather(*[_measure_stream(bench, service, audio, pace=1.0) for audio in chosen])
    return [each for each in heard if each is not None]


async def _measure_stream(
    bench: Bench, service: ServiceProcess, audio: bytes, *, pace: float | None = None
) -> StreamDelay | None:
    """Stream the audio. Returns None if the model did not run, or if the audio ended before the window."""
    stream = _stream(bench.account, audio, pace)
    url = service.url.replace("http", "ws") + "/twilio/media"
    played = await send_stream(url, stream, token=bench.account.auth_tokens[0].get_secret_value())
    if played.close_code != 1000:
        raise RuntimeError(f"the service rejected the stream: {played}")
    async with httpx2.AsyncClient(trust_env=False) as client:
        row = (await client.get(f"{service.url}/api/calls/{stream.call_sid}")).json()
    runs = [run for run in row["verdicts"] if run["window_ms"] is not None]
    if not runs:
        return None
    # The window length counts from the onset of speech, even if the window begins a little earlier.
    onset_ms = runs[-1]["onset_ms"]
    due_ms = onset_ms + max(run["window_ms"] for run in runs)
    if due_ms > len(audio) / BYTES_PER_MS - TAIL_MS:
        return None
    lasted_ms = 1000 * played.lasted_s
    return StreamDelay(lasted_ms - due_ms, lasted_ms - onset_ms)


def _stream(account: Account, audio: bytes, pace: float | None) -> MediaStream:
    call = MediaStream(account.account_sid, audio, pace=pace)
    key = stream_key(account.auth_tokens[0], CallSid(call.call_sid))
    return MediaStream(account.account_sid, audio, call.call_sid, pace=pace, parameters={"key": key})


if __name__ == "__main__":
    main()
