"""What happens in the scenes that show planted bugs: each is the shortest way for some bugs to break their promise.

A play is given a scene and the program and environment of the worker that may have a bug. Played by the plain worker,
each ends with all invariants whole.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import scene
from frame_proxy import CUT, END_TXN, HOLD, OFFSET_COMMIT, RESPONSE, TXN_OFFSET_COMMIT, FrameProxy, Rule
from harness import Worker, until
from history import Fault
from scene import PARTITIONS, Scene
from stage import PLANTED, Load, late_copy, let_it_arrive
from watch import now_ms

CHATS = 200
SLOW = " [[latency 300]]"


@dataclass
class Stage:
    scene: Scene
    proxy: FrameProxy
    plant: str  # "" = none

    def suspect(self, name: str = "w0") -> Worker:
        """A worker with the bug."""
        environment = {"CHAT_PLANT": self.plant} if self.plant else {}
        return self.scene.start(name, PLANTED, **environment)

    def own(self, api_key: int, action: str, whose: str, **more: object) -> Rule:
        """A rule for frames that name this transactional id or group."""
        name = f"{self.scene.name}-{whose}".encode()
        return self.proxy.add(Rule(api_key, action, when=lambda frame: name in frame.payload, **more))


def steady(stage: Stage) -> None:
    """Nothing happens at all."""
    stage.suspect().wait_ready()
    stage.scene.look()
    stage.scene.send(CHATS)


def failing(stage: Stage) -> None:
    """The model service answers some chats with errors, one time each."""
    stage.suspect().wait_ready()
    stage.scene.look()
    for _ in range(4):
        stage.scene.send(40)
        stage.scene.send(10, " [[500 once]]")


def refusing(stage: Stage) -> None:
    """It answers some chats with the same error, for ever."""
    stage.suspect()
    stage.scene.send(CHATS)
    stage.scene.send(5, " [[500]]")


def without_credits(stage: Stage) -> None:
    stage.suspect()
    stage.scene.send(5, " [[402]]")
    stage.scene.send(20)


def cut_short(stage: Stage) -> None:
    """Answers break off in the middle."""
    stage.suspect()
    stage.scene.send(20, " [[cut once]]")
    stage.scene.send(CHATS // 2)


def killed_while_committing(stage: Stage) -> None:
    """Replies are written, progress is on its way."""
    stage.scene.send(CHATS)
    rules = [stage.own(TXN_OFFSET_COMMIT, HOLD, "w0", skip=3), stage.own(OFFSET_COMMIT, HOLD, "worker", skip=3)]
    worker = stage.suspect()
    until("progress is on its way", lambda: any(rule.was_hit() for rule in rules))
    stage.scene.kill(worker)
    for rule in rules:
        rule.cut_client()
    stage.scene.start("w0")


def uncertain(stage: Stage) -> None:
    """A commit takes place and its answer is lost."""
    stage.scene.send(CHATS)
    # Answers name nobody; this is the only worker behind the proxy.
    rule = stage.proxy.add(Rule(END_TXN, CUT, RESPONSE, skip=4))
    stage.suspect()
    rule.wait()


def killed_with_a_gap(stage: Stage) -> None:
    """One chat is slow, all behind it in its partition are finished and committed; then the worker is killed."""
    stage.scene.send(PARTITIONS * 2, " [[latency 2500]]", conversations=PARTITIONS * 2)
    stage.scene.send(CHATS)
    worker = stage.suspect()
    stage.scene.answered(CHATS - 40)
    until("it is counted", lambda: worker.metric("chat_worker_finished_above_watermark") > 20)
    stage.scene.kill(worker)
    stage.suspect()


def shared(stage: Stage) -> None:
    """A second worker joins while the first has much to do."""
    worker = stage.suspect().wait_ready()
    stage.scene.send(CHATS, SLOW)
    until("it is busy", lambda: worker.metric("chat_worker_inflight") > 2)
    stage.scene.start("w1").wait_ready()


def frozen(stage: Stage) -> None:
    """A worker stands still until the other one has its partitions and has done its work."""
    one, other = both(stage)
    stage.scene.send(CHATS, SLOW)
    until("it is busy", lambda: one.metric("chat_worker_inflight") > 2)
    with standing_still(stage, one):
        until("the other one has it all", lambda: has_finished(other))


def frozen_while_committing(stage: Stage) -> None:
    """The same, and the zombie's progress arrives after it has lost its partitions."""
    stage.scene.settings = {"kafka__producer_properties": ["transaction.timeout.ms=30000"]}
    one, other = both(stage)
    rule = stage.own(TXN_OFFSET_COMMIT, HOLD, "w0", skip=2)
    stage.scene.send(CHATS)
    rule.wait()
    with standing_still(stage, one):
        until("the other one has it all", lambda: has_finished(other))
        rule.release()


