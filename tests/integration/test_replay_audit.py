"""`chat-replay audit` on real Kafka: what a worker leaves behind, and the command line."""

from __future__ import annotations

import subprocess
import time

import msgpack
import pytest
from harness import Replies, Site, audit, audit_findings, chat, until
from replay_tool import replay

HOUR_MS = 3_600_000


def run(site: Site, *words: str, **options):
    return replay("audit", "-b", site.bootstrap, "--requests", site.requests, "--responses", site.responses, *words,
                  **options)


def ask_late(producer, count: int, age_ms: int) -> None:
    """Requests that nobody has answered, from so long ago."""
    then_ms = int(time.time() * 1000) - age_ms
    for i in range(count):
        producer.send_raw(msgpack.packb(chat(f"old{i}", "old", "Hello")), b"old", timestamp_ms=then_ms + i)


def test_audit_of_a_worker_is_clean(make_worker, upstream, producer, replies: Replies, site):
    other = f"{site.name}.other"
    site.broker.create_topics({other: 3})
    worker = make_worker(upstream.url, kafka__reply_topics=[other]).start()
    producer.send_all([chat(f"r{i}", f"c{i % 9}", f"Hello {i}") for i in range(60)])
    producer.send_all([chat(f"j{i}", f"c{i % 9}", "Hallo \u00e9 \U0001f600") for i in range(9)], as_json=True)
    for value in (None, b"", b"\xc1", b"{", b"[]", msgpack.packb({"request_id": "x", "conversation_id": "y"})):
        producer.send_raw(value, b"bad")
    producer.send_raw(msgpack.packb({"request_id": 7}), None)
    producer.send_raw(msgpack.packb(chat("else", "c1", "Hello")), b"c1", [("reply-to", other.encode())])
    replies.wait(60 + 9 + 7)
    until("all is committed", lambda: worker.metric("chat_worker_consumer_lag") == 0)
    code, verdict = audit(site, "--responses", other, "--dead-letters", site.dead_letters, "--group", site.group)
    assert (code, audit_findings(verdict)) == (0, {})
    assert {key: verdict[key] for key in ("requests", "replied", "answered", "fallback", "rejected", "replies")} == {
        "requests": 77, "replied": 77, "answered": 70, "fallback": 0, "rejected": 7, "replies": 77}
    assert (verdict["dead_letters"], verdict["rejected_without_dead_letter"]) == (7, 0)
    assert 0 < verdict["slowest_ms"] < 10_000
    done = run(site, "--responses", other)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "clean"
    # Without the other topic its request has no reply that could be seen.
    time_over = run(site, "--deadline", "0")
    assert time_over.returncode == 5
    assert f"\n    {site.requests}-" in time_over.stdout and time_over.stdout.endswith("NOT clean\n")


def test_audit_tells_lost_from_pending_and_open(producer, site):
    ask_late(producer, 3, 60_000)
    code, verdict = audit(site, "--examples", "2")
    assert (code, audit_findings(verdict)) == (5, {"lost": 3})
    assert len(verdict["lost"]["examples"]) == 2
    code, verdict = audit(site, "--deadline", "1h")
    assert (code, verdict["pending"], audit_findings(verdict)) == (0, 3, {})
    assert "    0 answered, 0 fallback, 0 rejected\n" in run(site).stdout
    # A group that has committed nothing will still answer them.
    code, verdict = audit(site, "--group", site.group)
    assert (code, verdict["open"], audit_findings(verdict)) == (0, 3, {})


def test_audit_judges_the_time_that_is_given(producer, site):
    ask_late(producer, 3, 2 * HOUR_MS)
    assert audit_findings(audit(site)[1]) == {"lost": 3}
    assert audit(site, "--from", "-1h")[1]["requests"] == 0
    assert audit(site, "--to", "-3h")[1]["requests"] == 0
    assert audit(site, "--from", "@2020-01-01", "--to", "-1h")[1]["requests"] == 3
    assert audit(site, "--from", "-3h")[0] == 5


@pytest.mark.parametrize("arguments", [
    ["word"], ["--nothing"], ["--deadline", "soon"], ["--from", "yesterday"], ["--from", "-1h", "--to", "-2h"],
    ["--examples", "101"], ["--requests", "same", "--responses", "same"], ["--limit", "-1"]])
def test_audit_wrong_options_are_2(arguments):
    done = replay("audit", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr


def test_audit_what_cannot_be_read_is_3(site):
    done = replay("audit", "-b", "127.0.0.1:1")
    assert (done.returncode, done.stdout) == (3, "") and "no broker answers" in done.stderr
    done = replay("audit", "-b", site.bootstrap, "--requests", site.requests, "--responses", "no.such.topic")
    assert (done.returncode, done.stdout) == (3, "") and "no topic no.such.topic" in done.stderr


def test_audit_verdict_that_cannot_be_written_is_1(site):
    with open("/dev/full", "w") as full:
        done = run(site, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (1, "chat-replay: the output cannot be written\n")


def test_audit_refused_property_is_78_and_too_many_requests_are_1(producer, site):
    assert run(site, "-X", "no.such=1").returncode == 78
    ask_late(producer, 3, 60_000)
    done = run(site, "--limit", "2")
    assert (done.returncode, done.stdout) == (1, "") and "--limit" in done.stderr
    assert run(site, "--limit", "3").returncode == 5
