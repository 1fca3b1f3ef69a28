"""The invariants of delivery, computed from what is in the topics after a run. Each prints its figure.

    I1   exactly one committed reply for each request record, none for anything else
    I2   the replies of a conversation come in the order of its requests, in one partition
    I3   every reply says what the stand-in says to that request, or names a reason; what was aborted is not to be seen
    I4   a reply has its conversation as key and lies where Java's partitioner puts that key
    I5   committed progress never passes what has no reply yet, never goes back, and has reached the end
    I11  no transaction is open: the last stable offset is the high watermark, the coordinator knows of none
    I13  the workers' counters agree with the topics

`read` dumps the topics with kafka-python, in both isolation levels; the rest is arithmetic without Kafka, so that the
checker itself can be tested with histories that are wrong.
"""

from __future__ import annotations

import base64
import json
import re
import struct
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import harness
import msgpack
from harness import PARTITIONS, Reply, as_reply, read_topic
from kafka.partitioner.default import murmur2
from stage import all_topics, open_ends

Place = tuple[int, int]  # partition and offset of a request

# The words that the wire's contract has for a request that was fine and could not be answered.
REASONS = set(re.findall(r'ROW\(REASON_\w+, "(\w+)", FALLBACK', (harness.ROOT / "schemas/reason.h").read_text()))
IDLE_STATES = {"Empty", "CompleteCommit", "CompleteAbort", "Dead"}


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
    finished: list[int]  # offsets above `offset`
    time_ms: int


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
    calls: list[dict[str, Any]]  # the stand-in's journal
    counted: int = 0  # replies that ended or running workers have told of: a part of all
    calm: tuple[int, int] = (0, 0)  # requests sent while nothing was broken, and what the workers' counters grew by


@dataclass
class Verdict:
    invariant: str
    figure: str
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        shown = "".join(f"\n      {line}" for line in self.wrong[:5])
        return f"{self.invariant:4} {'holds ' if not self.wrong else 'BROKEN'} {self.figure}{shown}"


def answers(history: History) -> dict[Place, list[Reply]]:
    found: dict[Place, list[Reply]] = defaultdict(list)
    for reply in history.replies:
        found[reply.source].append(reply)
    return found


def check_one_reply_each(history: History) -> Verdict:
    found, asked = answers(history), {each.place for each in history.requests}
    lost = sorted(asked - found.keys())
    twice = {place: len(all_of_it) for place, all_of_it in found.items() if len(all_of_it) > 1}
    unasked = sorted(found.keys() - asked)
    vanished = sorted(history.acknowledged - asked)
    figure = (f"{len(asked)} requests, {len(history.replies)} replies: {len(lost)} lost, {len(twice)} duplicate, "
              f"{len(unasked)} without request")
    wrong = [f"no reply to {place}" for place in lost]
    wrong += [f"{count} replies to {place}" for place, count in twice.items()]
    wrong += [f"a reply to {place}, which is no request" for place in unasked]
    wrong += [f"request {place} was acknowledged and is gone" for place in vanished]
    return Verdict("I1", figure, wrong)


def check_order(history: History) -> Verdict:
    last: dict[str, tuple[Place, int]] = {}
    wrong = []
    for reply in sorted(history.replies, key=lambda each: (each.partition, each.offset)):
        conversation = reply.body["conversation_id"]
        before = last.get(conversation)
        if before is not None and before[1] != reply.partition:
            wrong.append(f"{conversation} is in partitions {before[1]} and {reply.partition}")
        elif before is not None and reply.source[0] == before[0][0] and reply.source[1] < before[0][1]:
            wrong.append(f"{conversation}: the reply to {reply.source} comes after that to {before[0]}")
        last[conversation] = (reply.source, reply.partition)
    return Verdict("I2", f"{len(last)} conversations, {len(wrong)} out of order", wrong)


def says_what_it_should(reply: Reply, request: Request) -> str | None:
    """What is wrong with a reply's content; None when nothing is."""
    body = reply.body
    if body["request_id"] != request.request_id:
        return f"names {body['request_id']}, not {request.request_id}"
    if body["outcome"] != "answered":
        reason = (body["error"] or {}).get("reason")
        return None if reason in REASONS else f"is {body['outcome']} for the reason {reason}"
    content = body["message"]["content"]
    if not content.startswith(f"You wrote: {request.text} | {body['model']} answers:"):
        return f"says {content[:60]!r} to {request.text!r}"
    return None


