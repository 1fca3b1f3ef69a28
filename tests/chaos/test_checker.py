"""The checker, given histories that are right and histories with one thing wrong: the named invariant must break."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from dataclasses import replace

import checker
import msgpack
import pytest
from checker import Commit, History, Request
from harness import PARTITIONS, Reply
from kafka.partitioner.default import murmur2


def reply_to(request: Request, offset: int, **changes: object) -> Reply:
    key = request.conversation.encode()
    body = {
        "request_id": request.request_id,
        "conversation_id": request.conversation,
        "outcome": "answered",
        "error": None,
        "model": "m",
        "message": {"content": f"You wrote: {request.text} | m answers: river."},
        "source": {"partition": request.place[0], "offset": request.place[1]},
        **changes,
    }
    home = (murmur2(key) & 0x7FFFFFFF) % PARTITIONS
    return Reply(home, offset, key, msgpack.packb(body), {}, 1000 + request.timestamp_ms)


def good_history() -> History:
    """Ten requests of two conversations in partition 0, committed in two transactions, the first with a gap."""
    requests = [Request((0, i), f"r{i}", f"c{i % 2}", f"text {i}", i) for i in range(10)]
    replies = [reply_to(request, i) for i, request in enumerate(requests)]
    return History(
        requests=requests,
        acknowledged={each.place for each in requests},
        replies=replies,
        all_replies={(each.partition, each.offset) for each in replies},
        commits=[Commit(0, 3, [5, 6], 2000), Commit(0, 10, [], 3000)],
        ends={0: 10, 1: 0},
        open_ends={},
        transactions={"chaos-w0": "CompleteCommit"},
        calls=[{"text": each.text, "model": "m"} for each in requests],
        counted=10,
        calm=(5, 5),
    )


def broken(history: History) -> set[str]:
    return {verdict.invariant for verdict in checker.check(history) if verdict.wrong}


def test_checker_good_history_breaks_nothing():
    assert broken(good_history()) == set()
    assert all("holds" in str(verdict) for verdict in checker.check(good_history()))


def lost(history: History) -> None:
    del history.replies[4]


def duplicate(history: History) -> None:
    history.replies.append(reply_to(history.requests[9], 99))
    home = history.replies[-1].partition
    history.all_replies.add((home, 99))


def unasked(history: History) -> None:
    del history.requests[9]
    history.acknowledged.remove((0, 9))


def vanished(history: History) -> None:
    history.acknowledged.add((3, 7))


def disordered(history: History) -> None:
    history.replies[2], history.replies[4] = (replace(history.replies[4], offset=history.replies[2].offset),
                                              replace(history.replies[2], offset=history.replies[4].offset))


def moved(history: History) -> None:
    one = history.replies[9]
    history.replies[9] = replace(one, partition=(one.partition + 1) % PARTITIONS)
    history.all_replies.add((history.replies[9].partition, one.offset))


def wrong_content(history: History) -> None:
    history.replies[3] = reply_to(history.requests[3], 3, message={"content": "You wrote: text 8 | m answers: x"})


def wrong_request_id(history: History) -> None:
    history.replies[3] = reply_to(history.requests[3], 3, request_id="r8")


def no_reason(history: History) -> None:
    history.replies[3] = reply_to(history.requests[3], 3, outcome="fallback", error={"reason": "whatever"})


def never_asked(history: History) -> None:
    del history.calls[3]


def wrong_key(history: History) -> None:
    history.replies[3] = replace(history.replies[3], key=b"r3")


def commit_first(history: History) -> None:
    history.commits[0].time_ms = 1


def finished_without_reply(history: History) -> None:
    del history.replies[6]
    del history.requests[7:]
    history.replies = history.replies[:6]
    history.acknowledged = {each.place for each in history.requests}


def goes_back(history: History) -> None:
    history.commits.insert(1, Commit(0, 2, [], 2500))


def not_at_the_end(history: History) -> None:
    history.commits[-1].offset = 9


def held_back(history: History) -> None:
    history.open_ends["chat.responses/3"] = (10, 12)


def still_ongoing(history: History) -> None:
    history.transactions["chaos-w1"] = "Ongoing"


def counted_too_many(history: History) -> None:
    history.counted = 11


def not_conserved(history: History) -> None:
    history.calm = (5, 6)


PLANTED: dict[Callable[[History], None], set[str]] = {
    lost: {"I1", "I5", "I13"},
    duplicate: {"I1"},
    unasked: {"I1", "I3", "I4"},
    vanished: {"I1"},
    disordered: {"I2"},
    moved: {"I2", "I4"},
    wrong_content: {"I3"},
    wrong_request_id: {"I3"},
    no_reason: {"I3"},
    never_asked: {"I3"},
    wrong_key: {"I4"},
    commit_first: {"I5"},
    finished_without_reply: {"I1", "I5", "I13"},
    goes_back: {"I5"},
    not_at_the_end: {"I5"},
    held_back: {"I11"},
    still_ongoing: {"I11"},
    counted_too_many: {"I13"},
    not_conserved: {"I13"},
}


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_checker_names_the_invariant_that_is_broken(plant):
    history = good_history()
    plant(history)
    assert broken(history) == PLANTED[plant]
    assert any("BROKEN" in str(verdict) for verdict in checker.check(history))


def test_checker_reads_progress_as_the_worker_writes_it():
    bitmap = base64.urlsafe_b64encode(bytes([0b100, 0b1])).rstrip(b"=").decode()
    metadata = f"1:40:00000000000000aa:{bitmap}:00000000".encode()
    key = struct.pack(">hh", 1, 5) + b"group" + struct.pack(">h", 5) + b"topic" + struct.pack(">i", 3)
    value = struct.pack(">hqih", 3, 40, -1, len(metadata)) + metadata + struct.pack(">q", 1234)
    assert checker.parse_commit(key, value, "group", "topic") == Commit(3, 40, [42, 48], 1234)
    long = metadata.replace(b":00000000", b":" + b"0" * 200)
    size = len(long) + 1
    newer = struct.pack(">hqi", 4, 40, -1) + bytes([size & 0x7F | 0x80, size >> 7]) + long + struct.pack(">q", 1234)
    assert checker.parse_commit(key, newer + b"\0", "group", "topic") == Commit(3, 40, [42, 48], 1234)
    assert checker.parse_commit(key, value, "other", "topic") is None
    assert checker.parse_commit(key, None, "group", "topic") is None
    assert checker.decode_finished("", 7) == []
    with pytest.raises(AssertionError, match="strange progress"):
        checker.decode_finished(metadata.decode(), 41)
