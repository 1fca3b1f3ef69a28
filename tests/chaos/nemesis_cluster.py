"""What breaks a cluster: its brokers, one and all; the ways to them; and members of the group that come and go.

Three lanes run side by side, for workers, brokers and the network; some faults have all to themselves, so that it can be
said how long those take alone. The first worker is never killed, frozen or asked
to end, so that there is one whose memory can be watched for as long as the run lasts. Between two faults of brokers all
replicas have to be in sync again: what two dead brokers in a row forget is not the workers' fault.
"""

from __future__ import annotations

import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from figures import ALONE_MS
from frame_proxy import ANY, HOLD, REQUEST, RESPONSE, FrameProxy, Rule
from harness import Broker, Worker
from kafka_cluster import Cluster
from nemesis import ZOMBIE_S, Crew, Nemesis
from watch import end_of

TOGGLE_S = 0.5
STORM_S = 10.0
IN_SYNC_S = 120.0  # on a machine that has other things to do
FOR_EVER = 1 << 30
# Of a kind the first that has all to itself, and how many later the next; faults of brokers are rare.
ALONE_FIRST, ALONE_EVERY, ALONE_EVERY_BROKER = 2, 15, 4
ALONE_SLACK_S = 0.2

Action = Callable[[random.Random], object]


class Guests:
    """Workers that join the group and leave it again."""

    def __init__(self, crew: Crew, workers: list[Worker]) -> None:
        self.crew, self.workers = crew, workers
        self._leaving: dict[str, threading.Thread] = {}
        self._done: set[subprocess.Popen[bytes]] = set()  # whose end is noted, or will be by their thread

    def is_there(self, guest: Worker) -> bool:
        return guest.process is not None and guest.process.poll() is None

    def is_leaving(self, guest: Worker) -> bool:
        """Its thread notes when it ends, whatever goes on meanwhile."""
        return guest.name in self._leaving and self._leaving[guest.name].is_alive()

    def toggle(self, guest: Worker) -> None:
        """Has it join when it is away, and leave when it is there; one that is busy with either is left alone."""
        if self.is_leaving(guest):
            return
        if not self.is_there(guest):
            self._note_end(guest)
            self.crew.starter.start(guest)
        elif guest.get("/healthz")[0] == 200:
            self._ask_to_leave(guest)

    def _note_end(self, guest: Worker) -> None:
        """Of one that has ended though nobody asked for it."""
        if guest.process is not None and not self.is_there(guest) and guest.process not in self._done:
            self._done.add(guest.process)
            self.crew.exits.append(end_of(guest, ""))

    def _ask_to_leave(self, guest: Worker) -> None:
        assert guest.process is not None
        self.crew.note(guest)
        self._done.add(guest.process)
        self._leaving[guest.name] = threading.Thread(target=self.crew.leave, args=(guest, "leave"), daemon=True)
        self._leaving[guest.name].start()

    def disperse(self) -> None:
        """All leave; returns when they have, or when one has taken twice its time and was killed."""
        for guest in self.workers:
            if self.is_there(guest) and not self.is_leaving(guest):
                self._ask_to_leave(guest)
        for leaving in self._leaving.values():
            leaving.join()
        for guest in self.workers:
            self._note_end(guest)


class Gate:
    """Through it faults of several lanes go side by side, and from time to time one alone."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._count = 0
        self.is_taken = False  # or about to be

    @contextmanager
    def beside_others(self) -> Iterator[None]:
        with self._condition:
            self._condition.wait_for(lambda: not self.is_taken)
            self._count += 1
        try:
            yield
        finally:
            with self._condition:
                self._count -= 1
                self._condition.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._condition:
            self._condition.wait_for(lambda: not self.is_taken)
            self.is_taken = True
            self._condition.wait_for(lambda: self._count == 0)
        try:
            yield
        finally:
            with self._condition:
                self.is_taken = False
                self._condition.notify_all()


def storm(guests: Guests, chance: random.Random, seconds: float = STORM_S) -> None:
    """Every half second one joins or leaves; at the end all have left."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        guests.toggle(chance.choice(guests.workers))
        time.sleep(TOGGLE_S)
    guests.disperse()