def check_content(history: History) -> Verdict:
    asked = {each.place: each for each in history.requests}
    wrong = []
    for reply in history.replies:
        request = asked.get(reply.source)
        fault = says_what_it_should(reply, request) if request is not None else "answers nothing"
        if fault is not None:
            wrong.append(f"the reply to {reply.source} {fault}")
        if (reply.partition, reply.offset) not in history.all_replies:
            wrong.append(f"the reply to {reply.source} is seen by read_committed only")
    called = {call["text"] for call in history.calls}
    unheard = [each.place for each in history.requests if each.text not in called]
    answered = {reply.source for reply in history.replies if reply.body["outcome"] == "answered"}
    wrong += [f"{place} is answered, but the model was never asked" for place in unheard if place in answered]
    aborted = len(history.all_replies) - len(history.replies)
    outcomes = dict(Counter(reply.body["outcome"] for reply in history.replies))
    return Verdict("I3", f"outcomes {outcomes}, {aborted} aborted records hidden, {len(wrong)} wrong", wrong)


def check_keys(history: History) -> Verdict:
    conversations = {each.place: each.conversation for each in history.requests}
    wrong = []
    for reply in history.replies:
        key = conversations.get(reply.source, "").encode()
        home = (murmur2(key) & 0x7FFFFFFF) % PARTITIONS
        if reply.key != key:
            wrong.append(f"the reply to {reply.source} has key {reply.key!r}, not {key!r}")
        elif reply.partition != home:
            wrong.append(f"the reply with key {key!r} lies in partition {reply.partition}, not {home}")
    return Verdict("I4", f"{len(history.replies)} keys, {len(wrong)} wrong", wrong)


def check_progress(history: History) -> Verdict:
    """A reply is made before its transaction is sent, so its timestamp is no later than that of the commit."""
    made = {place: min(reply.timestamp_ms for reply in all_of_it) for place, all_of_it in answers(history).items()}
    by_partition: dict[int, list[int]] = defaultdict(list)
    for request in history.requests:
        by_partition[request.place[0]].append(request.place[1])
    wrong, covered, reached = [], 0, dict.fromkeys(history.ends, 0)
    for commit in history.commits:
        before = reached.get(commit.partition, 0)
        if commit.offset < before:
            wrong.append(f"partition {commit.partition} goes back from {before} to {commit.offset}")
        newly = [offset for offset in by_partition[commit.partition] if before <= offset < commit.offset]
        for offset in [*newly, *commit.finished]:
            covered += 1
            if made.get((commit.partition, offset), commit.time_ms + 1) > commit.time_ms:
                wrong.append(f"{(commit.partition, offset)} counted as finished before it had a reply")
        reached[commit.partition] = commit.offset
    wrong += [f"partition {partition} is at {reached[partition]} of {end}"
              for partition, end in history.ends.items() if end > 0 and reached[partition] != end]
    return Verdict("I5", f"{len(history.commits)} commits of progress, {covered} entries, {len(wrong)} wrong", wrong)


def check_no_open_transaction(history: History) -> Verdict:
    wrong = [f"{name}: stable to {stable}, written to {high}" for name, (stable, high) in history.open_ends.items()]
    wrong += [f"{name} is {state}" for name, state in history.transactions.items() if state not in IDLE_STATES]
    states = dict(Counter(history.transactions.values()))
    return Verdict("I11", f"transactional ids {states}, {len(history.open_ends)} partitions held back", wrong)


def check_conservation(history: History) -> Verdict:
    sent, grown = history.calm
    wrong = []
    if history.counted > len(history.replies):
        wrong.append(f"workers counted {history.counted} replies, the topic has {len(history.replies)}")
    if sent != grown:
        wrong.append(f"in calm {sent} were sent and {grown} counted")
    again = len(history.calls) - len({(call["text"], call["model"]) for call in history.calls})
    return Verdict("I13", f"{history.counted} of {len(history.replies)} replies counted, in calm {grown} of {sent}; "
                          f"{len(history.calls)} model calls, {again} made again", wrong)


