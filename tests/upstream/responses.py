"""Responses as data: what comes in which pieces and how it ends, good and bad, for whichever version of HTTP.

    respond(stream("Hello."))                                     # a good answer
    respond(": OPENROUTER PROCESSING\\n\\n", Pause(500), then=RESET)  # a comment, then the connection breaks
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import time
from dataclasses import dataclass
from typing import Any

from exchange import EVENTS, JSON, Behaviour, Exchange, Headers

END, HOLD, BREAK_OFF, RESET, NOTHING = "end", "hold", "break off", "reset", "nothing"
TEXT = "The quick brown fox jumps over the lazy dog — twice."
ID = "gen-matrix"
MODEL = "matrix/answering"


@dataclass(frozen=True)
class Pause:
    ms: int


@dataclass(frozen=True)
class Repeat:
    piece: bytes | str
    times: int = 1 << 40  # for ever
    pause_ms: int = 0


Part = bytes | str | Pause | Repeat


def as_bytes(piece: bytes | str) -> bytes:
    return piece.encode() if isinstance(piece, str) else piece


async def play(x: Exchange, part: Part) -> None:
    if isinstance(part, Pause):
        await asyncio.sleep(part.ms / 1000)
    elif isinstance(part, Repeat):
        piece = as_bytes(part.piece)
        for _ in range(part.times):
            await x.send(piece)
            await asyncio.sleep(part.pause_ms / 1000)
    else:
        await x.send(as_bytes(part))


async def go(x: Exchange, then: str) -> None:
    if then == END:
        await x.end()
    elif then == HOLD:
        await x.until_gone()
    elif then == BREAK_OFF:
        x.break_off()
    elif then == RESET:
        x.reset()


def respond(*parts: Part, status: int = 200, headers: Headers = (), kind: str = EVENTS, then: str = END) -> Behaviour:
    async def behave(x: Exchange) -> None:
        await x.head(status, headers, kind)
        for part in parts:
            await play(x, part)
        await go(x, then)

    return behave


def silent(pause_ms: int = 0, then: str = HOLD) -> Behaviour:
    """Not even a status line."""

    async def behave(x: Exchange) -> None:
        await asyncio.sleep(pause_ms / 1000)
        await go(x, then)

    return behave


def late(pause_ms: int, behaviour: Behaviour) -> Behaviour:
    async def behave(x: Exchange) -> None:
        await asyncio.sleep(pause_ms / 1000)
        await behaviour(x)

    return behave


def on_reuse(behaviour: Behaviour, otherwise: Behaviour) -> Behaviour:
    """Depends on whether the connection has served a request before."""

    async def behave(x: Exchange) -> None:
        await (behaviour if x.arrival.used else otherwise)(x)

    return behave


def interim(status: int, behaviour: Behaviour, headers: Headers = ()) -> Behaviour:
    async def behave(x: Exchange) -> None:
        await x.head(status, headers, kind="")
        await behaviour(x)

    return behave


def trailers(behaviour_parts: Part, lines: Headers) -> Behaviour:
    async def behave(x: Exchange) -> None:
        await x.head()
        await play(x, behaviour_parts)
        await x.end(lines)

    return behave


def json_body(body: Any, status: int = 200, headers: Headers = (), then: str = END) -> Behaviour:
    return respond(json.dumps(body), status=status, headers=headers, kind=JSON, then=then)


def page(text: str, status: int = 200, headers: Headers = (), kind: str = "text/html") -> Behaviour:
    return respond(text, status=status, headers=headers, kind=kind)


# Event streams


def event(content: Any, end: str = "\n") -> str:
    return f"data: {content if isinstance(content, str) else json.dumps(content)}{end}{end}"


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return {"id": ID, "model": MODEL, "choices": [choice], **more}


def word(text: str, end: str = "\n") -> str:
    return event(chunk({"role": "assistant", "content": text}), end)


USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "cost": 0.001}
FINISH = event(chunk({"content": ""}, "stop"))
LAST_USAGE = event({"id": ID, "model": MODEL, "choices": [], "usage": USAGE})
DONE = event("[DONE]")
COMMENT = ": OPENROUTER PROCESSING\n\n"


def words(text: str = TEXT, end: str = "\n") -> list[str]:
    return [word(each + " ", end) for each in text.split(" ")]


def stream(text: str = TEXT, end: str = "\n") -> str:
    """A whole good one."""
    ending = FINISH + LAST_USAGE + DONE
    return "".join(words(text, end)) + ending.replace("\n", end)


def deltas(*each: dict[str, Any], finish: str | None = "stop", done: bool = True) -> str:
    """A stream of these deltas."""
    events = [event(chunk(delta)) for delta in each]
    return "".join(events) + (event(chunk({}, finish)) if finish else "") + (DONE if done else "")


# Bodies that are not streams


def whole(message: dict[str, Any] | None = None, finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": TEXT} if message is None else message
    choice = {"index": 0, "message": message, "finish_reason": finish, **more}
    return {"id": ID, "model": MODEL, "choices": [choice], "usage": USAGE}


def error(code: int | str | None, message: str = "SECRET-OF-THE-UPSTREAM", **more: Any) -> dict[str, Any]:
    known = {} if code is None else {"code": code}
    return {"error": {**known, "message": message, **more}, "user_id": "user-SECRET-OF-THE-UPSTREAM"}


def typed(error_type: str, code: int = 500) -> dict[str, Any]:
    return error(code, metadata={"error_type": error_type})


def redirect(status: int, target: str) -> Behaviour:
    """`target` may have {there}, another server, and {port}, its port."""

    async def behave(x: Exchange) -> None:
        port = x.elsewhere.split(":")[2].split("/")[0]
        location = target.format(there=x.elsewhere + "/chat/completions", port=port)
        await respond(status=status, headers=[("location", location)])(x)

    return behave


# Retry-After in all its forms; dates are made when the response is.


def date_in(seconds: float, form: str = "%a, %d %b %Y %H:%M:%S GMT") -> str:
    moment = time.gmtime(time.time() + seconds)
    return email.utils.formatdate(time.time() + seconds, usegmt=True) if form == "imf" else time.strftime(form, moment)


RETRY_AFTER = {
    "none": lambda: (),
    "0": lambda: (("Retry-After", "0"),),
    "1": lambda: (("Retry-After", "1"),),
    "-5": lambda: (("Retry-After", "-5"),),
    "1e9": lambda: (("Retry-After", "1000000000"),),
    "0.3": lambda: (("Retry-After", "0.3"),),
    "IMF date": lambda: (("Retry-After", date_in(1, "imf")),),
    "RFC 850 date": lambda: (("Retry-After", date_in(1, "%A, %d-%b-%y %H:%M:%S GMT")),),
    "asctime date": lambda: (("Retry-After", date_in(1, "%a %b %e %H:%M:%S %Y")),),
    "past date": lambda: (("Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT"),),
    "junk": lambda: (("Retry-After", "a while"),),
    "blank": lambda: (("Retry-After", ""),),
    "in ms": lambda: (("Retry-After-Ms", "300"),),
}


def failing(status: int, form: str = "none", body: Any = None) -> Behaviour:
    """An error status, with Retry-After in one of its forms."""

    async def behave(x: Exchange) -> None:
        await json_body(error(status) if body is None else body, status, RETRY_AFTER[form]())(x)

    return behave


GOOD = respond(stream())
