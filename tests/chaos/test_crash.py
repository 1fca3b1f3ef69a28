"""The worker dies by kill -9 at each crash point, under load; another one goes on; and the history is judged.

The points are compiled into a worker of their own (crash_points.c). A test fails also when its point was not passed, so
each is known to have fired. CHAOS_SEED repeats which passage of each point it was.
"""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import checker
import figures
import harness
import pytest
import scene
from chaos_size import SEED, is_short
from frame_proxy import CUT, END_TXN, FrameProxy, Rule
from harness import Worker
from history import History
from kafka_log import Coordinators
from scene import Ground, Scene
from stage import CRASH

AT_ONCE = 6
BEFORE, AFTER = 240, 60
# The n-th passage that kills, by how often a point is passed: well inside the load.
PASSAGES = {"chat": (2, 160), "batch": (2, 8), "once": (1, 1)}
SMALL_BYTES = 200
# In the cut that every change has to pass: one for each step of a chat.
SHORT = ("looked-up", "taken", "handed", "producing", "sent-offsets", "committed", "adopting", "revoked", "stopping")


def points() -> dict[str, str]:
    """Word and pace of each."""
    if not CRASH.exists():
        return {}
    table = subprocess.run([CRASH], env={"CHAT_CRASH": "list"}, capture_output=True, text=True, check=True).stdout
    return {word: pace for word, pace, _ in (line.split("\t") for line in table.splitlines())}


@dataclass
class Crash:
    """One point's run, on its way to be judged."""

    point: str
    passage: int
    scene: Scene
    proxy: FrameProxy

    def dying(self, name: str = "w0") -> Worker:
        """A life that ends at the point."""
        return self.scene.start(name, CRASH, CHAT_CRASH=f"{self.point}:{self.passage}")

    def has_died(self, worker: Worker) -> None:
        scene.wait_for_death(worker)
        fired = f'"point":"{self.point}","passage":{self.passage}}}'
        assert fired in worker.tail(), f"{worker.name} did not die at {self.point}: {worker.tail()[-600:]}"
        self.scene.ended(worker, "crash point")


def under_load(crash: Crash) -> None:
    crash.scene.send(BEFORE)
    crash.has_died(crash.dying())


def while_starting(crash: Crash) -> None:
    """It takes over from one who died with a transaction open."""
    crash.scene.send(BEFORE)
    first = crash.scene.start("w0", CRASH, CHAT_CRASH="sent-offsets:3")
    scene.wait_for_death(first)
    crash.scene.ended(first, "crash point")
    crash.has_died(crash.dying())


def while_aborting(crash: Crash) -> None:
    """One reply goes to a topic that takes nothing of its size."""
    small = f"{crash.scene.name}.small"
    crash.scene.site.broker.create_topics({small: 1}, {"max.message.bytes": str(SMALL_BYTES)})
    crash.scene.settings = {"kafka__reply_topics": [small]}
    worker = crash.dying()
    crash.scene.send(BEFORE // 2)
    crash.scene.send_to(small)
    crash.scene.send(BEFORE // 2)
    crash.has_died(worker)


def while_uncertain(crash: Crash) -> None:
    """The answer to one commit is lost."""
    own = f"{crash.scene.name}-w0".encode()
    rule = crash.proxy.add(Rule(END_TXN, CUT, skip=4, when=lambda frame: own in frame.payload))
    crash.scene.send(BEFORE)
    crash.has_died(crash.dying())
    assert rule.was_hit()


def while_rebalancing(crash: Crash) -> None:
    """A second worker joins, and has to share with the third life of the first."""
    crash.scene.send(BEFORE)
    worker = crash.dying()
    crash.scene.answered(20)
    crash.scene.start("w1")
    crash.has_died(worker)


def while_draining(crash: Crash) -> None:
    crash.scene.send(BEFORE)
    worker = crash.dying()
    crash.scene.answered(20)
    worker.terminate()
    crash.has_died(worker)


WAYS: dict[Callable[[Crash], None], tuple[str, ...]] = {
    while_starting: ("initialising", "initialised", "subscribed", "looking-up", "looked-up", "assigning", "assigned"),
    while_aborting: ("aborting", "aborted"),
    while_uncertain: ("renewing", "resolving", "resolved"),
    while_rebalancing: ("revoking", "revoked", "unassigned"),
    while_draining: ("draining", "stopping", "leaving", "left"),
}


def way_of(point: str) -> Callable[[Crash], None]:
    return next((way for way, those in WAYS.items() if point in those), under_load)


def run(ground: Ground, proxy: FrameProxy, point: str, passage: int) -> Scene:
    """Everything but the judgement, in one thread."""
    with Scene(ground, f"at-{point}", is_proxied=way_of(point) is while_uncertain) as own:
        crash = Crash(point, passage, own, proxy)
        way_of(point)(crash)
        own.start("w0")
        own.send(AFTER)
        own.settle()
        own.drain()
        return own


def passage_of(point: str, pace: str) -> int:
    return random.Random(f"{SEED}-{point}").randint(*PASSAGES[pace])


CHOSEN = {point: passage_of(point, pace) for point, pace in points().items() if not is_short() or point in SHORT}


@pytest.fixture(scope="module")
def crashes(broker: harness.Broker, tmp_path_factory, request) -> Iterator[dict[str, History | BaseException]]:
    """All points that are asked for, some at once; what became of each."""
    wanted = {item.callspec.params["point"] for item in request.session.items
              if "point" in getattr(getattr(item, "callspec", None), "params", {})}
    folder = tmp_path_factory.mktemp("crash")
    assert broker.advertised_port is not None
    with (harness.standin(folder, "--latency", "20", "--jitter", "20", "--keepalive", "0") as upstream,
          FrameProxy(broker.advertised_port, lambda: broker.port) as proxy,
          ThreadPoolExecutor(AT_ONCE) as pool):
        ground = Ground(broker, upstream, folder)
        under_way = {point: pool.submit(run, ground, proxy, point, passage) for point, passage in CHOSEN.items()
                     if point in wanted}
        done = {point: each.exception() or each.result() for point, each in under_way.items()}
        coordinators = Coordinators.read(broker.data)
        yield {point: each.history(coordinators) if isinstance(each, Scene) else each for point, each in done.items()}


def test_crash_points_cover_the_whole_way_of_a_chat():
    table = points()
    assert len(table) >= 24
    assert {point for those in WAYS.values() for point in those} | set(SHORT) <= set(table)


@pytest.mark.parametrize("point", CHOSEN)
def test_worker_that_dies_at_a_crash_point_loses_and_repeats_nothing(crashes, point):
    where = f"seed {SEED}, CHAT_CRASH={point}:{CHOSEN[point]}"
    history = crashes[point]
    if isinstance(history, BaseException):
        raise AssertionError(f"{where}: {history}") from history
    verdicts = checker.check(history)
    assert not [verdict for verdict in verdicts if verdict.wrong], where + "".join(f"\n{each}" for each in verdicts)


def test_crashes_recover_within_the_horizon(crashes, capsys):
    """The figures over all points; each was judged above."""
    found = [history for history in crashes.values() if isinstance(history, History)]
    times = [max(each.took_s for each in figures.recoveries(history)) for history in found]
    again = [float(len(history.calls) - len(history.requests)) for history in found]
    with capsys.disabled():
        print(f"\n{len(found)} crash points, {sum(len(history.requests) for history in found)} requests: recovered after "
              f"{figures.spread(times, '%.2f s')}; calls made again {figures.spread(again, '%.0f')}")
    assert len(found) == len(crashes)
