"""The checker, given histories that are right and histories with one thing wrong: the named invariant must break."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import checker
import figures
import kafka_log
import msgpack
import pytest
import standin_text
from harness import KEY, PARTITIONS, Reply
from history import Commit, Drain, Exit, Fault, Generation, History, Limits, Request, Sample
from kafka.partitioner.default import murmur2

OURS = (7, 0)  # the worker's producer


def reply_to(request: Request, offset: int, **changes: object) -> Reply:
    key = request.conversation.encode()
    body = {
        "request_id": request.request_id,
        "conversation_id": request.conversation,
        "outcome": "answered",
        "error": None,
        "model": "m",
        "message": {"content": standin_text.answer(request.text, "m")},
        "source": {"partition": request.place[0], "offset": request.place[1]},
        **changes,
    }
    home = (murmur2(key) & 0x7FFFFFFF) % PARTITIONS
    return Reply(home, offset, key, msgpack.packb(body), {}, 1000 + request.timestamp_ms)


def sample(pid: int, at_s: float, rss: int = 50 << 20, threads: int = 20, fds: int = 30) -> Sample:
    return Sample("w0", pid, at_s, rss, threads, fds)


def good_history(folder: Path) -> History:
    """Ten requests of two conversations in partition 0, committed in two transactions, the first with a gap. One of two
    workers is killed in the middle; the partition is the other one's, who is then asked to end."""
    requests = [Request((0, i), f"r{i}", f"c{i % 2}", f"text {i}", i) for i in range(10)]
    replies = [reply_to(request, i) for i, request in enumerate(requests)]
    log = folder / "w0.log"
    log.write_text("nothing of interest")
    names = {"m0": "w0", "m1": "w1"}
    return History(
        requests=requests,
        acknowledged={each.place for each in requests},
        replies=replies,
        all_replies={(each.partition, each.offset) for each in replies},
        commits=[Commit(0, 3, [5, 6], 2000, "", OURS, 20), Commit(0, 10, [], 3000, "", OURS, 21)],
        ends={0: 10, 1: 0},
        open_ends={},
        transactions={"chaos-w0": "CompleteCommit"},
        calls=[{"text": each.text, "model": "m", "ms": 500 + i, "status": 200, "open": 1}
               for i, each in enumerate(requests)],
        counted=10,
        attempts=10,
        retries=1,
        calm=(5, 5),
        generations=[Generation(5, 100, {0: "m0", 1: "m1"}, names), Generation(6, 1800, {0: "m0", 1: "m0"}, names)],
        writers={"w0": OURS, "w1": (8, 0)},
        reply_writers={0: [(8, 0), OURS, OURS], 1: [(9, 1)]},
        faults=[Fault("kill -9", 1000, 1500, "w1")],
        exits=[Exit("w1", -9, "kill -9"), Exit("w0", 0, "end")],
        drains=[Drain("w0", 1.0, 61.0, 0)],
        samples=[replace(sample(1, second), is_at_rest=second in (0, 2390)) for second in range(0, 2400, 10)],
        sinks=[log],
        limits=Limits(attempts=3, deadline_ms=10_000, in_flight=2, connections=3, rss=100 << 20, horizon_s=30.0),
        healed_ms=2000,
        converged_ms=3000,
    )


def broken(history: History) -> set[str]:
    return {verdict.invariant for verdict in checker.check(history) if verdict.wrong}


def test_checker_good_history_breaks_nothing(tmp_path):
    assert broken(good_history(tmp_path)) == set()
    assert all("holds" in str(verdict) for verdict in checker.check(good_history(tmp_path)))


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


def strange_progress(history: History) -> None:
    history.commits[0].strange = "a watermark that is not the offset"


def key_in_a_log(history: History) -> None:
    history.sinks[0].write_bytes(base64.b64encode(b"x" + KEY.encode()))


