"""The worker and a model service that fails as a whole: little is asked of it, chats are answered, and it recovers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import harness
import pytest
from harness import Replies, chat, judge, read_replies, until

RATE = 100  # chats a second
OUTAGE_S = 6
# At the start of an outage: what budget and breakers let through before they know.
SLACK = 60


@contextmanager
def standin(folder: Path, name: str, port: int, *options: str) -> Iterator[harness.Standin]:
    """One that can be followed by another on the same port, each with its own journal."""
    folder = folder / name
    folder.mkdir()
    with harness.standin(folder, "--latency", "50", "--listen", f"127.0.0.1:{port}", *options) as upstream:
        yield upstream


def send_for(producer: harness.Producer, seconds: float, name: str) -> list[harness.Sent]:
    """Chats at a steady rate, each of a conversation of its own."""
    sent: list[harness.Sent] = []
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        due = int(passed * RATE) - len(sent)
        if due <= 0:
            until("the next chat is due", lambda: int((time.monotonic() - began) * RATE) > len(sent))
            continue
        sent += producer.send_all([chat(f"{name}{len(sent) + i}", f"c-{name}{len(sent) + i}", "Hello")
                                   for i in range(due)])
    return sent


def outcomes(replies: Replies, name: str) -> list[harness.Reply]:
    return [reply for reply in replies.all if reply.body["request_id"].startswith(name)]


def reasons(found: list[harness.Reply]) -> Counter[str]:
    return Counter(reply.body["error"]["reason"] if reply.body["error"] else "" for reply in found)


def latencies_ms(found: list[harness.Reply], sent: list[harness.Sent]) -> list[int]:
    begins = {(each.partition, each.offset): each.timestamp_ms for each in sent}
    return sorted(reply.timestamp_ms - begins[reply.source] for reply in found)


def answers_again(producer: harness.Producer, replies: Replies, name: str) -> tuple[float, list[harness.Sent]]:
    """Seconds until a chat is answered, one being asked after the other."""
    began = time.monotonic()
    sent: list[harness.Sent] = []

    def is_answered() -> bool:
        sent.extend(producer.send_all([chat(f"{name}{len(sent)}", f"c-{name}{len(sent)}", "Back again?")]))
        replies.wait(len(replies.all) + 1)
        return any(reply.body["outcome"] == "answered" for reply in outcomes(replies, name))

    until("a chat is answered", is_answered, 20)
    return time.monotonic() - began, sent


@pytest.mark.parametrize("kind", ["503", "refused"])
def test_worker_outage_is_not_hammered_and_ends_within_5_s(make_worker, tmp_path, producer, replies, site, kind):
    port = harness.free_port()
    with standin(tmp_path, "before", port) as upstream:
        worker = make_worker(upstream.url).start().wait_ready()
        sent = send_for(producer, 2, "before")
        replies.wait(len(sent))
    assert reasons(outcomes(replies, "before")) == {"": len(sent)}

    calls = 0
    if kind == "503":
        with standin(tmp_path, "outage", port, "--fail", "503:100%") as upstream:
            down = send_for(producer, OUTAGE_S, "down")
            replies.wait(len(sent) + len(down))
            calls = len(upstream.calls())
            assert calls > 0
    else:
        down = send_for(producer, OUTAGE_S, "down")
        replies.wait(len(sent) + len(down))
        calls = int(worker.metric("chat_worker_upstream_attempts_total") - len(sent))
    with standin(tmp_path, "after", port):
        seconds, after = answers_again(producer, replies, "after")
        more = send_for(producer, 1, "more")
        replies.wait(len(sent) + len(down) + len(after) + len(more))

    found = outcomes(replies, "down")
    told = reasons(found)
    stopped = [reply for reply in found if reply.body["error"]["reason"] == "breaker_open"]
    times = latencies_ms(stopped, down)
    print(f"{kind}: {calls} calls for {len(down)} chats, {dict(told)}; breaker_open within "
          f"{times[len(times) // 2]} ms (median), {times[len(times) * 99 // 100]} ms (p99); "
          f"answers again after {seconds:.2f} s")
    assert calls <= 1.2 * len(down) + SLACK
    # Once it is open hardly a chat is called for.
    assert calls < len(down) / 2
    assert told["breaker_open"] > len(down) / 2
    # Milliseconds of the worker, and a commit; no attempt, which would take longer. What else runs has its share.
    assert times[len(times) // 2] < 1000
    assert seconds < 5
    # While the first two are out to see whether it works, the others may still be stopped; none of the later half is.
    late = {each.request_id for each in more[len(more) // 2:]}
    assert all(reply.body["outcome"] == "answered" for reply in replies.all if reply.body["request_id"] in late)
    judge([*sent, *down, *after, *more], read_replies(site)).assert_clean()
    assert worker.process.poll() is None



def test_worker_refused_account_makes_no_calls_and_recovers_by_itself(make_worker, tmp_path, producer, replies, site):
    port = harness.free_port()
    with standin(tmp_path, "other", port, "--key", "sk-or-another") as upstream:
        worker = make_worker(upstream.url).start().wait_ready()
        first = producer.send_all([chat("first", "c-first", "Hello")])
        replies.wait(1)
        until("it is not ready", lambda: worker.get("/readyz")[0] == 503)
        assert "account" in worker.get("/readyz")[1]
        assert worker.get("/healthz")[0] == 200
        attempts = worker.metric("chat_worker_upstream_attempts_total")
        sent = send_for(producer, 1, "refused")
        replies.wait(1 + len(sent))
        # Chats that found the account refused had no call, and waited for none.
        assert reasons(outcomes(replies, "refused")) == {"auth": len(sent)}
        assert {reply.body["attempts"] for reply in outcomes(replies, "refused")} == {0}
        assert worker.metric("chat_worker_upstream_attempts_total") == attempts == 1
    with standin(tmp_path, "ours", port, "--key", harness.KEY):
        until("it is ready again", lambda: worker.get("/readyz")[0] == 200, 45)
        seconds, after = answers_again(producer, replies, "after")
    assert seconds < 5
    judge([*first, *sent, *after], read_replies(site)).assert_clean()
    assert worker.log.read_text().count("account refused") == 1
    assert worker.log.read_text().count("account works again") == 1
