"""Kafka's own files, read from the broker's disk: who wrote which batch, what became of it, and what coordinators noted.

No client library shows producer ids and generations, so segments are read where they lie. For a cluster that has come
to rest; with several brokers, the folder of any one that holds all partitions in sync.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from history import Commit, Generation, Writer
from kafka.record import MemoryRecords

OFFSETS, TRANSACTIONS = "__consumer_offsets", "__transaction_state"
HEAD = 12  # bytes before what a batch's size counts
# Of a transactional id, in the order of Kafka's TransactionState.
STATES = ("Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead",
          "PrepareEpochFence")


@dataclass
class Batch:
    partition: int
    writer: Writer  # (-1, -1): not of an idempotent producer
    is_committed: bool  # or was not part of a transaction
    data: bytes

    @property
    def records(self) -> list[Any]:
        """Of kafka-python, made anew each time: of half a million they would be too large to keep."""
        return list(MemoryRecords(self.data).next_batch())


def read_raw(folder: Path, topic: str, partition: int) -> Iterator[bytes]:
    """All batches of a partition, in order. Each begins with its first offset and the size of what follows."""
    for segment in sorted((folder / f"{topic}-{partition}").glob("*.log")):
        data, at = segment.read_bytes(), 0
        while at + HEAD <= len(data):
            size = HEAD + struct.unpack_from(">i", data, at + HEAD - 4)[0]
            yield data[at : at + size]
            at += size


def partitions_of(folder: Path, topic: str) -> list[int]:
    return sorted(int(each.name.rpartition("-")[2]) for each in folder.glob(f"{topic}-*")
                  if each.name.rpartition("-")[0] == topic)


def read_batches(folder: Path, topic: str) -> Iterator[Batch]:
    """The batches of all partitions. Of a transaction each is committed or not by the marker that comes after it."""
    for partition in partitions_of(folder, topic):
        found: list[Batch] = []
        open_ones: dict[int, list[Batch]] = {}
        for data in read_raw(folder, topic, partition):
            raw = MemoryRecords(data).next_batch()
            if raw.is_control_batch:
                is_commit = struct.unpack(">hh", next(iter(raw)).key)[1] == 1
                for batch in open_ones.pop(raw.producer_id, []):
                    batch.is_committed = is_commit
                continue
            batch = Batch(partition, (raw.producer_id, raw.producer_epoch), not raw.is_transactional, data)
            found.append(batch)
            if raw.is_transactional:
                open_ones.setdefault(raw.producer_id, []).append(batch)
        yield from found


class Fields:
    """The fields of a value of Kafka's own, one after the other; in compact form from some version of it on."""

    def __init__(self, data: bytes, is_compact: bool = False) -> None:
        self.data, self.at, self.is_compact = data, 0, is_compact

    def number(self, kind: str) -> int:
        value = struct.unpack_from(f">{kind}", self.data, self.at)[0]
        self.at += struct.calcsize(f">{kind}")
        return value

    def _varint(self) -> int:
        value = shift = 0
        while True:
            value |= (self.data[self.at] & 0x7F) << shift
            self.at, shift = self.at + 1, shift + 7
            if self.data[self.at - 1] < 0x80:
                return value

    def count(self, kind: str = "i") -> int:
        return self._varint() - 1 if self.is_compact else self.number(kind)

    def bytes(self, kind: str = "i") -> bytes:
        size = max(self.count(kind), 0)
        self.at += size
        return self.data[self.at - size : self.at]

    def text(self) -> str:
        return self.bytes("h").decode()

    def tags(self) -> None:
        if self.is_compact:
            assert self._varint() == 0, "fields that this reader does not know"


def decode_finished(metadata: str, offset: int) -> int:
    """Which offsets from the committed one on are finished, from the text beside it (see worker/core/ledger.h): the
    lowest bit is that of the committed one."""
    if not metadata:
        return 0
    version, watermark, _, bitmap, _ = metadata.split(":")
    if version != "1" or int(watermark) != offset:
        raise ValueError(f"strange progress at {offset}: {metadata[:60]}")
    return int.from_bytes(base64.urlsafe_b64decode(bitmap + "=" * (-len(bitmap) % 4)), "little")


def offsets_of(bits: int, first: int) -> list[int]:
    found = []
    while bits:
        found.append(first + (bits & -bits).bit_length() - 1)
        bits &= bits - 1
    return found


