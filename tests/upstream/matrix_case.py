"""What a row of the matrix is: behaviours of the upstream, one an attempt, and what has to come of the chat."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from exchange import Behaviour
from responses import GOOD, TEXT

HTTP_1, HTTP_2 = "1.1", "2"
BOTH = (HTTP_1, HTTP_2)
COPIES = 1
Steps = Sequence[Behaviour]


@dataclass(frozen=True)
class Expect:
    outcome: str
    reasons: tuple[str, ...] = ("",)  # one of them
    attempts: tuple[int, int] = (1, 1)  # at least, at most; counted where they arrive
    message: dict[str, Any] | None = None  # members of the reply's message; None: not looked at
    not_before_ms: int = 0
    models: str = ""  # which was asked by each attempt, "a" for the first model; "" = not looked at

    def __str__(self) -> str:
        low, high = self.attempts
        told = " ".join([self.outcome, *([" or ".join(self.reasons)] if any(self.reasons) else [])])
        return f"{told}, {low if low == high else f'{low}..{high}'}"


def answered(attempts: int | tuple[int, int] = 1, message: dict[str, Any] | None = None, **more: Any) -> Expect:
    message = {"content": TEXT} if message is None else message
    return Expect("answered", ("",), as_range(attempts), message, **more)


def fallback(reason: str | tuple[str, ...], attempts: int | tuple[int, int], **more: Any) -> Expect:
    return Expect("fallback", (reason,) if isinstance(reason, str) else reason, as_range(attempts), **more)


def rejected(reason: str, attempts: int | tuple[int, int] = 1) -> Expect:
    return Expect("rejected", (reason,), as_range(attempts))


def as_range(attempts: int | tuple[int, int]) -> tuple[int, int]:
    return (attempts, attempts) if isinstance(attempts, int) else attempts


# Where a row is run: many chats at once on one worker; the same, but with one HTTP/2 stream a connection, for what hits
# a whole connection; a few at a time behind all those, because it takes much work; or one row after the other, because
# it changes the server or the worker for all; or with a worker that knows a name which does not exist.
CROWD, SINGLE, HEAVY, ALONE, DNS = "crowd", "single", "heavy", "alone", "dns"


@dataclass(frozen=True)
class Case:
    name: str
    runs: tuple[Steps, ...]  # the chats of the row, each with the behaviours of its attempts, the last for all others
    expect: Expect
    http: tuple[str, ...] = BOTH
    because: str = ""  # why the other way does not apply
    lane: str = CROWD
    stage: str = ""  # what is done to the server before (tests/upstream/matrix_stage.py)
    before: tuple[Steps, ...] = ()  # chats that come first, one after the other
    request: dict[str, Any] = dataclasses.field(default_factory=dict)  # more fields of the request
    told: bool = True  # the reply's `attempts` are those that arrived
    wait_ms: int = 0  # the row has its reply within so long; 0 = by the deadline


def case(name: str, behaviour: Behaviour | Steps, expect: Expect, copies: int = COPIES, **more: Any) -> list[Case]:
    steps = tuple(behaviour) if isinstance(behaviour, Sequence) else (behaviour,)
    return [Case(name, (steps,) * copies, expect, **more)]


def both(
    name: str, bad: Behaviour, for_ever: Expect, once: Expect | None = None, **more: Any
) -> list[Case]:
    """Two rows: all attempts are treated so, and only the first. Without `once` the second attempt is the answer."""
    return [
        *case(f"{name}, always", bad, for_ever, **more),
        *case(f"{name}, once", (bad, GOOD), answered(2) if once is None else once, **more),
    ]


def spread(
    name: str, bad: Iterable[Behaviour], expect: Expect, then: Behaviour | None = GOOD, **more: Any
) -> list[Case]:
    """One row for several behaviours that have to come to the same, each a chat; the second attempt is good."""
    runs = tuple((each,) if then is None else (each, then) for each in bad)
    return [Case(name, runs, expect, **more)]


def of_http(*http: str, because: str) -> Callable[[list[Case]], list[Case]]:
    """Rows that exist for one version only, and why."""
    return lambda cases: [dataclasses.replace(each, http=http, because=because) for each in cases]
