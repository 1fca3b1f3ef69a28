"""A plain stand-in for measuring: answers each POST with a stream of 20 deltas, as fast as Python can.

    stream_server.py [--spread MS] [--pieces N]

The answer goes out in N pieces (1 to 22) spread evenly over MS milliseconds. Prints its address and runs until it is
interrupted. Speaks just enough HTTP/1.1 for the benchmarks; use tests/upstream/scripted_server.py for tests.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "upstream"))
from scripted_server import answer_events, head  # noqa: E402


class Peer(asyncio.Protocol):
    def __init__(self, pieces: list[bytes], spread_s: float):
        self.pieces = pieces
        self.pause_s = spread_s / len(pieces)
        self.loop = asyncio.get_running_loop()
        self.seen = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.seen += data
        end = self.seen.find(b"\r\n\r\n")
        if end < 0:
            return
        at = self.seen.lower().find(b"content-length:")
        size = int(self.seen[at + 15 : self.seen.find(b"\r\n", at)])
        if len(self.seen) < end + 4 + size:
            return
        self.seen = self.seen[end + 4 + size :]
        if self.pause_s:
            self.loop.call_later(self.pause_s, self.send, 0)
        else:
            self.transport.writelines(self.pieces)

    def send(self, number: int) -> None:
        self.transport.write(self.pieces[number])
        if number + 1 < len(self.pieces):
            self.loop.call_later(self.pause_s, self.send, number + 1)


def cut_in_pieces(count: int) -> list[bytes]:
    chunks = [b"%x\r\n%s\r\n" % (len(event), event.encode()) for event in answer_events()]
    chunks[0] = head().encode() + chunks[0]
    chunks[-1] += b"0\r\n\r\n"
    bounds = [round(i * len(chunks) / count) for i in range(count + 1)]
    return [b"".join(chunks[a:b]) for a, b in zip(bounds, bounds[1:]) if a < b]


async def serve(spread_s: float, pieces: list[bytes]) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Peer(pieces, spread_s), "127.0.0.1", 0, backlog=8192)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/v1", flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spread", type=float, default=0.0, metavar="MS")
    parser.add_argument("--pieces", type=int, default=22)
    options = parser.parse_args()
    try:
        asyncio.run(serve(options.spread / 1000, cut_in_pieces(options.pieces)))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