def memory_grows(history: History) -> None:
    for each in history.samples:
        each.rss += int(each.at_s) << 10 << 1  # 120 KiB a minute


def memory_is_large(history: History) -> None:
    history.samples[5].rss = 101 << 20


def descriptors_leak(history: History) -> None:
    history.samples[-1].fds = 60


def threads_leak(history: History) -> None:
    history.samples[-1].threads = 50


def replaced_worker_holds_more(history: History) -> None:
    history.samples.append(replace(sample(2, 2395, fds=60), worker="w1", is_at_rest=True))


def too_many_connections(history: History) -> None:
    history.samples[-1].upstream = 4


def drain_is_late(history: History) -> None:
    history.drains[0].took_s = 62.0


def drain_fails(history: History) -> None:
    history.drains[0].code = 1


def member_stays(history: History) -> None:
    history.members_left = 1


def never_converges(history: History) -> None:
    history.converged_ms = None


def converges_late(history: History) -> None:
    history.converged_ms = history.healed_ms + 30_001


def again(history: History, number: int, ms: int, status: int = 200) -> None:
    history.calls.append({"text": f"text {number}", "model": "m", "ms": ms, "status": status, "open": 1})


def too_many_calls(history: History) -> None:
    for i in range(3):
        again(history, 9, 600 + i)


def call_after_the_deadline(history: History) -> None:
    history.commits[1].time_ms = 20_000
    again(history, 9, 10_600)


def finished_call_again(history: History) -> None:
    again(history, 6, 2600)


def refused_account_again(history: History) -> None:
    history.calls[9]["status"] = 402
    again(history, 9, 600, 402)


def too_many_at_once(history: History) -> None:
    history.commits[1].time_ms = 3100
    again(history, 9, 3000)
    history.calls[-1]["open"] = 3


def too_many_retries(history: History) -> None:
    history.retries = 5


def fenced_one_writes(history: History) -> None:
    history.reply_writers[1].append((9, 0))


def commits_for_another(history: History) -> None:
    history.generations[1].owners[0] = "m1"


def commits_after_giving_up(history: History) -> None:
    del history.generations[1].owners[0]
    history.commits[1].writer = (8, 0)


def dies_by_itself(history: History) -> None:
    history.exits.append(Exit("w0", -6, ""))


def ends_badly(history: History) -> None:
    history.exits[1].code = 1


def ends_silently(history: History) -> None:
    history.exits.append(Exit("w0", 0, ""))


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
    commit_first: {"I5", "I10"},
    finished_without_reply: {"I1", "I5", "I13"},
    goes_back: {"I5"},
    not_at_the_end: {"I5"},
    strange_progress: {"I5"},
    key_in_a_log: {"I6"},
    memory_grows: {"I7"},
    memory_is_large: {"I7"},
    descriptors_leak: {"I7"},
    threads_leak: {"I7"},
    replaced_worker_holds_more: {"I7"},
    too_many_connections: {"I7"},
    drain_is_late: {"I8"},
    drain_fails: {"I8"},
    member_stays: {"I8"},
    never_converges: {"I9"},
    converges_late: {"I9"},
    too_many_calls: {"I10"},
    call_after_the_deadline: {"I10"},
    finished_call_again: {"I10"},
    refused_account_again: {"I10"},
    too_many_at_once: {"I10"},
    too_many_retries: {"I10"},
    held_back: {"I11"},
    still_ongoing: {"I11"},
    fenced_one_writes: {"I12"},
    commits_for_another: {"I12"},
    commits_after_giving_up: {"I12"},
    counted_too_many: {"I13"},
    not_conserved: {"I13"},
    dies_by_itself: {"I15"},
    ends_badly: {"I15"},
    ends_silently: {"I15"},
}


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_checker_names_the_invariant_that_is_broken(plant, tmp_path):
    history = good_history(tmp_path)
    plant(history)
    assert broken(history) == PLANTED[plant]
    assert any("BROKEN" in str(verdict) for verdict in checker.check(history))


