"""`chat-replay audit` and the checker of this folder, given the same histories on a broker: both must say the same."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import checker
import harness
import msgpack
import pytest
import standin_text
from checker import History
from harness import PARTITIONS, Sent, Site, as_reply, audit, audit_findings, chat, read_topic
from kafka import KafkaProducer
from kafka.partitioner.default import murmur2

DEADLINE_MS = 10_000
CONVERSATIONS = 5
REQUESTS = 60
# So long ago that nothing is pending any more.
AGE_MS = 60_000


@dataclass(frozen=True)
class Planted:
    """A reply as it is to be written."""

    request: Sent
    request_id: str
    key: bytes
    partition: int
    timestamp_ms: int
    is_aborted: bool = False


def home(key: bytes) -> int:
    return (murmur2(key) & 0x7FFFFFFF) % PARTITIONS


def good_reply(request: Sent) -> Planted:
    key = request.conversation.encode()
    return Planted(request, request.request_id, key, home(key), request.timestamp_ms + 700)


def body(reply: Planted, topic: str) -> bytes:
    source = {"topic": topic, "partition": reply.request.partition, "offset": reply.request.offset}
    return msgpack.packb({
        "request_id": reply.request_id,
        "conversation_id": reply.request.conversation,
        "outcome": "answered",
        "message": {"role": "assistant", "content": standin_text.answer(reply.request.request_id, "m")},
        "model": "m",
        "error": None,
        "source": source,
    })


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[harness.Broker]:
    with harness.Broker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture
def site(broker: harness.Broker, request: pytest.FixtureRequest) -> Site:
    return Site(broker, re.sub(r"\W", "-", request.node.name)[-60:])


def ask(site: Site) -> list[Sent]:
    """Requests of some conversations, a while ago; one transaction of more is aborted, which leaves gaps."""
    began_ms = int(time.time() * 1000) - AGE_MS
    requests = [chat(f"r{i}", f"c{i % CONVERSATIONS}", f"r{i}") for i in range(REQUESTS)]
    kafka = KafkaProducer(bootstrap_servers=site.bootstrap, transactional_id=f"{site.name}-asker")
    kafka.init_transactions()
    kafka.begin_transaction()
    for each in requests[: 2 * CONVERSATIONS]:
        kafka.send(site.requests, msgpack.packb(each), each["conversation_id"].encode(), timestamp_ms=began_ms)
    kafka.flush()
    kafka.abort_transaction()
    kafka.begin_transaction()
    futures = [kafka.send(site.requests, msgpack.packb(each), each["conversation_id"].encode(),
                          timestamp_ms=began_ms + i) for i, each in enumerate(requests)]
    kafka.commit_transaction()
    kafka.close()
    places = [future.get(10) for future in futures]
    return [Sent(each["request_id"], each["conversation_id"], place.partition, place.offset, began_ms + i)
            for i, (each, place) in enumerate(zip(requests, places, strict=True))]


def write(site: Site, replies: list[Planted]) -> None:
    kafka = KafkaProducer(bootstrap_servers=site.bootstrap, transactional_id=f"{site.name}-worker")
    kafka.init_transactions()
    for is_aborted in (True, False):
        kafka.begin_transaction()
        for reply in replies:
            if reply.is_aborted == is_aborted:
                kafka.send(site.responses, body(reply, site.requests), reply.key, partition=reply.partition,
                           timestamp_ms=reply.timestamp_ms)
        kafka.flush()
        if is_aborted:
            kafka.abort_transaction()
        else:
            kafka.commit_transaction()
    kafka.close()


def history_of(site: Site, sent: list[Sent]) -> History:
    replies = [as_reply(record) for record in read_topic(site.bootstrap, site.responses)]
    seen = read_topic(site.bootstrap, site.responses, "read_uncommitted")
    return History(
        requests=[checker.as_request(record) for record in read_topic(site.bootstrap, site.requests)],
        acknowledged={(each.partition, each.offset) for each in sent},
        replies=replies,
        all_replies={(each.partition, each.offset) for each in seen},
        commits=[], ends={}, open_ends={}, transactions={},
        calls=[{"text": each.request_id, "model": "m"} for each in sent],
    )


def checked(history: History) -> dict[str, int]:
    """What the checker says, in the words of the audit."""
    one = checker.check_one_reply_each(history).wrong
    asked = {each.place: each for each in history.requests}
    late = [each for each in history.replies if each.source in asked
            and each.timestamp_ms - asked[each.source].timestamp_ms > DEADLINE_MS]
    stray = sum(each.source not in asked for each in history.replies)
    return {
        "lost": sum(line.startswith("no reply") for line in one),
        "duplicate": sum(" replies to " in line for line in one),
        "unasked": sum("which is no request" in line for line in one),
        "out_of_order": sum("comes after" in line for line in checker.check_order(history).wrong),
        "late": len(late),
        # To what was not asked no key is right, and no content.
        "misplaced": len(checker.check_keys(history).wrong) - stray,
        "misnamed": len(checker.check_content(history).wrong) - stray,
    }


def nothing(replies: list[Planted]) -> None:
    pass


def lost(replies: list[Planted]) -> None:
    del replies[40]


def duplicate(replies: list[Planted]) -> None:
    replies.append(replies[-1])


def inverted(replies: list[Planted]) -> None:
    replies[10], replies[10 + CONVERSATIONS] = replies[10 + CONVERSATIONS], replies[10]


def late(replies: list[Planted]) -> None:
    replies[20] = replace(replies[20], timestamp_ms=replies[20].request.timestamp_ms + DEADLINE_MS + 1)
    replies[21] = replace(replies[21], timestamp_ms=replies[21].request.timestamp_ms + DEADLINE_MS)


def wrong_key(replies: list[Planted]) -> None:
    replies[20] = replace(replies[20], key=b"another", partition=home(b"another"))


def wrong_partition(replies: list[Planted]) -> None:
    replies[-1] = replace(replies[-1], partition=(replies[-1].partition + 1) % PARTITIONS)


def misnamed(replies: list[Planted]) -> None:
    replies[20] = replace(replies[20], request_id="r19")


def unasked(replies: list[Planted]) -> None:
    """Behind the last request lies the mark of its transaction, which is no request."""
    sent = replies[-1].request
    replies.append(replace(replies[-1], request=replace(sent, offset=sent.offset + 1)))


def aborted(replies: list[Planted]) -> None:
    """Replies of a transaction that is taken back and come again: they count for nothing."""
    replies.extend([replace(each, is_aborted=True) for each in reversed(replies)])


def aborted_only(replies: list[Planted]) -> None:
    replies[7] = replace(replies[7], is_aborted=True)


def several(replies: list[Planted]) -> None:
    inverted(replies)
    late(replies)
    misnamed(replies)
    lost(replies)
    duplicate(replies)
    aborted(replies)


PLANTED: dict[Callable[[list[Planted]], None], dict[str, int]] = {
    nothing: {},
    lost: {"lost": 1},
    duplicate: {"duplicate": 1},
    inverted: {"out_of_order": 1},
    late: {"late": 1},
    wrong_key: {"misplaced": 1},
    wrong_partition: {"misplaced": 1},
    misnamed: {"misnamed": 1},
    unasked: {"unasked": 1},
    aborted: {},
    aborted_only: {"lost": 1},
    several: {"lost": 1, "duplicate": 1, "out_of_order": 1, "late": 1, "misnamed": 1},
}


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_audit_and_checker_say_the_same_of_a_history(site, plant):
    sent = ask(site)
    replies = [good_reply(each) for each in sent]
    plant(replies)
    write(site, replies)
    code, verdict = audit(site, "--deadline", f"{DEADLINE_MS}ms")
    found = audit_findings(verdict)
    told = checked(history_of(site, sent))
    assert verdict["requests"] == REQUESTS
    assert found == PLANTED[plant]
    assert {key: count for key, count in told.items() if count} == found
    assert (code, verdict["clean"]) == ((5, False) if found else (0, True))


def test_audit_names_places(site):
    sent = ask(site)
    replies = [good_reply(each) for each in sent]
    lost(replies)
    duplicate(replies)
    write(site, replies)
    _, verdict = audit(site)
    example, = verdict["lost"]["examples"]
    gone = sent[40]
    assert example["request"] == {"topic": site.requests, "partition": gone.partition, "offset": gone.offset}
    example, = verdict["duplicate"]["examples"]
    last = sent[-1]
    assert example["request"] == {"topic": site.requests, "partition": last.partition, "offset": last.offset}
    twice = [each for each in read_topic(site.bootstrap, site.responses)
             if msgpack.unpackb(each.value)["request_id"] == last.request_id]
    assert example["record"] == {"topic": site.responses, "partition": twice[-1].partition, "offset": twice[-1].offset}
