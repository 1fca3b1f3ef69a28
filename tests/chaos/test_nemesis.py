"""The book-keeping of what breaks things, on processes that are no workers."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest
from harness import Worker, until
from nemesis import Crew
from nemesis_cluster import Gate, Guests


class Visitor(Worker):
    """Ends when it is asked to, or when its input does."""

    def __init__(self, name: str, log: Path) -> None:
        self.name, self.log, self.process = name, log, None

    def start(self) -> Worker:
        self.process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
        return self

    def get(self, path: str) -> tuple[int, str]:
        return 200, ""

    def terminate(self) -> None:
        assert self.process is not None and self.process.stdin is not None
        self.process.stdin.close()


@pytest.fixture
def guests(tmp_path):
    there = Guests(Crew([]), [Visitor("guest0", tmp_path / "log")])
    there.crew.starter.start = lambda what: what.start()
    yield there
    for guest in there.workers:
        guest.end()


def test_guests_end_is_noted_when_it_ends(guests):
    guest, = guests.workers
    guests.toggle(guest)
    guests.toggle(guest)
    until("its end is noted without more ado", lambda: guests.crew.exits)
    assert [(each.cause, each.code) for each in guests.crew.exits] == [("leave", 0)]
    assert [each.code for each in guests.crew.drains] == [0]
    until("it can be started", lambda: not guests.is_leaving(guest))
    guests.toggle(guest)
    assert guests.is_there(guest)
    guests.disperse()
    assert len(guests.crew.exits) == len(guests.crew.drains) == 2


def test_guests_end_that_nobody_asked_for_is_nobodys(guests):
    guest, = guests.workers
    guests.toggle(guest)
    guest.kill()
    guests.toggle(guest)
    guests.disperse()
    assert [(each.cause, each.code) for each in guests.crew.exits] == [("", -9), ("leave", 0)]
    assert len(guests.crew.drains) == 1


def test_gate_one_that_is_alone_waits_for_others_and_they_for_it():
    gate, log, may_end = Gate(), [], threading.Event()

    def alone() -> None:
        with gate.alone():
            log.append("alone")
            may_end.wait()
            log.append("over")

    def beside() -> None:
        with gate.beside_others():
            log.append("beside")

    with gate.beside_others():
        first = threading.Thread(target=alone, daemon=True)
        first.start()
        until("it has asked", lambda: gate.is_taken)
        second = threading.Thread(target=beside, daemon=True)
        second.start()
        assert log == []
    until("it is alone", lambda: log == ["alone"])
    may_end.set()
    first.join()
    second.join()
    assert log == ["alone", "over", "beside"]
