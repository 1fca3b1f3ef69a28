"""The invariants of delivery, computed from what is in the topics after a run. Each prints its figure.

    I1   exactly one committed reply for each request record, none for anything else
    I2   the replies of a conversation come in the order of its requests, in one partition
    I3   every reply is what the stand-in says to that request, or names a reason; what was aborted is not to be seen
    I4   a reply has its conversation as key and lies where Java's partitioner puts that key
    I5   committed progress never passes what has no reply yet, never goes back, and has reached the end
    I11  no transaction is open: the last stable offset is the high watermark, the coordinator knows of none
    I13  the workers' counters agree with the topics

and, of what the processes did meanwhile, those of conduct.py: I6 to I10, I12, I15.

`read` dumps the topics with kafka-python, in both isolation levels, and what Kafka keeps for itself from its disk; the
rest is arithmetic without Kafka, so that the checker itself can be tested with histories that are wrong.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import conduct
import harness
import kafka_log
import msgpack
import standin_text
from harness import Reply, as_reply, read_topic
from history import History, Place, Request, Verdict
from kafka.partitioner.default import murmur2
from stage import all_topics, open_ends

# The words that the wire's contract has for a request that was fine and could not be answered.
REASONS = set(re.findall(r'ROW\(REASON_\w+, "(\w+)", FALLBACK', (harness.ROOT / "schemas/reason.h").read_text()))
KEPT = ("request_id", "conversation_id", "outcome", "error", "message", "model", "source")
OF_CALLS = ("text", "model", "ms", "status", "open")
IDLE_STATES = {"Empty", "CompleteCommit", "CompleteAbort", "Dead"}


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
    if content != standin_text.answer(request.text, body["model"]):
        return f"says {content[-60:]!r} to {request.text!r}"
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
        home = (murmur2(key) & 0x7FFFFFFF) % history.partitions
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
    for offsets in by_partition.values():
        offsets.sort()
    wrong, covered, reached = [], 0, dict.fromkeys(history.ends, 0)
    for commit in history.commits:
        if commit.strange:
            wrong.append(f"partition {commit.partition}: {commit.strange}")
        before = reached.get(commit.partition, 0)
        if commit.offset < before:
            wrong.append(f"partition {commit.partition} goes back from {before} to {commit.offset}")
        offsets = by_partition[commit.partition]
        newly = offsets[bisect_left(offsets, before) : bisect_left(offsets, commit.offset)]
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


CHECKS = (check_one_reply_each, check_order, check_content, check_keys, check_progress, *conduct.BEFORE_11,
          check_no_open_transaction, conduct.check_zombies, check_conservation, conduct.check_exits)


def check(history: History) -> list[Verdict]:
    return [each(history) for each in CHECKS]


# From Kafka to a history.


def as_request(record: Any) -> Request:
    body = json.loads(record.value) if record.value[:1] == b"{" else msgpack.unpackb(record.value)
    text = body["messages"][-1]["content"]
    return Request((record.partition, record.offset), body["request_id"], body["conversation_id"], text,
                   record.timestamp)


def slim(record: Any) -> Reply:
    """A reply without what no invariant is about: there may be half a million."""
    reply = as_reply(record)
    reply.value, reply.headers = b"", {}
    reply.body = {name: reply.body[name] for name in KEPT}
    return reply


def read(site: harness.Site, sent: Iterable[harness.Sent], calls: Iterable[dict[str, Any]],
         coordinators: kafka_log.Coordinators | None = None, is_alone: bool = True) -> History:
    """Everything that is there now, when the site has come to rest. `calls` may be of other sites, too, and unless it
    `is_alone` others may still be at work on the same brokers."""
    requests = read_topic(site.bootstrap, site.requests, make=as_request)
    texts = {request.text for request in requests}
    seen = read_topic(site.bootstrap, site.responses, "read_uncommitted", lambda each: (each.partition, each.offset))
    ends: dict[int, int] = dict.fromkeys(range(site.partitions), 0)
    for request in requests:
        ends[request.place[0]] = max(ends[request.place[0]], request.place[1] + 1)
    coordinators = coordinators or kafka_log.Coordinators.read(site.broker.data)
    own = {name: found for name, found in coordinators.transactions.items() if name.startswith(f"{site.name}-")}
    return History(
        requests=requests,
        acknowledged={(each.partition, each.offset) for each in sent},
        replies=read_topic(site.bootstrap, site.responses, make=slim),
        all_replies=set(seen),
        commits=coordinators.commits(site.group, site.requests),
        ends=ends,
        open_ends=open_ends(site.bootstrap, all_topics(site)[: None if is_alone else -1]),
        transactions={name: state for name, (_, state) in own.items()},
        calls=[{name: call[name] for name in OF_CALLS if name in call} for call in calls if call["text"] in texts],
        partitions=site.partitions,
        generations=coordinators.generations(site.group, site.requests),
        writers={name.removeprefix(f"{site.name}-"): writer for name, (writer, _) in own.items()},
        reply_writers=kafka_log.committed_writers(site.broker.data, site.responses),
    )
