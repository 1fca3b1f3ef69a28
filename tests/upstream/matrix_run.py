"""Runs the rows of the matrix: chats through real workers on Apache Kafka against the hostile servers, one worker for
each way of running rows (see `Lane`), all at once.
"""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import harness
from harness import KEY, Replies, Reply, Sent, chat

from certificates import Certificates
from exchange import Arrival, Script
from hostile_http1 import Http1Server
from hostile_http2 import Http2Server
from loop_server import LoopServer
from matrix_case import ALONE, BOTH, CROWD, DNS, HEAVY, HTTP_1, HTTP_2, SINGLE, Case, Steps
from responses import GOOD

SECRETS = (KEY.encode(), b"SECRET-OF-THE-UPSTREAM")
# No more of the quick chats at once, so that the handshakes of one moment do not use up the clocks of another.
QUICK_AT_ONCE = 40
RUNS_MAX = 100
HEAVY_AT_ONCE = 4
# On a machine that has several times more to do than it can, all clocks are longer.
SCALE = 1 + min(2, int(os.getloadavg()[0] / (os.cpu_count() or 1) / 4))
DEADLINE_MS = 10_000 * SCALE
ALONE_DEADLINE_MS = 9_000 * SCALE
# No breaker opens and no budget runs out: each row shall see the failure table and nothing of its neighbours. For the
# same reason it has models of its own, whose times and patience are not those of others.
SETTINGS: dict[str, Any] = {
    "openrouter__models": ["matrix/of-none-a", "matrix/of-none-b"],
    "openrouter__connect_timeout_ms": 3000 * SCALE,
    "openrouter__first_token_timeout_ms": 3500 * SCALE,
    "openrouter__stall_timeout_ms": 2500 * SCALE,
    "chat__deadline_ms": DEADLINE_MS,
    "chat__publish_reserve_ms": 1500 * SCALE,
    "retry__budget_ratio": 10.0,
    "retry__budget_max": 1_000_000,
    "breaker__min_calls": 1_000_000,
    "worker__drain_ms": 2 * DEADLINE_MS + 10_000,
    "worker__max_in_flight": 4000,
}
PATIENCE = {
    "chat__deadline_ms": ALONE_DEADLINE_MS,
    "chat__publish_reserve_ms": 1000 * SCALE,
    "openrouter__first_token_timeout_ms": 1500 * SCALE,
    "openrouter__connect_timeout_ms": 1000 * SCALE,
    "worker__threads": 1,
}
NOBODY = "https://no-such-host.invalid/api/v1"
LANES: dict[str, dict[str, Any]] = {
    CROWD: {},
    SINGLE: {"openrouter__streams_per_connection": 1},
    ALONE: PATIENCE,
    DNS: {"openrouter__base_url": NOBODY},
}


@dataclass
class Run:
    """One chat of a row."""

    number: int
    steps: Steps
    sent: Sent | None = None
    reply: Reply | None = None
    arrivals: list[Arrival] = field(default_factory=list)

    @property
    def ms(self) -> int:
        return self.reply.timestamp_ms - self.sent.timestamp_ms if self.reply and self.sent else -1

    @property
    def reason(self) -> str:
        error = self.reply.body["error"] if self.reply else None
        return error["reason"] if error else ""


@dataclass
class Row:
    case: Case
    http: str
    first: int  # number of its first chat
    runs: list[Run] = field(default_factory=list)
    note: str = ""  # what a stage found wrong

    def __post_init__(self) -> None:
        self.runs = [Run(self.first + at, steps) for at, steps in enumerate(self.case.runs)]

    @property
    def name(self) -> str:
        return f"{self.case.name} · {self.http}"

    @property
    def applies(self) -> bool:
        return self.http in self.case.http

    @property
    def lost_at_most(self) -> int:
        """Attempts that may never arrive: in a flood the connection's end comes before they are read."""
        return 1 if self.case.lane == HEAVY and self.http == HTTP_2 else 0

    def wrong(self) -> list[str]:
        """What is not as expected; empty for a good row."""
        found = [self.note] if self.note else []
        for run in self.runs:
            found += [f"chat {run.number}: {what}" for what in self._wrong_of(run)]
        return found

    def _wrong_of(self, run: Run) -> Iterator[str]:
        expect = self.case.expect
        if run.reply is None:
            yield "no reply"
            return
        body, count = run.reply.body, len(run.arrivals)
        if body["outcome"] != expect.outcome or run.reason not in expect.reasons:
            yield f"{body['outcome']} {run.reason}"
        if not expect.attempts[0] - self.lost_at_most <= count <= expect.attempts[1]:
            yield f"{count} attempts arrived"
        # Over HTTP/2 a request can be sent into a connection that has just ended, where nobody writes it down.
        may_be_more = len(run.steps) + count if self.http == HTTP_2 else 0
        if self.case.told and not count <= body["attempts"] <= count + may_be_more:
            yield f"{body['attempts']} attempts told, {count} arrived"
        limit = ALONE_DEADLINE_MS if self.case.lane == ALONE else DEADLINE_MS
        if not expect.not_before_ms <= run.ms <= limit:
            yield f"replied after {run.ms} ms"
        if expect.models and "".join(each.model[-1] for each in run.arrivals) != expect.models:
            yield f"models {[each.model for each in run.arrivals]}"
        for name, value in (expect.message or {}).items():
            got = body["message"].get(name)
            if (got.rstrip(" ") if isinstance(got, str) else got) != value:
                yield f"message.{name} is {got!r}"
        if any(secret in part for secret in SECRETS for part in [run.reply.value, *run.reply.headers.values()]):
            yield "the reply has what nobody may see"
        if any(each.authorization != f"Bearer {KEY}" for each in run.arrivals):
            yield "a request without the key"


