"""The rows that are run one after the other, because they change the server or the worker for everybody: who opens the
door, connections that were used before, settings of a connection, the account."""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
from collections.abc import Callable, Sequence
from typing import cast

import harness
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from certificates import BAD_NAMES
from exchange import Behaviour, Exchange
from hostile_http2 import STREAMS, Http2Exchange, Http2Server
from loop_server import Greeting
from matrix_case import ALONE, DNS, HTTP_1, HTTP_2, Case, Expect, Steps, answered, fallback, of_http
from matrix_http import go_away
from matrix_run import ALONE_DEADLINE_MS, Lane, Row, Run
from responses import DONE, FINISH, GOOD, failing, late, on_reuse, respond, silent, words

Stage = Callable[[Lane], None]
SLOW_GOOD = late(300, GOOD)


def alone(
    name: str, runs: Sequence[Steps], expect: Expect, stage: str = "", before: Sequence[Steps] = (), told: bool = True
) -> Case:
    return Case(name, tuple(runs), expect, lane=ALONE, stage=stage, before=tuple(before), told=told)


def mute() -> Behaviour:
    """From now on nothing that comes on this connection is heard, and nothing said: as if dropped on the way."""

    async def behave(x: Exchange) -> None:
        if isinstance(x, Http2Exchange):
            x.peer.is_muted = True
        await x.until_gone()

    return behave


# Greetings: what a door does that speaks no HTTP


