"""What a run leaves behind, as plain data, and the verdict on one invariant. No Kafka here, so histories can be made up."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import PARTITIONS, Reply

Place = tuple[int, int]  # partition and offset of a request
Writer = tuple[int, int]  # producer id and epoch
Call = dict[str, Any]  # a line of the stand-in's journal


@dataclass
class Request:
    place: Place
    request_id: str
    conversation: str
    text: str
    timestamp_ms: int


@dataclass
class Commit:
    """Progress of one partition as a transaction committed it."""

    partition: int
    offset: int
    finished: list[int]  # offsets above `offset` that no commit before it told of
    time_ms: int
    strange: str = ""  # what the text beside the offset should not say
    writer: Writer = (-1, -1)
    position: int = 0  # in the log of the group's coordinator


@dataclass
class Generation:
    """The group from a moment on: whose each partition is."""

    position: int  # in the same log as commits
    time_ms: int
    owners: dict[int, str]  # partition → member id
    names: dict[str, str] = field(default_factory=dict)  # member id → client id, the worker's name

    def worker_of(self, partition: int) -> str | None:
        return self.names.get(self.owners.get(partition, ""))


@dataclass
class Fault:
    kind: str
    begin_ms: int
    end_ms: int = 0
    worker: str = ""  # whom it hit, when it hit one


@dataclass
class Exit:
    """The end of a worker's life."""

    worker: str
    code: int
    cause: str  # who brought it about; "" = nobody
    log: str = ""  # its last lines


@dataclass
class Drain:
    worker: str
    took_s: float
    limit_s: float
    code: int


@dataclass
class Sample:
    """One look at a running worker."""

    worker: str
    pid: int
    at_s: float  # monotonic
    rss: int
    threads: int
    fds: int | None  # without connections to the model service; None: not to be read by this user
    upstream: int = 0  # connections to the model service, idle ones among them
    is_at_rest: bool = False  # nothing is broken and nothing to be done


@dataclass
class Limits:
    """What the workers of the run were told, and what is demanded of them."""

    attempts: int = 3
    deadline_ms: int = 60_000
    call_ms: int = 100  # the model service's longest answer
    in_flight: int | None = None  # of all workers together, where nothing is broken; None: not looked at
    connections: int | None = None  # to the model service, of each worker, idle ones among them; None: not looked at
    handles: int = 0  # descriptors that a worker opens when it makes more calls at once, beside connections, and keeps
    rss: int | None = None  # None: not looked at, as under sanitizers
    horizon_s: float = 60.0  # the backlog is gone so long after the last fault


@dataclass
class History:
    requests: list[Request]
    acknowledged: set[Place]
    replies: list[Reply]  # read_committed
    all_replies: set[Place]  # places in the response topic that hold a record, read_uncommitted
    commits: list[Commit]  # in the order of the log
    ends: dict[int, int]  # of the request topic
    open_ends: dict[str, tuple[int, int]]
    transactions: dict[str, str]  # transactional id → state
    calls: list[Call]  # the stand-in's journal
    counted: int = 0  # replies that ended or running workers have told of: a part of all
    attempts: int = 0  # calls that they have told of, and how many of them followed a failed one
    retries: int = 0
    calm: tuple[int, int] = (0, 0)  # requests sent while nothing was broken, and what the workers' counters grew by
    partitions: int = PARTITIONS  # of the response topic

    generations: list[Generation] = field(default_factory=list)
    writers: dict[str, Writer] = field(default_factory=dict)  # worker → producer id, newest epoch
    reply_writers: dict[int, list[Writer]] = field(default_factory=dict)  # partition → of committed batches, in order
    faults: list[Fault] = field(default_factory=list)
    exits: list[Exit] = field(default_factory=list)
    drains: list[Drain] = field(default_factory=list)
    members_left: int = 0  # of the group, right after the last drain
    samples: list[Sample] = field(default_factory=list)
    sinks: list[Path] = field(default_factory=list)  # files that must not hold the key
    limits: Limits = field(default_factory=Limits)
    healed_ms: int = 0  # when nothing was broken any more
    converged_ms: int | None = 0  # when every request had its reply; None: never


@dataclass
class Verdict:
    invariant: str
    figure: str
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        shown = "".join(f"\n      {line}" for line in self.wrong[:5])
        return f"{self.invariant:4} {'holds ' if not self.wrong else 'BROKEN'} {self.figure}{shown}"