def test_checker_names_every_invariant_of_a_history():
    assert {invariant for those in PLANTED.values() for invariant in those} == {
        f"I{number}" for number in range(1, 16) if number != 14}


def test_checker_allows_more_calls_after_a_takeover(tmp_path):
    history = good_history(tmp_path)
    too_many_calls(history)
    history.generations.append(Generation(7, 580, {0: "m2", 1: "m0"}, {"m0": "w0", "m2": "w0"}))
    history.generations.sort(key=lambda each: each.time_ms)
    assert broken(history) == set()


def test_checker_excuses_calls_of_one_who_could_not_know(tmp_path):
    history = good_history(tmp_path)
    finished_call_again(history)
    history.faults.append(Fault("zombie", 900, 1500, "w1"))
    assert broken(history) == set()


def test_checker_says_how_long_a_partition_that_stayed_had_to_wait(tmp_path):
    history = good_history(tmp_path)
    history.replies[6].timestamp_ms += 700
    assert figures.pauses(history) == [0.697]
    # A wait that began when Kafka was hurt is not the rebalance's.
    history.requests = [replace(each, timestamp_ms=each.timestamp_ms - 8000) for each in history.requests]
    history.faults.append(Fault("cut", -1990, -1990))
    history.generations[1].time_ms = 6000
    history.replies[6].timestamp_ms = 5000
    assert figures.pauses(history) == []


def test_checker_counts_descriptors_at_rest_only(tmp_path):
    history = good_history(tmp_path)
    history.samples[100].fds = 200
    history.samples[0].fds, history.samples[-1].fds = None, 500
    assert broken(history) == set()


def test_checker_allows_for_handles_that_more_calls_at_once_need(tmp_path):
    history = good_history(tmp_path)
    history.limits.handles = 10
    history.samples[-1].fds = 30 + 24 + 10
    assert broken(history) == set()
    history.samples[-1].fds += 1
    assert broken(history) == {"I7"}


def test_checker_says_what_a_kill_has_cost(tmp_path):
    history = good_history(tmp_path)
    history.limits.call_ms = 50
    # Text 0 to 9 are called for from 500 on, and committed at 2000 and 3000: all were open when w0 is killed at 556.
    history.faults = [Fault("kill -9", 556, 600, "w0"), Fault("kill -9", 556, 600, "w1"), Fault("roll", 556, 600, "w0")]
    again(history, 2, 700)
    again(history, 9, 700)
    assert figures.kill_costs(history) == [figures.KillCost(7, 1, False), figures.KillCost(0, 0, False)]
    history.commits[0].time_ms = 520
    assert figures.kill_costs(history)[0] == figures.KillCost(2, 0, False)
    del history.faults[1:]
    assert figures.kill_costs(history) == [figures.KillCost(2, 0, True)]


def test_checker_says_which_recovery_was_that_of_one_fault_alone(tmp_path):
    history = good_history(tmp_path)
    history.faults = [Fault("cut", 2, 4), Fault("roll", 10_000, 10_100, "w1"), Fault("cut", 13_601, 13_601)]
    assert [each.is_alone for each in figures.recoveries(history)] == [True, True, True]
    assert figures.recoveries(history)[0].took_s == 1.0
    history.faults[2].begin_ms = 13_600
    assert [each.is_alone for each in figures.recoveries(history)] == [True, False, True]
    history.faults[2].begin_ms = history.faults[2].end_ms = 11_600
    assert [each.is_alone for each in figures.recoveries(history)] == [True, False, False]
    assert any(line.startswith("cut              2 times") for line in figures.lines(history))


def test_checker_says_how_the_memory_of_long_lives_grows(tmp_path):
    history = good_history(tmp_path)
    history.samples += [sample(2, second, second << 20) for second in range(0, 1100, 10)]
    for each in history.samples:
        each.rss += int(each.at_s) << 10
    assert [(each.worker, each.span_s, round(each.per_minute)) for each in figures.growths(history)] == [
        ("w0", 1790.0, 60 << 10)]