class ClusterNemesis(Nemesis):
    def __init__(self, seed: int, crew: Crew, broker: Broker | Cluster, proxies: list[FrameProxy],
                 guests: list[Worker]) -> None:
        self.guests = Guests(crew, guests)
        self._gate, self._counts = Gate(), Counter[str]()
        self.cluster = broker
        self.brokers: list[Broker] = broker.brokers if isinstance(broker, Cluster) else [broker]
        super().__init__(seed, crew, broker, proxies)

    def run(self, seconds: float) -> None:
        super().run(seconds)
        self.guests.disperse()

    def _lanes(self) -> tuple[Callable[[random.Random], None], ...]:
        return self._hurt_workers, self._hurt_brokers, self._hurt_network

    def _hurt(self, kind: str, action: Callable[[], object], worker: str = "") -> None:
        """Every so many of a kind nothing else is broken, and long enough before and after it for a look at it alone."""
        every = ALONE_EVERY_BROKER if kind.startswith(("broker", "minority")) else ALONE_EVERY
        self._counts[kind] += 1
        if self._counts[kind] % every != ALONE_FIRST:
            with self._gate.beside_others():
                self._do_unless_over(kind, action, worker)
            return
        with self._gate.alone():
            self._is_stopping.wait(ALONE_MS[0] / 1000 + ALONE_SLACK_S)
            self._do_unless_over(kind, action, worker)
            self._is_stopping.wait(ALONE_MS[1] / 1000 + ALONE_SLACK_S)

    def _do_unless_over(self, kind: str, action: Callable[[], object], worker: str) -> None:
        if not self._is_stopping.is_set():
            self._do(kind, action, worker)

    # Workers

    def _rest(self, chance: random.Random, at_most_s: float) -> bool:
        """Whether to go on afterwards."""
        return not self._is_stopping.wait(chance.uniform(0, at_most_s))

    def _hurt_workers(self, chance: random.Random) -> None:
        if not self._rest(chance, 4):
            return
        kind = chance.choices(["worker", "guest", "storm"], [20, 4, 1])[0]
        if kind == "worker":
            self._hurt_one(chance)
        elif kind == "guest":
            guest = chance.choice(self.guests.workers)
            self._hurt("leave" if self.guests.is_there(guest) else "join", lambda: self.guests.toggle(guest), guest.name)
        else:
            self._hurt("storm", lambda: storm(self.guests, chance))

    def _hurt_one(self, chance: random.Random) -> None:
        worker = chance.choice(self.crew.workers[1:])
        self.crew.must_live(worker)
        kind, action = chance.choices(
            [("kill -9", self.crew.kill), ("zombie", self.crew.freeze), ("roll", self.crew.roll)], [10, 2, 2])[0]
        self._hurt(kind, lambda: action(worker, chance), worker.name)

    # Brokers

    def _hurt_brokers(self, chance: random.Random) -> None:
        if not self._rest(chance, 30):
            return
        kinds: list[tuple[str, Action, int]] = [("broker killed", self._kill_one, 4), ("broker paused", self._pause_one, 3),
                                                ("brokers paused", self._pause_all, 1)]
        if len(self.brokers) > 1:
            kinds += [("brokers rolled", self._roll_all, 1), ("minority left", self._leave_minority, 1)]
        kind, action, _ = chance.choices(kinds, [weight for _, _, weight in kinds])[0]
        self._hurt(kind, lambda: action(chance))
        self.wait_in_sync()

    def wait_in_sync(self) -> None:
        if isinstance(self.cluster, Cluster):
            self.cluster.wait_in_sync(IN_SYNC_S)

    def _start(self, broker: Broker) -> None:
        """The test's thread starts it, and goes on with what others want to have started."""
        self.crew.starter.do(broker.launch)
        broker.wait_for_answer()

    def _kill_one(self, chance: random.Random) -> None:
        self._kill(chance.choice(self.brokers), chance.uniform(0, 6))

    def _kill(self, broker: Broker, dead_s: float) -> None:
        broker.kill()
        time.sleep(dead_s)
        self._start(broker)

    def _pause_one(self, chance: random.Random) -> None:
        broker = chance.choice(self.brokers)
        broker.pause()
        time.sleep(chance.uniform(0.5, 8))
        broker.resume()

    def _pause_all(self, chance: random.Random) -> None:
        self.cluster.pause()
        time.sleep(ZOMBIE_S + chance.uniform(0, 4))
        self.cluster.resume()

    def _roll_all(self, _: random.Random) -> None:
        for broker in self.brokers:
            broker.stop()
            self._start(broker)
            self.wait_in_sync()

    def _leave_minority(self, chance: random.Random) -> None:
        dead = chance.sample(self.brokers, len(self.brokers) - 1)
        for broker in dead:
            broker.kill()
        time.sleep(chance.uniform(2, 8))
        for broker in dead:
            self.crew.starter.do(broker.launch)
        for broker in dead:
            broker.wait_for_answer()

    # The network

    def _hurt_network(self, chance: random.Random) -> None:
        if not self._rest(chance, 8):
            return
        kind, action = chance.choices(
            [("cut", self._cut), ("frame", self._meddle), ("stall", self._stall), ("unreachable", self._refuse)],
            [4, 8, 3, 1])[0]
        self._hurt(kind, lambda: action(chance))

    def _stall(self, chance: random.Random) -> None:
        """Between the workers and one broker, everything in one direction is held."""
        proxy = chance.choice(self.proxies)
        rule = proxy.add(Rule(ANY, HOLD, chance.choice([REQUEST, RESPONSE]), count=FOR_EVER))
        self._is_stopping.wait(chance.uniform(0.5, 6))
        proxy.remove(rule)

    def _refuse(self, chance: random.Random) -> None:
        """Workers reach no broker at all."""
        for proxy in self.proxies:
            proxy.is_refusing = True
            proxy.cut_some()
        self._is_stopping.wait(chance.uniform(2, 8))
        for proxy in self.proxies:
            proxy.is_refusing = False