async def attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Listens to what comes."""


async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1 << 16)


async def rubbish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1 << 16)
    writer.write(b"220 mail.example ESMTP ready\r\n" * 20)


async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def plain_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1 << 16)
    writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")


def greeting(who: Greeting) -> Stage:
    return lambda lane: lane.server.greet(who)


def certificate(name: str) -> Stage:
    return lambda lane: lane.server.greet(attend, lane.certificates.context(name))


def old_tls(lane: Lane) -> None:
    context = lane.certificates.context("good")
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    lane.server.open(context)


def streams_at_most(count: int) -> Stage:
    def stage(lane: Lane) -> None:
        cast(Http2Server, lane.server).settings[SettingCodes.MAX_CONCURRENT_STREAMS] = count
        lane.server.open(lane.certificates.context("good"))

    return stage


def refuse_account(lane: Lane) -> None:
    lane.server.answers_key = False


def wait_cured(lane: Lane) -> None:
    lane.server.answers_key = True
    harness.until("the account works again", lambda: lane.worker.get("/readyz")[0] == 200, 45)


STAGES: dict[str, Stage] = {
    "": lambda lane: None,
    "nobody listens": lambda lane: lane.server.shut(),
    "nobody takes": lambda lane: lane.server.fill(),
    "hold": greeting(hold),
    "rubbish": greeting(rubbish),
    "leave": greeting(leave),
    "plain HTTP": greeting(plain_http),
    "old TLS": old_tls,
    "hang up": lambda lane: lane.server.open(lane.certificates.context("good")),
    "no streams": streams_at_most(0),
    "one stream": streams_at_most(1),
    "account refused": refuse_account,
    "account cured": wait_cured,
    **{f"certificate {name}": certificate(name) for name in BAD_NAMES},
}


def doors() -> list[Case]:
    never = [(GOOD,)]
    # "connect" on a machine that is too busy to shake hands in time.
    unsafe = fallback(("tls", "connect"), 0)
    return [
        alone("nobody listens", never, fallback("connect", 0), "nobody listens"),
        alone("connections are never taken", never, fallback("connect", 0), "nobody takes"),
        alone("a handshake that never ends", never, fallback("connect", 0), "hold"),
        alone("rubbish for a handshake", never, unsafe, "rubbish"),
        alone("plain HTTP for a handshake", never, unsafe, "plain HTTP"),
        alone("closed for a handshake", never, unsafe, "leave"),
        alone("nothing newer than TLS 1.1", never, unsafe, "old TLS"),
        *(alone(f"certificate: {name}", never, unsafe, f"certificate {name}") for name in BAD_NAMES),
        alone("the door is open again", never, answered()),
    ]  # fmt: skip


def used_connections() -> list[Case]:
    four = [(SLOW_GOOD,)] * 4
    muted = on_reuse(mute(), GOOD)
    return [
        alone("an idle connection is closed", [(GOOD,)], answered(), "hang up", before=[(GOOD,)]),
        alone("an idle connection is dropped silently", [(muted, GOOD)], answered(2), before=[(GOOD,)]),
        alone("all idle connections are dropped silently", [(muted, muted, GOOD)] * 2, answered((1, 2)), before=four),
        alone("FIN at the second request", [(on_reuse(silent(then="break off"), GOOD), GOOD)], answered((1, 2)),
              before=[(GOOD,)]),
        alone("RST at the second request", [(on_reuse(silent(then="reset"), GOOD), GOOD)], answered((1, 2)),
              before=[(GOOD,)]),
        alone("FIN a second after the second request",
              [(on_reuse(silent(500, then="break off"), GOOD), GOOD)], answered(2), before=[(GOOD,)]),
    ]  # fmt: skip


def shared_connections() -> list[Case]:
    """HTTP/2: what one stream does to the others of its connection."""
    calm, no_error = ErrorCodes.ENHANCE_YOUR_CALM, ErrorCodes.NO_ERROR
    some = words()[:5]
    gently = go_away(no_error, *some, after=[*words()[5:], FINISH, DONE], closes=False)
    rows = [
        alone("a connection goes silent under four chats", [(mute(), GOOD), *([(SLOW_GOOD,)] * 3)], answered((1, 2)),
              before=[(GOOD,)], told=False),
        alone("the chats after that", [(GOOD,)] * 4, answered()),
        alone("GOAWAY, all four go on", [(gently, GOOD), *([(SLOW_GOOD,)] * 3)], answered(), before=[(GOOD,)]),
        alone("GOAWAY and closed under four",
              [(late(100, go_away(calm, *some)), GOOD), *([(late(400, GOOD), GOOD)] * 3)], answered((1, 3)),
              before=[(GOOD,)]),
        alone("one of four is reset", [(late(100, respond(*some, then="reset")), GOOD), *([(SLOW_GOOD,)] * 3)],
              answered((1, 2)), before=[(GOOD,)]),
        alone("MAX_CONCURRENT_STREAMS 1, four at once", [(SLOW_GOOD,)] * 4, answered(), "one stream"),
        alone("MAX_CONCURRENT_STREAMS 0", [(GOOD,)], fallback(("timeout", "stream_broken"), 0), "no streams",
              told=False),
        alone("streams again", [(GOOD,)], answered((1, 2))),
    ]  # fmt: skip
    return of_http(HTTP_2, because="a connection has one request at a time")(rows)


def account() -> list[Case]:
    return [
        alone("status 401, Retry-After 1e9", [(failing(401, "1e9"),)], fallback("auth", 1), "account refused"),
        alone("a chat while the account is refused", [(GOOD,)], fallback("auth", 0)),
        alone("the account works again", [(GOOD,)], answered(), "account cured"),
        alone("status 402, Retry-After junk", [(failing(402, "junk"),)], fallback("credits", 1), "account refused"),
        alone("a chat while there is no credit", [(GOOD,)], fallback("credits", 0)),
    ]


def names() -> list[Case]:
    row = dataclasses.replace(alone("a name that does not exist", [(GOOD,)], fallback(("dns", "connect"), 0)), lane=DNS)
    return of_http(HTTP_1, because="it is found out before HTTP")([row])


ALONE_CASES: list[Case] = [*names(), *doors(), *used_connections(), *shared_connections(), *account()]


def run_alone(lane: Lane, rows: Sequence[Row]) -> None:
    limit_s = 2 * ALONE_DEADLINE_MS / 1000
    number = 10_000_000
    for row in rows:
        earlier = [Run(number + at, steps) for at, steps in enumerate(row.case.before)]
        number += len(earlier)
        lane.ask(earlier, {})
        lane.settle(earlier, limit_s)
        received = lane.server.received
        STAGES[row.case.stage](lane)
        lane.ask(row.runs, row.case.request)
        lane.settle(row.runs, limit_s)
        if row.case.stage.startswith("certificate") and lane.server.received > received:
            row.note = "something was sent to a peer that is not to be trusted"
        if row.case.stage and not row.case.stage.startswith("account"):
            if isinstance(lane.server, Http2Server):
                lane.server.settings[SettingCodes.MAX_CONCURRENT_STREAMS] = STREAMS
            lane.server.open(lane.certificates.context("good"))