def test_checker_slope_is_not_moved_by_outliers():
    points = [(float(x), 10.0 * x) for x in range(100)]
    points[50] = (50.0, 1e9)
    assert figures.slope(points) == 10.0


def test_checker_foretells_what_the_stand_in_answers():
    # SipHash-2-4 of the paper's appendix A: key 00..0f, message 00..0e.
    assert standin_text.siphash(0x0706050403020100, 0x0F0E0D0C0B0A0908, bytes(range(15))) == 0xA129CA6149BE45E5
    assert standin_text.answer(" two [[503 once]] words", "a/b").startswith("You wrote: two  words | a/b answers: ")


def text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode()


def compact(value: bytes) -> bytes:
    size = len(value) + 1
    return (bytes([size]) if size < 128 else bytes([size & 0x7F | 0x80, size >> 7])) + value


def test_checker_reads_progress_as_the_worker_writes_it():
    bitmap = base64.urlsafe_b64encode(bytes([0b100, 0b1])).rstrip(b"=").decode()
    metadata = f"1:40:00000000000000aa:{bitmap}:00000000"
    key = struct.pack(">h", 1) + text("group") + text("topic") + struct.pack(">i", 3)
    value = struct.pack(">hqi", 3, 40, -1) + text(metadata) + struct.pack(">q", 1234)
    assert kafka_log.parse_commit(key, value, "group", "topic") == Commit(3, 40, [42, 48], 1234)
    long = metadata.replace(":00000000", ":" + "0" * 200)
    newer = struct.pack(">hqi", 4, 40, -1) + compact(long.encode()) + struct.pack(">q", 1234) + b"\0"
    assert kafka_log.parse_commit(key, newer, "group", "topic") == Commit(3, 40, [42, 48], 1234)
    told = {3: (38, 0b10000)}
    assert kafka_log.parse_commit(key, value, "group", "topic", told) == Commit(3, 40, [48], 1234)
    assert told == {3: (40, 0b100000100)}
    assert kafka_log.parse_commit(key, value, "other", "topic") is None
    assert kafka_log.parse_commit(key, None, "group", "topic") is None
    assert kafka_log.decode_finished("", 7) == 0
    strange = value.replace(struct.pack(">q", 40), struct.pack(">q", 41))
    assert "strange progress" in kafka_log.parse_commit(key, strange, "group", "topic").strange


def test_checker_reads_generations_as_kafka_writes_them():
    assignment = struct.pack(">hi", 1, 1) + text("topic") + struct.pack(">iii", 2, 4, 5) + struct.pack(">i", -1)
    key = struct.pack(">h", 2) + text("group")
    members = (text("m0") + struct.pack(">h", -1) + text("w0") + text("host") + struct.pack(">ii", 1, 2)
               + struct.pack(">i", 0) + struct.pack(">i", len(assignment)) + assignment)
    value = (struct.pack(">h", 3) + text("consumer") + struct.pack(">i", 9) + text("sticky") + text("m0")
             + struct.pack(">q", 1234) + struct.pack(">i", 1) + members)
    expected = Generation(0, 1234, {4: "m0", 5: "m0"}, {"m0": "w0"})
    assert kafka_log.parse_generation(key, value, "group", "topic") == expected
    assert expected.worker_of(4) == "w0" and expected.worker_of(6) is None
    assert kafka_log.parse_generation(key, value, "other", "topic") is None


def test_checker_reads_transactional_ids_as_kafka_writes_them():
    value = struct.pack(">hqhib", 0, 7, 2, 4000, 4)
    assert kafka_log.parse_transaction(struct.pack(">h", 0) + text("id"), value) == ("id", (7, 2), "CompleteCommit")
    assert kafka_log.parse_transaction(struct.pack(">h", 0) + text("id"), None) is None
