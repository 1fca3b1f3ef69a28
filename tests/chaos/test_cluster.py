"""Three brokers, and each of them hurt: killed, rolled, frozen, left alone; and members that come and go in a storm. Then
calm, and the whole history is judged, as that of test_chaos.py. For longer and by chance: soak.py."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import checker
import pytest
from arena import Arena, arena, second_opinion
from chaos_size import SEED
from nemesis_cluster import ClusterNemesis, storm
from stage import SteadyLoad
from watch import Watch

pytestmark = pytest.mark.ci
WORKERS, GUESTS = 3, 3
RATE = 300.0
AT_MOST_S = 300.0  # a bound for machines that have other things to do; it ends when all is done


class BrokersHurt(ClusterNemesis):
    """Each broker killed once, all rolled, all frozen for longer than sessions and transactions, two of three dead."""

    def _lanes(self) -> tuple[Callable[[random.Random], None], ...]:
        return (self._go_through,)

    def _go_through(self, chance: random.Random) -> None:
        for broker in self.brokers:
            self._step("broker killed", lambda broker=broker: self._kill(broker, 2.0))
        self._step("brokers rolled", lambda: self._roll_all(chance))
        self._step("brokers paused", lambda: self._pause_all(chance))
        self._step("minority left", lambda: self._leave_minority(chance))
        self.stop_early()
        self._is_stopping.wait()

    def _step(self, kind: str, action: Callable[[], object]) -> None:
        if self._is_stopping.is_set():
            return
        self._do(kind, action)
        self.wait_in_sync()


class Storm(ClusterNemesis):
    def _lanes(self) -> tuple[Callable[[random.Random], None], ...]:
        return (self._blow,)

    def _blow(self, chance: random.Random) -> None:
        self._do("storm", lambda: storm(self.guests, chance))
        self.stop_early()
        self._is_stopping.wait()


def hurt_and_judge(ground: Arena, nemesis: ClusterNemesis, kinds: set[str], capsys: pytest.CaptureFixture) -> None:
    watch = Watch([*ground.crew.workers, *ground.guests], ground.upstream)
    ground.warm_up(watch)
    load = SteadyLoad(ground.site, 200, RATE)
    try:
        nemesis.run(AT_MOST_S)
    finally:
        sent = load.stop()
    history = ground.judge(sent, nemesis.faults, watch)
    verdicts = checker.check(history)
    with capsys.disabled():
        print(f"\ncluster: seed {SEED}\n" + "\n".join(f"  {verdict}" for verdict in verdicts))
    assert {fault.kind for fault in nemesis.faults} == kinds, f"not all was done in {AT_MOST_S:g} s"
    wrong = [f"{verdict.invariant}: {verdict.wrong[:3]}" for verdict in verdicts if verdict.wrong]
    assert (wrong, ground.problems, second_opinion(history, ground.site)) == ([], [], ""), f"seed {SEED}"


def test_cluster_brokers_die_and_freeze_and_every_request_has_one_reply(tmp_path: Path, capsys):
    with arena(tmp_path, 3, WORKERS, 0) as ground:
        nemesis = BrokersHurt(SEED, ground.crew, ground.broker, ground.proxies, ground.guests)
        hurt_and_judge(ground, nemesis, {"broker killed", "brokers rolled", "brokers paused", "minority left"}, capsys)


def test_storm_of_joins_and_leaves_ends_and_every_request_has_one_reply(tmp_path: Path, capsys):
    with arena(tmp_path, 1, 1, GUESTS) as ground:
        nemesis = Storm(SEED, ground.crew, ground.broker, ground.proxies, ground.guests)
        hurt_and_judge(ground, nemesis, {"storm"}, capsys)
        assert len(ground.crew.drains) > GUESTS, "hardly a storm"
