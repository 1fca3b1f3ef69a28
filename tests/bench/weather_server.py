"""A model service with weather: answers take their time, and a share of the requests goes wrong.

    weather_server.py [--port N] [--seed N] [--p50 MS] [--p95 MS] [--errors S] [--stuck S] [--empty S] [--slow MODEL=FACTOR]

Times to the whole answer are log-normal with the given median and 95th percentile; the first content comes after two
fifths of them. Shares are of the requests: errors are a status (--status, 502) within 100 ms, stuck ones send keep-alive comments for ever,
empty ones end without content. What happens to a request is a pure function of seed, model, text and how often this text
was asked of this model. `GET /counts` tells the requests by model. Runs on aiohttp, until it is ended.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import random
import sys
from collections import Counter

from aiohttp import web

PIECES = 8
Z95 = 1.6449  # of the normal distribution
KEEPALIVE_S = 0.7
STUCK_S = 60


class Weather:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.sigma = math.log(options.p95 / options.p50) / Z95
        self.slow = {model: float(factor) for model, _, factor in (each.rpartition("=") for each in options.slow)}
        self.asked: Counter[tuple[str, str]] = Counter()
        self.counts: Counter[str] = Counter()

    def draw(self, model: str, text: str) -> tuple[str, float]:
        """What happens to the next request of this text, and after how many seconds it is over."""
        number = self.asked[model, text]
        self.asked[model, text] += 1
        self.counts[model] += 1
        dice = random.Random(f"{self.options.seed}/{model}/{text}/{number}")
        lot = dice.random()
        seconds = self.options.p50 / 1000 * math.exp(self.sigma * dice.gauss(0, 1)) * self.slow.get(model, 1)
        for name in ("errors", "stuck", "empty"):
            share = getattr(self.options, name)
            if lot < share:
                return name, min(seconds, 0.1) if name == "errors" else seconds
            lot -= share
        return "answer", seconds


def event(content: str | None, finish: str | None = None) -> bytes:
    delta = {} if content is None else {"content": content}
    chunk = {"id": "gen-weather", "model": "weather", "choices": [{"delta": delta, "finish_reason": finish}]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


async def wait_and_keep_alive(stream: web.StreamResponse, seconds: float) -> None:
    while seconds > 0:
        await asyncio.sleep(min(seconds, KEEPALIVE_S))
        seconds -= KEEPALIVE_S
        await stream.write(b": OPENROUTER PROCESSING\n\n")


async def complete(request: web.Request) -> web.StreamResponse:
    weather: Weather = request.app[WEATHER]
    body = await request.json()
    kind, seconds = weather.draw(body["model"], str(body["messages"][-1]["content"]))
    if kind == "errors":
        await asyncio.sleep(seconds)
        status = weather.options.status
        return web.json_response({"error": {"code": status, "message": "weather"}}, status=status)
    stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await stream.prepare(request)
    try:
        if kind == "stuck":
            await wait_and_keep_alive(stream, STUCK_S)
        elif kind == "empty":
            await wait_and_keep_alive(stream, seconds)
            await stream.write(event(None, "stop") + b"data: [DONE]\n\n")
        else:
            await wait_and_keep_alive(stream, seconds * 0.4)
            for _ in range(PIECES - 1):
                await stream.write(event("fair "))
                await asyncio.sleep(seconds * 0.6 / (PIECES - 1))
            await stream.write(event("weather", "stop") + b"data: [DONE]\n\n")
        await stream.write_eof()
    except ConnectionResetError:
        pass  # the worker has seen enough
    return stream


WEATHER = web.AppKey("weather", Weather)


async def serve(options: argparse.Namespace) -> None:
    app = web.Application(client_max_size=16 << 20)
    weather = app[WEATHER] = Weather(options)

    async def counts(_: web.Request) -> web.Response:
        return web.json_response(weather.counts)

    app.add_routes([web.post("/api/v1/chat/completions", complete), web.get("/counts", counts),
                    web.get("/api/v1/key", lambda _: web.json_response({"data": {"limit_remaining": None}}))])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", options.port, backlog=8192)
    await site.start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}/api/v1", flush=True)
    while os.getppid() == options.parent:
        await asyncio.sleep(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--p50", type=float, default=1500, metavar="MS")
    parser.add_argument("--p95", type=float, default=5000, metavar="MS")
    for name in ("errors", "stuck", "empty"):
        parser.add_argument(f"--{name}", type=float, default=0.0, metavar="SHARE")
    parser.add_argument("--status", type=int, default=502, help="of the errors")
    parser.add_argument("--slow", action="append", default=[], metavar="MODEL=FACTOR")
    options = parser.parse_args()
    options.parent = os.getppid()
    try:
        asyncio.run(serve(options))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