@dataclass
class Means:
    """What all lanes share."""

    certificates: Certificates
    elsewhere: LoopServer  # where redirects lead to


class Lane:
    """A server, a worker that talks to it, and the topics between."""

    def __init__(self, place: tuple[str, str], folder: Path, broker: harness.Broker, means: Means) -> None:
        self.name, self.http = place
        self.certificates = certificates = means.certificates
        name, http = place
        self.script = Script(default=(GOOD,), elsewhere=means.elsewhere.url)
        kind = Http1Server if http == HTTP_1 else Http2Server
        self.server: LoopServer = kind(self.script, certificates.context("good"))
        self.site = harness.Site(broker, f"matrix-{name}-{http.replace('.', '')}")
        self.folder = folder / self.site.name
        self.folder.mkdir()

    @contextmanager
    def running(self) -> Iterator[Lane]:
        with self.server:
            name, settings = self.site.name, self.settings()
            self.worker = harness.Worker(self.folder, name, self.site, self.server.url, **settings).start()
            self.producer = harness.Producer(self.site)
            self.replies = Replies(self.site)
            try:
                yield self
            finally:
                self.producer.close()
                self.replies.close()
                self.worker.end()

    def settings(self) -> dict[str, Any]:
        certificate = {"openrouter__ca_file": str(self.certificates.authority), "openrouter__http_version": self.http}
        return SETTINGS | LANES[self.name] | certificate

    def ask(self, runs: Sequence[Run], request: dict[str, Any]) -> None:
        """Sends the chats of a row."""
        models = [f"matrix/{self.name}-{runs[0].number}-{which}" for which in "ab"] if runs else []
        more = {"models": models} | {name: value for name, value in request.items() if name not in ("text", "history")}
        for run in runs:
            self.script.steps[run.number] = run.steps
        bodies = []
        for run in runs:
            text = f"chat-{run.number}- {request.get('text', 'Hello')}"
            body = chat(f"m-{run.number}", f"c-{run.number}", text, **more)
            body["messages"] = [*request.get("history", []), *body["messages"]]
            bodies.append(body)
        for run, sent in zip(runs, self.producer.send_all(bodies), strict=True):
            run.sent = sent

    def settle(self, runs: Sequence[Run], limit_s: float) -> None:
        """Waits for the replies of these chats and gives each what came of it."""
        end = time.monotonic() + limit_s
        while any(run.reply is None for run in runs) and time.monotonic() < end:
            self.look(runs)
        for run in runs:
            run.arrivals = self.script.journal[run.number]

    def look(self, runs: Sequence[Run]) -> None:
        """Gives these chats the replies that have come."""
        self.replies.poll()
        by_source = {reply.source: reply for reply in self.replies.all}
        for run in runs:
            if run.sent and run.reply is None:
                run.reply = by_source.get((run.sent.partition, run.sent.offset))


def is_slow(row: Row) -> bool:
    return "timeout" in row.case.expect.reasons


def run_crowd(lane: Lane, rows: Sequence[Row]) -> None:
    """First what lasts long, then the others beside it."""
    slow = [row for row in rows if is_slow(row)]
    quick = [row for row in rows if not is_slow(row)]
    for row in slow:
        lane.ask(row.runs, row.case.request)
    asked: list[Run] = []
    for row in quick:
        lane.ask(row.runs, row.case.request)
        asked += row.runs
        harness.until("there is room for the next row", functools.partial(has_room, lane, asked), DEADLINE_MS / 1000)
    lane.settle([run for row in rows for run in row.runs], 2 * DEADLINE_MS / 1000)