@contextmanager
def standing_still(stage: Stage, worker: Worker) -> Iterator[None]:
    """Calls that were handed over and not sent yet are sent afterwards, so the judge has to know."""
    fault = Fault("zombie", now_ms(), worker=worker.name)
    os.kill(worker.pid, signal.SIGSTOP)
    yield
    os.kill(worker.pid, signal.SIGCONT)
    fault.end_ms = now_ms()
    stage.scene.faults.append(fault)


def both(stage: Stage) -> tuple[Worker, Worker]:
    one, other = stage.suspect(), stage.scene.start("w1")
    until("each has its share", lambda: all(owned(worker) == PARTITIONS // 2 for worker in (one, other)))
    return one, other


def owned(worker: Worker) -> float:
    return worker.metric("chat_worker_assigned_partitions")


def has_finished(worker: Worker) -> bool:
    return owned(worker) == PARTITIONS and worker.metric("chat_worker_consumer_lag") == 0


def late_end(stage: Stage) -> None:
    """A copy of one transaction's end arrives in the next one."""
    stage.suspect().wait_ready()
    load = Load(stage.scene.site)
    try:
        stage.scene.answered(10)
        stray, half_done = late_copy(stage.proxy, END_TXN)
        let_it_arrive(stage.proxy, stray)
        half_done.release()
    finally:
        stage.scene.sent += load.stop()


Play = Callable[[Stage], None]
# These look at frames that do not say whose they are.
ALONE = {uncertain, late_end}
PROXIED = {killed_while_committing, uncertain, frozen_while_committing, late_end}

# For each bug the play that shows it and the invariants that must break, the one it is about first.
PLANTS: dict[str, tuple[Play, str]] = {
    "commit-first": (steady, "I5"),
    "offset-plus-0": (steady, "I5"),
    "offset-plus-2": (steady, "I5"),
    "no-transaction": (killed_while_committing, "I1"),
    "auto-commit": (steady, "I5"),
    "key-is-request-id": (steady, "I4"),
    "no-order": (steady, "I2"),
    "produce-after-revoke": (shared, "I12"),
    "ignore-lost": (frozen, "I12"),
    "no-rule-e1": (late_end, "I1"),
    "retry-forever": (refusing, "I10"),
    "retry-402": (without_credits, "I10"),
    "truncated-is-fine": (cut_short, "I3"),
    "leak-handle": (failing, "I7"),
    "key-in-log": (steady, "I6"),
    "skip-drain": (steady, "I8"),
    "no-group-metadata": (frozen_while_committing, "I12"),
    "progress-forgotten": (killed_with_a_gap, "I10"),
    "uncertain-is-aborted": (uncertain, "I1"),
    "dies-silently": (steady, "I15"),
}


def play(stage: Stage, how: Play, settle_s: float) -> None:
    """Everything but the judgement."""
    how(stage)
    stage.scene.settle(settle_s)
    stage.scene.drain()


def make_scene(ground: scene.Ground, name: str, how: Play) -> Scene:
    return Scene(ground, name, is_proxied=how in PROXIED)