def parse_commit(key: bytes, value: bytes | None, group: str, topic: str,
                 known: dict[int, tuple[int, int]] | None = None) -> Commit | None:
    """A record of the coordinator, when it is a commit of this group for this topic. `known` has offset and bits of the
    commit before it by partition: what that told to be finished is not told again."""
    fields = Fields(key)
    if value is None or fields.number("h") not in (0, 1):
        return None
    if (fields.text(), fields.text()) != (group, topic):
        return None
    partition = fields.number("i")
    fields = Fields(value)
    version, offset = fields.number("h"), fields.number("q")
    assert version in (3, 4), f"a commit of version {version}"
    fields.number("i")  # the leader's epoch
    fields.is_compact = version == 4
    metadata = fields.text()
    commit = Commit(partition, offset, [], fields.number("q"))
    try:
        bits = decode_finished(metadata, offset)
        known = {} if known is None else known
        first, told = known.get(partition, (offset, 0))
        told = told >> offset - first if offset >= first else told << first - offset
        commit.finished = offsets_of(bits & ~told, offset)
        known[partition] = offset, bits
    except ValueError as error:
        commit.strange = str(error)
    return commit


def parse_assignment(data: bytes, topic: str) -> list[int]:
    """Partitions of the topic in what a leader of the group gave one member."""
    if not data:
        return []
    fields = Fields(data)
    fields.number("h")
    found: list[int] = []
    for _ in range(fields.number("i")):
        name = fields.text()
        partitions = [fields.number("i") for _ in range(fields.number("i"))]
        if name == topic:
            found += partitions
    return found


def parse_generation(key: bytes, value: bytes | None, group: str, topic: str) -> Generation | None:
    """A record of the coordinator, when it says who is in this group and owns what."""
    fields = Fields(key)
    if value is None or fields.number("h") != 2 or fields.text() != group:
        return None
    fields = Fields(value)
    version = fields.number("h")
    assert version in (3, 4), f"a group of version {version}"
    fields.is_compact = version == 4
    fields.text()  # the type of protocol
    fields.number("i")  # the generation's number
    fields.text(), fields.text()  # the protocol, the leader
    generation = Generation(0, fields.number("q"), {})
    for _ in range(fields.count()):
        member, _, client, _ = fields.text(), fields.text(), fields.text(), fields.text()
        fields.number("i"), fields.number("i"), fields.bytes()  # time-outs, subscription
        for partition in parse_assignment(fields.bytes(), topic):
            generation.owners[partition] = member
        generation.names[member] = client
        fields.tags()
    return generation


def parse_transaction(key: bytes, value: bytes | None) -> tuple[str, Writer, str] | None:
    """A transactional id, its producer and its state."""
    if value is None:
        return None
    fields = Fields(key)
    fields.number("h")
    name = fields.text()
    fields = Fields(value)
    fields.number("h")
    writer = (fields.number("q"), fields.number("h"))
    fields.number("i")  # its time-out
    return name, writer, STATES[fields.number("b")]


@dataclass
class Coordinators:
    """What the coordinators of groups and of transactions have noted, read once for all sites of a broker."""

    offsets: list[Batch]
    transactions: dict[str, tuple[Writer, str]]  # transactional id → newest producer id and epoch, state

    @classmethod
    def read(cls, folder: Path) -> Coordinators:
        transactions = {}
        for batch in read_batches(folder, TRANSACTIONS):
            for record in batch.records:
                found = parse_transaction(record.key, record.value)
                if found is not None:
                    transactions[found[0]] = found[1:]
        return cls([batch for batch in read_batches(folder, OFFSETS) if batch.is_committed], transactions)

    def commits(self, group: str, topic: str) -> list[Commit]:
        found = []
        known: dict[int, tuple[int, int]] = {}
        for batch, record in self._records():
            commit = parse_commit(record.key, record.value, group, topic, known)
            if commit is not None:
                commit.writer, commit.position = batch.writer, record.offset
                found.append(commit)
        return found

    def generations(self, group: str, topic: str) -> list[Generation]:
        found = []
        for _, record in self._records():
            generation = parse_generation(record.key, record.value, group, topic)
            if generation is not None:
                generation.position = record.offset
                found.append(generation)
        return found

    def _records(self) -> Iterator[tuple[Batch, Any]]:
        for batch in self.offsets:
            for record in batch.records:
                if record.key:
                    yield batch, record


def committed_writers(folder: Path, topic: str) -> dict[int, list[Writer]]:
    """By partition, who wrote each committed batch of a topic, in order."""
    found: dict[int, list[Writer]] = {}
    for batch in read_batches(folder, topic):
        if batch.is_committed:
            found.setdefault(batch.partition, []).append(batch.writer)
    return found