def has_room(lane: Lane, asked: list[Run]) -> bool:
    lane.look(asked)
    return sum(run.reply is None for run in asked) < QUICK_AT_ONCE


def run_heavy(lane: Lane, rows: Sequence[Row]) -> None:
    """A few at a time; those that go on to the deadline together."""
    rows = sorted(rows, key=lambda row: "without end" in row.case.name)
    for at in range(0, len(rows), HEAVY_AT_ONCE):
        group = rows[at : at + HEAVY_AT_ONCE]
        for row in group:
            lane.ask(row.runs, row.case.request)
        lane.settle([run for row in group for run in row.runs], 2 * DEADLINE_MS / 1000)


def make_rows(cases: Sequence[Case]) -> list[Row]:
    """Two of each case, unless another case of this name is the other one."""
    known = {(case.name, http) for case in cases for http in case.http}
    places = [(case, http) for case in cases for http in BOTH if http in case.http or (case.name, http) not in known]
    return [Row(case, http, (at + 1) * RUNS_MAX) for at, (case, http) in enumerate(places)]


RunRows = Callable[[Lane, Sequence[Row]], None]


def lane_of(row: Row) -> tuple[str, str]:
    """Heavy rows have no worker of their own."""
    if row.case.lane == HEAVY:
        return (CROWD, HTTP_1) if row.http == HTTP_1 else (SINGLE, HTTP_2)
    return row.case.lane, row.http


def run_rows(folder: Path, broker: harness.Broker, rows: Sequence[Row], run_alone: RunRows) -> None:
    """Runs all rows that apply. The heavy ones come last, when nobody else's clocks run."""
    means = Means(Certificates(folder), Http1Server(Script(default=(GOOD,))))
    rows = [row for row in rows if row.applies]
    with ExitStack() as stack:
        stack.enter_context(means.elsewhere)
        # Started here, by the thread that stays: processes end with the thread that started them.
        lanes = {
            place: stack.enter_context(Lane(place, folder, broker, means).running())
            for place in sorted({lane_of(row) for row in rows})
        }
        for lane in lanes.values():
            lane.worker.wait_ready()
        for kinds in ({CROWD: run_crowd, SINGLE: run_crowd, DNS: run_crowd, ALONE: run_alone}, {HEAVY: run_heavy}):
            work = [
                (kinds[kind], lane, [row for row in rows if row.case.lane == kind and lane_of(row) == place])
                for place, lane in lanes.items()
                for kind in kinds
            ]
            run_at_once([(run, lane, chosen) for run, lane, chosen in work if chosen])
        end_lanes(list(lanes.values()))
        assert means.elsewhere.connections == 0, "a redirect was followed"


def run_at_once(work: Sequence[tuple[RunRows, Lane, Sequence[Row]]]) -> None:
    problems: list[BaseException] = []

    def do(run: RunRows, lane: Lane, rows: Sequence[Row]) -> None:
        try:
            run(lane, rows)
        except BaseException as error:  # noqa: BLE001
            problems.append(error)

    threads = [threading.Thread(target=do, args=each) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]


def end_lanes(lanes: Sequence[Lane]) -> None:
    """The workers have to end well, without a word of a sanitizer, and the servers without mistakes of their own."""
    for lane in lanes:
        lane.worker.terminate()
    for lane in lanes:
        code = lane.worker.wait()
        assert code == 0, f"{lane.site.name} ended with {code}: {lane.worker.tail()}"
        assert "Sanitizer" not in lane.worker.log.read_text(errors="replace")
        assert not lane.server.errors, lane.server.errors


# The table


def table(rows: Sequence[Row]) -> str:
    lines = [("behaviour", "HTTP", "outcome", "reason", "attempts", "ms", "expected", "")]
    for row in rows:
        lines.append(as_line(row))
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    padded = [[f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)] for line in lines]
    return "\n".join("  ".join(line).rstrip() for line in padded)


def as_line(row: Row) -> tuple[str, ...]:
    if not row.applies:
        return (row.case.name, row.http, "–", "", "", "", row.case.because, "n/a")
    outcomes = {run.reply.body["outcome"] if run.reply else "none" for run in row.runs}
    reasons = {run.reason for run in row.runs}
    counts = [len(run.arrivals) for run in row.runs]
    low, high = min(counts), max(counts)
    return (
        row.case.name, row.http, "/".join(sorted(outcomes)), "/".join(sorted(reasons - {""})),
        f"{low}" if low == high else f"{low}..{high}", str(max(run.ms for run in row.runs)), str(row.case.expect),
        "WRONG" if row.wrong() else "ok",
    )  # fmt: skip