CHECKS = (check_one_reply_each, check_order, check_content, check_keys, check_progress, check_no_open_transaction,
          check_conservation)


def check(history: History) -> list[Verdict]:
    return [each(history) for each in CHECKS]


# From Kafka to a history.


def decode_finished(metadata: str, offset: int) -> list[int]:
    """Finished offsets above the committed one, from the text beside it (see worker/core/ledger.h)."""
    if not metadata:
        return []
    version, watermark, _, bitmap, _ = metadata.split(":")
    assert version == "1" and int(watermark) == offset, f"strange progress at {offset}: {metadata[:60]}"
    data = base64.urlsafe_b64decode(bitmap + "=" * (-len(bitmap) % 4))
    return [offset + 8 * i + bit for i, byte in enumerate(data) for bit in range(8) if byte >> bit & 1]


def short_text(data: bytes, at: int) -> tuple[str, int]:
    size = struct.unpack_from(">h", data, at)[0]
    return data[at + 2 : at + 2 + size].decode(), at + 2 + size


def compact_text(data: bytes, at: int) -> tuple[str, int]:
    """A text whose size, plus one, is a varint."""
    size = shift = 0
    while True:
        size |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return data[at : at + size - 1].decode(), at + size - 1


def parse_commit(key: bytes, value: bytes | None, group: str, topic: str) -> Commit | None:
    """A record of __consumer_offsets, when it is a commit of this group for this topic."""
    if value is None or struct.unpack_from(">h", key)[0] not in (0, 1):
        return None
    of_group, at = short_text(key, 2)
    of_topic, at = short_text(key, at)
    if (of_group, of_topic) != (group, topic):
        return None
    partition = struct.unpack_from(">i", key, at)[0]
    version, offset = struct.unpack_from(">hq", value)
    assert version in (3, 4), f"a commit of version {version}"
    metadata, at = short_text(value, 14) if version == 3 else compact_text(value, 14)
    return Commit(partition, offset, decode_finished(metadata, offset), struct.unpack_from(">q", value, at)[0])


def as_request(record: Any) -> Request:
    body = json.loads(record.value) if record.value[:1] == b"{" else msgpack.unpackb(record.value)
    text = body["messages"][-1]["content"]
    return Request((record.partition, record.offset), body["request_id"], body["conversation_id"], text,
                   record.timestamp)


def transaction_states(broker: harness.Broker) -> dict[str, str]:
    """What Kafka's own tool says of each transactional id."""
    done = subprocess.run(
        broker._java("org.apache.kafka.tools.TransactionsCommand", "--bootstrap-server", broker.internal_bootstrap, "list"),
        capture_output=True, text=True, timeout=60, check=True)
    rows = [line.split() for line in done.stdout.splitlines()]
    return {row[0]: row[-1] for row in rows if len(row) == 4 and row[0] != "TransactionalId"}


def read(site: harness.Site, sent: Iterable[harness.Sent], calls: list[dict[str, Any]]) -> History:
    """Everything that is there now; for a cluster that has come to rest."""
    requests = [as_request(record) for record in read_topic(site.bootstrap, site.requests)]
    seen = read_topic(site.bootstrap, site.responses, "read_uncommitted")
    commits = [parse_commit(record.key, record.value, site.group, site.requests)
               for record in read_topic(site.bootstrap, "__consumer_offsets") if record.key]
    ends: dict[int, int] = {p: 0 for p in range(PARTITIONS)}
    for request in requests:
        ends[request.place[0]] = max(ends[request.place[0]], request.place[1] + 1)
    states = transaction_states(site.broker)
    return History(
        requests=requests,
        acknowledged={(each.partition, each.offset) for each in sent},
        replies=[as_reply(record) for record in read_topic(site.bootstrap, site.responses)],
        all_replies={(record.partition, record.offset) for record in seen},
        commits=[commit for commit in commits if commit is not None],
        ends=ends,
        open_ends=open_ends(site.bootstrap, all_topics(site)),
        transactions={name: state for name, state in states.items() if name.startswith(f"{site.name}-")},
        calls=calls,
    )
