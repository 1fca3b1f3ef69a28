"""Workers under load while everything around them breaks by chance; then calm, and the whole history is judged.

CHAOS_SECONDS is how long things break (120, or 25 when CHAOS_SIZE is short); CHAOS_SEED repeats what is done in which
order, as the report prints it.
"""

from __future__ import annotations

import os
import time
from collections import Counter

import checker
import pytest
from chaos_size import SEED, is_sanitized, is_short
from harness import Replies, Worker, audit, audit_findings, chat, until
from history import History, Limits
from nemesis import COMMITTED, Crew, Nemesis
from stage import Load, all_topics, open_ends
from watch import Watch, group_state, is_stable, now_ms

SECONDS = float(os.environ.get("CHAOS_SECONDS", "25" if is_short() else "120"))
WORKERS = 3
CALM = 200
# After the last fault: the session and the transaction of whoever died last, and half a minute.
CONVERGE_S = 30.0 + 2.0 + 4.0
DEADLINE_MS = 60_000
IN_FLIGHT = 1000
RSS_MAX = 256 << 20


@pytest.fixture
def crew(make_worker, upstream) -> Crew:
    workers = [make_worker(upstream.url, f"w{i}", chat__deadline_ms=DEADLINE_MS, worker__drain_ms=61000,
                           worker__max_in_flight=IN_FLIGHT, kafka__properties=[f"client.id=w{i}"],
                           kafka__producer_properties=["transaction.timeout.ms=4000"]).start() for i in range(WORKERS)]
    for worker in workers:
        worker.wait_ready()
    return Crew(workers)


def counted(workers: list[Worker]) -> int:
    return sum(int(worker.metric(COMMITTED)) for worker in workers)


def report(nemesis: Nemesis, verdicts: list[checker.Verdict]) -> str:
    lines = [f"chaos: seed {SEED}, {SECONDS:g} s, faults {dict(Counter(fault.kind for fault in nemesis.faults))}",
             f"  producers renewed {nemesis.crew.restarts}"]
    return "\n".join(lines + [f"  {verdict}" for verdict in verdicts])


def calm_wave(crew: Crew, replies: Replies, producer) -> tuple[list, tuple[int, int]]:
    before = counted(crew.workers)
    have = len(replies.all)
    sent = producer.send_all([chat(f"calm{i}", f"calm{i % 20}", f"calm {i}") for i in range(CALM)])
    replies.wait(have + CALM)
    until("all is counted", lambda: counted(crew.workers) >= before + CALM)
    return sent, (CALM, counted(crew.workers) - before)


def await_replies(replies: Replies, count: int, seconds: float) -> int | None:
    """When there were so many; None when that took too long."""
    end = time.monotonic() + seconds
    while len(replies.all) < count:
        if time.monotonic() > end:
            return None
        replies.poll()
    return now_ms()


def come_to_rest(site, crew: Crew) -> None:
    until("no transaction is open", lambda: not open_ends(site.bootstrap, all_topics(site)), CONVERGE_S)
    until("progress has reached the end",
          lambda: sum(worker.metric("chat_worker_consumer_lag") for worker in crew.workers) == 0)


def gather(site, crew: Crew, upstream, sent: list, broker) -> History:
    """After the last drain."""
    _, members_left = group_state(broker, site.group)
    history = checker.read(site, sent, upstream.calls())
    history.counted, history.exits, history.drains = crew.counted, crew.exits, crew.drains
    history.members_left = members_left
    history.limits = Limits(deadline_ms=DEADLINE_MS, in_flight=WORKERS * IN_FLIGHT, horizon_s=CONVERGE_S,
                            rss=None if is_sanitized() else RSS_MAX)
    logs = [worker.log for worker in crew.workers] + [broker.log]
    history.sinks = logs + sorted(broker.data.glob(f"{site.name}*/*.log"))
    return history


def test_chaos_everything_breaks_and_every_request_has_one_reply(
        crew, upstream, producer, replies, site, broker, proxy, capsys):
    watch = Watch(crew.workers, upstream)
    watch.look()
    load = Load(site, conversations=200, burst=4, is_tolerant=True)
    nemesis = Nemesis(SEED, crew, broker, proxy)
    try:
        nemesis.run(SECONDS)
    finally:
        sent = load.stop()
        samples = watch.stop()
    healed_ms = now_ms()
    for worker in crew.workers:
        crew.must_live(worker)
    asked = len(checker.read_topic(site.bootstrap, site.requests))
    converged_ms = await_replies(replies, asked, CONVERGE_S)
    for worker in crew.workers:
        worker.wait_ready()
    calm_sent, calm = calm_wave(crew, replies, producer)
    come_to_rest(site, crew)
    watch.look()
    for worker in crew.workers:
        crew.note(worker)
    for left, worker in enumerate(crew.workers):
        until("the group is at rest", lambda left=left: is_stable(broker, site.group, crew.workers[left:]))
        crew.leave(worker, "end")
    history = gather(site, crew, upstream, [*sent, *calm_sent], broker)
    history.calm, history.faults, history.samples = calm, nemesis.faults, samples
    history.healed_ms, history.converged_ms = healed_ms, converged_ms
    verdicts = checker.check(history)
    with capsys.disabled():
        print("\n" + report(nemesis, verdicts))
    # A second opinion, by another client and other code.
    opinion = audit(site, "--deadline", "0", "--group", site.group, "--dead-letters", site.dead_letters)[1]
    told = (opinion["requests"], opinion["replies"], opinion["open"], audit_findings(opinion))
    assert told == (len(history.requests), len(history.replies), 0, {}), f"seed {SEED}"
    assert not [verdict for verdict in verdicts if verdict.wrong], f"seed {SEED}"
