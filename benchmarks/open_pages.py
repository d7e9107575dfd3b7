"""`python -m benchmarks.open_pages URL COUNT`: keeps live pages open until its standard input ends.

A process of its own, so that reading the pages does not slow down the clients that are measured. Prints `open` as soon
as every page has its rows, and the number of received events at the end.
"""

import asyncio
import sys
from urllib.parse import urlsplit


def main() -> None:
    asyncio.run(keep_open(sys.argv[1], int(sys.argv[2])))


async def keep_open(url: str, count: int) -> None:
    """Read `count` streams of events of the page of calls."""
    events = [0] * count
    first = [asyncio.Event() for _ in range(count)]

    async def read(number: int) -> None:
        address = urlsplit(url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(f"GET /calls/events HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
        while received := await reader.read(2**20):
            if count_now := received.count(b"</hx-partial>"):
                events[number] += count_now
                first[number].set()

    tasks = [asyncio.create_task(read(number)) for number in range(count)]
    await asyncio.gather(*(event.wait() for event in first))
    print("open", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    print(sum(events), flush=True)
    for task in tasks:
        task.cancel()


if __name__ == "__main__":
    main()
