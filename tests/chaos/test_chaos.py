"""Workers under load while everything around them breaks by chance; then calm, and the whole history is judged.

CHAOS_SECONDS is how long things break (150, or 25 when CHAOS_SIZE is short); CHAOS_SEED repeats what is done in which
order, as the report prints it. Three brokers: test_cluster.py; for longer: soak.py.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import checker
import pytest
from arena import Arena, Follower, make_workers, second_opinion
from chaos_size import SEED, is_short
from nemesis import Crew, Nemesis
from stage import SteadyLoad
from watch import Watch

SECONDS = float(os.environ.get("CHAOS_SECONDS", "25" if is_short() else "150"))
WORKERS = 3
RATE = 150.0 if is_short() else 250.0


@pytest.fixture
def ground(tmp_path: Path, upstream, producer, site, broker, proxy) -> Iterator[Arena]:
    crew = Crew(make_workers(tmp_path, site, upstream.url, [f"w{i}" for i in range(WORKERS)]))
    follower = Follower(site)
    try:
        for worker in crew.workers:
            worker.start()
        for worker in crew.workers:
            worker.wait_ready()
        yield Arena(broker, site, crew, upstream, producer, follower, [], [proxy])
    finally:
        for worker in crew.workers:
            worker.end()
        follower.close()


def report(nemesis: Nemesis, verdicts: list[checker.Verdict]) -> str:
    lines = [f"chaos: seed {SEED}, {SECONDS:g} s, faults {dict(Counter(fault.kind for fault in nemesis.faults))}",
             f"  producers renewed {nemesis.crew.restarts}"]
    return "\n".join(lines + [f"  {verdict}" for verdict in verdicts])


def test_chaos_everything_breaks_and_every_request_has_one_reply(ground: Arena, capsys):
    watch = Watch(ground.crew.workers, ground.upstream)
    ground.warm_up(watch)
    load = SteadyLoad(ground.site, 200, RATE)
    nemesis = Nemesis(SEED, ground.crew, ground.broker, ground.proxies)
    try:
        nemesis.run(SECONDS)
    finally:
        sent = load.stop()
    history = ground.judge(sent, nemesis.faults, watch)
    verdicts = checker.check(history)
    with capsys.disabled():
        print("\n" + report(nemesis, verdicts))
    assert not ground.problems, f"seed {SEED}"
    assert not second_opinion(history, ground.site), f"seed {SEED}"
    assert not [verdict for verdict in verdicts if verdict.wrong], f"seed {SEED}"
