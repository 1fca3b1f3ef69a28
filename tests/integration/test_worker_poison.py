"""Malformed requests by the thousand, on the whole worker and Apache Kafka: one reply each, and nothing else happens.

CHAT_SIZE=full takes 10,000 of them and every prefix of 50 valid requests; POISON_SEED repeats a run.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections import Counter
from typing import Any

import harness
import poison
from harness import Reply, chat, read_topic, until
from kafka.admin import ConfigResource, ConfigResourceType
from poison import Poison

IS_FULL = os.environ.get("CHAT_SIZE") == "full"
SEED = int(os.environ.get("POISON_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
REASONS = set(re.findall(r'ROW\(REASON_\w+, "(\w+)"', (harness.ROOT / "schemas/reason.h").read_text()))
REJECTED = set(re.findall(r'ROW\(REASON_\w+, "(\w+)", REJECTED', (harness.ROOT / "schemas/reason.h").read_text()))
LARGE = {"max.message.bytes": "8000000"}
FIELDS = ["request_id", "conversation_id", "outcome", "message", "finish_reason", "model", "provider", "generation_id",
          "usage", "error", "attempts", "timing", "source"]

Place = tuple[int, int]


def allow_large_records(site: harness.Site) -> None:
    admin = site.broker.admin()
    try:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, LARGE)
                             for name in (site.requests, site.dead_letters)])
    finally:
        admin.close()


def send_all(producer: harness.Producer, items: list[Poison]) -> dict[Place, tuple[Poison, int]]:
    """Where each went, and its timestamp."""
    producer.kafka.config["max_request_size"] = 8_000_000
    futures = [producer.kafka.send(producer.topic, each.value, each.key, each.headers) for each in items]
    producer.kafka.flush(120)
    places = [future.get(60) for future in futures]
    return {(place.partition, place.offset): (each, place.timestamp) for each, place in zip(items, places, strict=True)}


def refuse(word: str) -> Any:
    raise AssertionError(f"{word} in JSON")


def strict_body(reply: Reply) -> dict[str, Any]:
    """The body, if all of it is what it should be: well-formed text, no key twice, no NaN."""
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs), f"a key twice in {pairs}"
        return dict(pairs)

    if reply.value[:1] == b"{":
        body = json.loads(reply.value.decode(), parse_constant=refuse, object_pairs_hook=unique)
    else:
        body = harness.msgpack.unpackb(reply.value, object_pairs_hook=unique)
    # Lone surrogates would be well-formed JSON and no text.
    json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    assert list(body) == FIELDS, list(body)
    return body


def what_is_wrong(item: Poison, reply: Reply) -> str | None:
    body = strict_body(reply)
    outcome, error = body["outcome"], body["error"]
    reason = error["reason"] if error else None
    if item.reasons and (outcome, reason) not in {("rejected", each) for each in item.reasons}:
        return f"is {outcome} {reason}, not {item.reasons}"
    if (outcome == "answered") != (error is None) or (reason is not None and reason not in REASONS):
        return f"is {outcome} for the reason {reason}"
    if (outcome == "rejected") != (reason in REJECTED):
        return f"is {outcome} for the reason {reason}"
    if reply.headers["chat-outcome"] != outcome.encode() or reply.headers.get("chat-error", b"") != (reason or "").encode():
        return "has headers that say something else"
    if not isinstance(body["message"]["content"], str):
        return "says nothing"
    return None


def check_letters(sent: dict[Place, tuple[Poison, int]], letters: list[Any], rejected: set[Place]) -> list[str]:
    """One for each rejected request, with all that it was."""
    wrong, seen = [], Counter()
    for letter in letters:
        last = dict(letter.headers)
        place = int(last["dlq-original-partition"]), int(last["dlq-original-offset"])
        item, timestamp_ms = sent[place]
        seen[place] += 1
        count = len(item.headers)
        value = None if "dlq-value-omitted" in last else item.value
        if (letter.key, letter.value, letter.timestamp) != (item.key, value, timestamp_ms):
            wrong.append(f"the dead letter of {place} is not what it was: {item}")
        if [tuple(each) for each in letter.headers[:count]] != item.headers:
            wrong.append(f"the dead letter of {place} has other headers: {letter.headers[:count]}, {item}")
        if any(not name.startswith("dlq-") for name, _ in letter.headers[count:]):
            wrong.append(f"the dead letter of {place} has more headers: {letter.headers[count:]}")
    wrong += [f"{place} has {count} dead letters" for place, count in seen.items() if count > 1]
    wrong += [f"{place} has no dead letter: {sent[place][0]}" for place in rejected - seen.keys()]
    wrong += [f"{place} has a dead letter and was not rejected" for place in seen.keys() - rejected]
    return wrong


def run(make_worker, upstream, producer, site, items: list[Poison]) -> Counter[str]:
    allow_large_records(site)
    worker = make_worker(upstream.url, chat__deadline_ms=60000, worker__drain_ms=61000).start().wait_ready()
    sent = send_all(producer, items)
    total = 600 if IS_FULL else 60
    replies = harness.Replies(site)
    try:
        replies.wait(len(sent), total)
        good = producer.send_all([chat(f"good{i}", f"good{i}", "Are you still there?") for i in range(harness.PARTITIONS)])
        replies.wait(len(sent) + len(good), 30)
    finally:
        replies.close()
    assert worker.process.poll() is None, worker.tail()
    until("nothing is left", lambda: worker.metric("chat_worker_consumer_lag") == 0)
    by_place = Counter(reply.source for reply in replies.all)
    assert set(by_place) == set(sent) | {(each.partition, each.offset) for each in good}
    assert set(by_place.values()) == {1}
    places_of_good = {(each.partition, each.offset) for each in good}
    assert all(reply.body["outcome"] == "answered" for reply in replies.all if reply.source in places_of_good)
    poisoned = [reply for reply in replies.all if reply.source in sent]
    wrong = [f"the reply to {sent[reply.source][0]} {fault}" for reply in poisoned
             if (fault := what_is_wrong(sent[reply.source][0], reply)) is not None]
    rejected = {reply.source for reply in poisoned if reply.body["outcome"] == "rejected"}
    wrong += check_letters(sent, read_topic(site.bootstrap, site.dead_letters), rejected)
    assert not wrong, f"seed {SEED}: {len(wrong)} wrong:\n" + "\n".join(wrong[:5])
    code, verdict = harness.audit(site, "--dead-letters", site.dead_letters, "--group", site.group, "--deadline", "60s")
    assert (code, harness.audit_findings(verdict)) == (0, {}), f"seed {SEED}: {verdict}"
    assert verdict["open"] == 0
    return Counter(f"{reply.body['outcome']} {(reply.body['error'] or {}).get('reason', '')}" for reply in poisoned)


def test_worker_malformed_requests_get_one_reply_each(make_worker, upstream, producer, site, capsys):
    items = poison.poisons(SEED, 10_000 if IS_FULL else 1500)
    told = run(make_worker, upstream, producer, site, items)
    with capsys.disabled():
        print(f"\npoison: seed {SEED}, {len(items)} requests: {dict(told.most_common())}")
    assert told["rejected decode"] > len(items) / 10 and told["rejected schema"] > len(items) / 10
    assert told["answered "] > 0


def test_worker_every_prefix_of_valid_requests_gets_one_reply(make_worker, upstream, producer, site, capsys):
    items = poison.prefixes(SEED, 50 if IS_FULL else 6)
    told = run(make_worker, upstream, producer, site, items)
    with capsys.disabled():
        print(f"\npoison: {len(items)} prefixes: {dict(told)}")
    assert told == {"rejected decode": len(items)}
    assert not upstream.calls() or all("still there" in call["text"] for call in upstream.calls())
