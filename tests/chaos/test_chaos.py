"""Workers under load while everything around them breaks by chance; then calm, and the whole history is judged.

CHAOS_SECONDS is how long things break (120); CHAOS_SEED repeats what is done in which order, as the report prints it.
"""

from __future__ import annotations

import os
import random
import statistics
import time
from collections import Counter

import checker
import pytest
from checker import History
from harness import Replies, Worker, audit, audit_findings, chat, until
from nemesis import COMMITTED, Crew, Fault, Nemesis
from stage import Load, all_topics, open_ends

SECONDS = float(os.environ.get("CHAOS_SECONDS", "120"))
SEED = int(os.environ.get("CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
WORKERS = 3
CALM = 200
# After the last fault: the session and the transaction of whoever died last, and half a minute.
CONVERGE_S = 30.0 + 2.0 + 4.0


@pytest.fixture
def crew(make_worker, upstream) -> Crew:
    workers = [make_worker(upstream.url, f"w{i}", chat__deadline_ms=60000, worker__drain_ms=61000,
                           kafka__producer_properties=["transaction.timeout.ms=4000"]).start() for i in range(WORKERS)]
    for worker in workers:
        worker.wait_ready()
    return Crew(workers)


def counted(workers: list[Worker]) -> int:
    return sum(int(worker.metric(COMMITTED)) for worker in workers)


def recoveries(history: History, faults: list[Fault]) -> dict[str, list[float]]:
    """For each fault, how long after its end the last reply was made to what had been sent before that end, in s."""
    made = {reply.source: reply.timestamp_ms for reply in history.replies}
    found: dict[str, list[float]] = {}
    for fault in faults:
        late = [made[request.place] - fault.end_ms for request in history.requests
                if request.timestamp_ms <= fault.end_ms < made.get(request.place, 0)]
        found.setdefault(fault.kind, []).append(max(late, default=0) / 1000)
    return found


def report(history: History, nemesis: Nemesis, converged_s: float, verdicts: list[checker.Verdict]) -> str:
    lines = [f"chaos: seed {SEED}, {SECONDS:g} s, faults {dict(Counter(fault.kind for fault in nemesis.faults))}",
             f"  producers renewed {nemesis.crew.restarts}, converged {converged_s:.1f} s after the last fault"]
    for kind, times in recoveries(history, nemesis.faults).items():
        lines.append(f"  {kind:13} {len(times):3} times, recovered after p50 {statistics.median(times):.2f} s, "
                     f"max {max(times):.2f} s")
    lines += [f"  {verdict}" for verdict in verdicts]
    return "\n".join(lines)


def calm_wave(site, crew: Crew, replies: Replies, producer) -> tuple[list, tuple[int, int]]:
    before = counted(crew.workers)
    have = len(replies.all)
    sent = producer.send_all([chat(f"calm{i}", f"calm{i % 20}", f"calm {i}") for i in range(CALM)])
    replies.wait(have + CALM)
    until("all is counted", lambda: counted(crew.workers) >= before + CALM)
    return sent, (CALM, counted(crew.workers) - before)


def test_chaos_everything_breaks_and_every_request_has_one_reply(
        crew, upstream, producer, replies, site, broker, proxy, capsys):
    load = Load(site, conversations=200, burst=4, is_tolerant=True)
    nemesis = Nemesis(SEED, crew, broker, proxy)
    try:
        nemesis.run(SECONDS)
    finally:
        sent = load.stop()
    healed = time.monotonic()
    for worker in crew.workers:
        assert worker.process.poll() is None, f"seed {SEED}: {worker.name} has ended by itself: {worker.tail()}"
    asked = len(checker.read_topic(site.bootstrap, site.requests))
    replies.wait(asked, CONVERGE_S)
    converged_s = time.monotonic() - healed
    for worker in crew.workers:
        worker.wait_ready()
    calm_sent, calm = calm_wave(site, crew, replies, producer)
    until("no transaction is open", lambda: not open_ends(site.bootstrap, all_topics(site)), CONVERGE_S)
    until("progress has reached the end",
          lambda: sum(worker.metric("chat_worker_consumer_lag") for worker in crew.workers) == 0)
    for worker in crew.workers:
        crew.note(worker)
    history = checker.read(site, [*sent, *calm_sent], upstream.calls())
    history.counted, history.calm = crew.counted, calm
    verdicts = checker.check(history)
    with capsys.disabled():
        print("\n" + report(history, nemesis, converged_s, verdicts))
    # A second opinion, by another client and other code.
    opinion = audit(site, "--deadline", "0", "--group", site.group, "--dead-letters", site.dead_letters)[1]
    told = (opinion["requests"], opinion["replies"], opinion["open"], audit_findings(opinion))
    assert told == (len(history.requests), len(history.replies), 0, {}), f"seed {SEED}"
    assert not crew.exits, f"seed {SEED}: ended by themselves: {crew.exits}"
    assert not [verdict for verdict in verdicts if verdict.wrong], f"seed {SEED}"
