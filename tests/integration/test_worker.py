"""The whole worker on Apache Kafka: what goes in, what comes out, whatever happens to it on the way."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import harness
import msgpack
import pytest
from harness import Replies, chat, judge, read_replies, read_topic, until
from kafka import TopicPartition


def reply_to(replies: Replies, request_id: str, timeout_s: float = 30.0) -> harness.Reply:
    def find() -> harness.Reply | None:
        replies.poll()
        return next((each for each in replies.all if each.body["request_id"] == request_id), None)

    return until(f"a reply to {request_id}", find, timeout_s)


def test_worker_one_chat_in_each_coding_is_answered_in_that_coding(make_worker, upstream, producer, replies, site):
    make_worker(upstream.url).start()
    packed, = producer.send_all([chat("r1", "c1", "Hello in msgpack")])
    text, = producer.send_all([chat("r2", "c2", "Hello in JSON")], as_json=True)
    first, second = reply_to(replies, "r1"), reply_to(replies, "r2")
    assert first.value[:1] != b"{" and second.value[:1] == b"{"
    for sent, reply in ((packed, first), (text, second)):
        assert reply.body["outcome"] == "answered" and reply.body["message"]["content"]
        assert reply.body["attempts"] == 1 and reply.body["error"] is None
        assert reply.key == sent.conversation.encode()
        assert reply.source == (sent.partition, sent.offset)
        assert reply.headers["correlation-id"] == sent.request_id.encode()
        assert reply.headers["chat-outcome"] == b"answered"
    judge([packed, text], read_replies(site)).assert_clean()


def test_worker_history_model_and_temperature_reach_the_upstream(make_worker, upstream, producer, replies):
    make_worker(upstream.url, openrouter__temperature=0.25, chat__system_prompt="Be brief.").start()
    body = {
        "request_id": "r1",
        "conversation_id": "c1",
        "model": "vendor/own",
        "messages": [
            {"role": "user", "content": "My name is Ada."},
            {"role": "assistant", "content": "Hello Ada."},
            {"role": "user", "content": "What is my name?"},
        ],
    }
    producer.send_all([body])
    reply = reply_to(replies, "r1")
    assert reply.body["model"] == "vendor/own"
    call, = upstream.calls()
    assert call["model"] == "vendor/own"


BAD = {
    "empty": (b"", None, "decode"),
    "tombstone": (None, None, "decode"),
    "noise": (b"\xc1\xc1\xc1", None, "decode"),
    "cut JSON": (b'{"request_id": "x", ', None, "decode"),
    "a list": (msgpack.packb([1, 2]), None, "schema"),
    "no messages": (msgpack.packb({"request_id": "x"}), None, "schema"),
    "a number as id": (msgpack.packb({"request_id": 7, "messages": []}), None, "schema"),
    "streaming": (msgpack.packb({**chat("x", "c", "hi"), "stream": True}), None, "bad_request"),
    "XML": (b"<chat/>", b"application/xml", "unsupported_media_type"),
    "a model that is not allowed": (msgpack.packb({**chat("x", "c", "hi"), "model": "evil/one"}), None,
                                    "model_not_allowed"),
    "too large": (msgpack.packb(chat("x", "c", "a" * 70_000)), None, "too_large"),
}


def test_worker_bad_input_is_rejected_with_its_reason_and_kept_as_dead_letter(
        make_worker, upstream, producer, replies, site):
    worker = make_worker(upstream.url, limits__record_bytes=65536,
                         openrouter__allowed_models=["stand-in/*"]).start()
    sent = {}
    for name, (value, kind, reason) in BAD.items():
        headers = [("content-type", kind)] if kind else []
        sent[producer.send_raw(value, name.encode(), [*headers, ("trace", name.encode())]).offset, name] = reason
    good, = producer.send_all([chat("good", "c-good", "Are you still there?")])
    assert reply_to(replies, "good").body["outcome"] == "answered"
    replies.wait(len(BAD) + 1)
    by_key = {reply.key: reply for reply in replies.all}
    for name, (_, _, reason) in BAD.items():
        reply = by_key[name.encode()] if name.encode() in by_key else by_key[b"c"]
        assert reply.body["outcome"] == "rejected"
    reasons = Counter(reply.body["error"]["reason"] for reply in replies.all if reply.body["error"])
    assert reasons == Counter(reason for _, _, reason in BAD.values())
    letters = read_topic(site.bootstrap, site.dead_letters)
    assert Counter(letter.value for letter in letters) == Counter(value for value, _, _ in BAD.values())
    for letter in letters:
        headers = dict(letter.headers)
        assert headers["dlq-reason"].decode() == BAD[headers["trace"].decode()][2]
        assert headers["dlq-original-topic"].decode() == site.requests
    assert worker.process.poll() is None
    assert len(upstream.calls()) == 1


def test_worker_hanging_upstream_gets_a_fallback_before_its_deadline(make_worker, upstream, producer, replies):
    make_worker(upstream.url).start().wait_ready()
    sent, = producer.send_all([chat("r1", "c1", "Say nothing. [[stall]]")])
    reply = reply_to(replies, "r1")
    assert reply.body["outcome"] == "fallback" and reply.body["error"]["reason"] == "timeout"
    assert reply.timestamp_ms - sent.timestamp_ms < 10_000
    assert reply.body["attempts"] >= 2


def test_worker_chat_that_arrives_late_gets_its_fallback_without_a_call(make_worker, upstream, producer, replies):
    make_worker(upstream.url).start().wait_ready()
    value = msgpack.packb(chat("late", "c1", "Too late"))
    producer.send_raw(value, b"c1", timestamp_ms=int(time.time() * 1000) - 20_000)
    reply = reply_to(replies, "late")
    assert (reply.body["outcome"], reply.body["error"]["reason"]) == ("fallback", "deadline")
    assert reply.body["attempts"] == 0 and upstream.calls() == []


def test_worker_slow_conversation_delays_no_other_reply_or_commit(make_worker, upstream, producer, replies, site):
    make_worker(upstream.url, chat__deadline_ms=20000, openrouter__first_token_timeout_ms=15000,
                openrouter__stall_timeout_ms=15000).start().wait_ready()
    slow, = producer.send_all([chat("slow", "c-slow", "Think long. [[latency 9000]]")])
    until("the slow call has begun", lambda: len(upstream.calls()) == 1)
    others = producer.send_all([chat(f"r{i}", f"c{i}", f"Quick {i}") for i in range(300)])
    replies.wait(300, 8)
    assert "slow" not in {reply.body["request_id"] for reply in replies.all}
    waiting = [each for each in others if each.partition == slow.partition]
    assert waiting, "no other chat in the slow one's partition"

    def is_progress_kept() -> bool:
        # The watermark stands at the slow chat; what is finished above it is in the text beside it.
        offset, metadata = site.committed()[slow.partition]
        return offset == slow.offset and len(metadata.split(":")[3]) > 0

    until("progress above the slow chat is committed", is_progress_kept, 5)
    assert reply_to(replies, "slow").body["outcome"] == "answered"
    judge([slow, *others], read_replies(site)).assert_clean()


def test_worker_conversation_keeps_its_order_whatever_its_calls_take(make_worker, upstream, producer, replies, site):
    make_worker(upstream.url).start()
    chats = [chat(f"r{i}", f"c{i % 7}", f"{i} [[latency {(i * 37) % 200}]]") for i in range(200)]
    sent = producer.send_all(chats)
    replies.wait(200)
    judge(sent, read_replies(site)).assert_clean()


def test_worker_upstream_down_under_load_answers_in_time_and_recovers(make_worker, tmp_path, producer, replies, site):
    port = harness.free_port()
    options = ("--latency", "100", "--keepalive", "0", "--listen", f"127.0.0.1:{port}")
    sent: list[harness.Sent] = []
    with harness.standin(tmp_path, *options) as upstream:
        worker = make_worker(upstream.url).start().wait_ready()
        sent += producer.send_all([chat("up0", "c-up0", "Are you there?")])
        assert reply_to(replies, "up0").body["outcome"] == "answered"
    end = time.monotonic() + 20
    while time.monotonic() < end:
        number = len(sent)
        sent += producer.send_all([chat(f"down{number + i}", f"c{i}", "Nobody there") for i in range(20)])
        replies.wait(len(sent))
    with harness.standin(tmp_path, *options):
        def is_answered() -> bool:
            """An open breaker lets a chat through now and then, to see whether the way is free again."""
            after, = producer.send_all([chat(f"up{len(sent)}", "c-up", "And now?")])
            sent.append(after)
            return reply_to(replies, after.request_id).body["outcome"] == "answered"

        until("answers flow again", is_answered)
    assert worker.process.poll() is None
    judge(sent, read_replies(site)).assert_clean()
    begins = {(each.partition, each.offset): each.timestamp_ms for each in sent}
    late = [reply for reply in replies.all if reply.timestamp_ms - begins[reply.source] > 10_500]
    assert not late
    outcomes = Counter(reply.body["outcome"] for reply in replies.all)
    assert outcomes["fallback"] > 100 and outcomes["answered"] == 2 and not outcomes["rejected"]


def test_worker_sigterm_with_many_calls_running_loses_and_repeats_nothing(
        make_worker, upstream, producer, replies, site):
    first = make_worker(upstream.url, "w0", worker__drain_ms=15000).start().wait_ready()
    sent = producer.send_all([chat(f"r{i}", f"c{i}", f"{i} [[latency 2000]]") for i in range(500)])
    until("500 calls run", lambda: first.metric("chat_worker_inflight") == 500)
    first.terminate()
    began = time.monotonic()
    assert first.wait(20) == 0
    assert time.monotonic() - began < 15
    replies.wait(500)
    make_worker(upstream.url, "w1").start().wait_ready()
    extra = producer.send_all([chat("last", "c-last", "Anything left?")])
    assert reply_to(replies, "last").body["outcome"] == "answered"
    verdict = judge([*sent, *extra], read_replies(site))
    verdict.assert_clean()
    assert verdict.outcomes == {"answered": 501}
    assert len(upstream.calls()) == 501


def test_worker_second_sigterm_ends_at_once_with_failure(make_worker, upstream, producer):
    worker = make_worker(upstream.url).start().wait_ready()
    producer.send_all([chat("r1", "c1", "[[latency 8000]]")])
    until("the call runs", lambda: worker.metric("chat_worker_inflight") == 1)
    worker.terminate()
    until("it drains", lambda: worker.get("/readyz")[0] == 503)
    worker.terminate()
    assert worker.wait() == 1


def test_worker_killed_and_replaced_answers_each_request_once(make_worker, upstream, producer, replies, site):
    workers = [make_worker(upstream.url, f"w{i}", chat__deadline_ms=60000, worker__drain_ms=61000).start()
               for i in range(2)]
    for worker in workers:
        worker.wait_ready()
        until("a share of the partitions", lambda worker=worker: worker.metric("chat_worker_assigned_partitions") > 0)
    sent = producer.send_all([chat(f"r{i}", f"c{i % 300}", f"{i} [[latency 300]]") for i in range(3000)])
    replies.wait(800, 60)
    workers[0].kill()
    workers[0].start()
    replies.wait(3000, 90)
    judge(sent, read_replies(site)).assert_clean()
    calls = Counter(call["text"] for call in upstream.calls())
    twice = sum(count - 1 for count in calls.values())
    print(f"model calls made twice: {twice} of {len(sent)}")
    assert twice <= 1000 + 300, "more than were in flight or finished since the last commit"


def test_worker_rolling_restart_answers_each_request_once(make_worker, upstream, producer, replies, site):
    workers = [make_worker(upstream.url, f"w{i}", chat__deadline_ms=60000, worker__drain_ms=61000).start()
               for i in range(2)]
    for worker in workers:
        worker.wait_ready()
    sent = producer.send_all([chat(f"r{i}", f"c{i % 200}", f"{i} [[latency 200]]") for i in range(2000)])
    replies.wait(300)
    for worker in workers:
        worker.terminate()
        assert worker.wait(60) == 0
        worker.start()
        worker.wait_ready()
    replies.wait(2000, 90)
    judge(sent, read_replies(site)).assert_clean()
    calls = Counter(call["text"] for call in upstream.calls())
    assert sum(count - 1 for count in calls.values()) == 0, "a call that had finished was made again"


def test_worker_key_is_in_no_log_metric_reply_dead_letter_or_environment(
        make_worker, upstream, producer, replies, site):
    worker = make_worker(upstream.url, log__level="debug",
                         kafka__properties=["debug=broker,protocol,cgrp,eos"]).start().wait_ready()
    producer.send_all([chat("r1", "c1", "Hello"), chat("r2", "c2", "[[status 500]]"), chat("r3", "c3", "[[tool]]")])
    producer.send_raw(b"\xc1", b"bad")
    replies.wait(4)
    secret = harness.KEY.encode()
    sinks = {
        "log": worker.log.read_bytes(),
        "metrics": worker.get("/metrics")[1].encode(),
        "readyz": worker.get("/readyz")[1].encode(),
        "replies": b"".join(reply.value + repr(reply.headers).encode() for reply in replies.all),
        "dead letters": b"".join(letter.value for letter in read_topic(site.bootstrap, site.dead_letters)),
        "environ": open(f"/proc/{worker.pid}/environ", "rb").read(),
        "command line": open(f"/proc/{worker.pid}/cmdline", "rb").read(),
    }
    assert len(sinks["log"]) > 1000, "the log is empty, so this proves nothing"
    for name, content in sinks.items():
        assert secret not in content and secret[10:] not in content, f"the key is in {name}"
    # And it did reach the one place it is for.
    assert all(call.get("status") != 401 for call in upstream.calls())


def test_worker_metrics_add_up(make_worker, upstream, producer, replies):
    worker = make_worker(upstream.url).start().wait_ready()
    producer.send_all([chat(f"r{i}", f"c{i}", f"Hello {i}") for i in range(50)])
    producer.send_raw(b"\xc1", b"bad")
    replies.wait(51)
    until("all is counted", lambda: worker.metric("chat_worker_end_to_end_duration_seconds_count") == 51)
    assert worker.metric("chat_worker_requests_total", outcome="answered") == 50
    assert worker.metric("chat_worker_requests_total", outcome="rejected") == 1
    assert worker.metric("chat_worker_dlq_messages_total", reason="decode") == 1
    assert worker.metric("chat_worker_upstream_attempts_total", status="200") == 50
    assert worker.metric("messaging_client_consumed_messages_total") == 51
    assert worker.metric("chat_worker_commits_total", result="committed") >= 1
    assert worker.metric("chat_worker_commits_total", result="uncertain") == 0
    until("no lag is left", lambda: worker.metric("chat_worker_consumer_lag") == 0)


def test_worker_reply_to_is_honoured_only_when_listed(make_worker, upstream, producer, replies, site):
    site.broker.create_topics({f"{site.name}.other": 1})
    worker = make_worker(upstream.url, kafka__reply_topics=[f"{site.name}.other"]).start()
    value = msgpack.packb(chat("r1", "c1", "Hello"))
    producer.send_raw(value, b"c1", [("reply-to", f"{site.name}.other".encode())])
    producer.send_raw(msgpack.packb(chat("r2", "c2", "Hello")), b"c2", [("reply-to", b"some.other.topic")])
    assert reply_to(replies, "r2").body["outcome"] == "answered"
    other = until("the other topic has a reply", lambda: read_topic(site.bootstrap, f"{site.name}.other"))
    assert msgpack.unpackb(other[0].value)["request_id"] == "r1"
    assert worker.metric("chat_worker_reply_to_refused_total") == 1


class LongAnswer(BaseHTTPRequestHandler):
    """A server that is not ours, which answers at length and without a stream."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        message = {"role": "assistant", "content": "long " * 1000}
        body = json.dumps({"id": "gen-1", "model": "m", "choices": [{"message": message, "finish_reason": "stop"}]})
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def long_answers():
    with ThreadingHTTPServer(("127.0.0.1", 0), LongAnswer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/api/v1"
        server.shutdown()
        thread.join()


def test_worker_reply_larger_than_the_topic_takes_is_replaced(make_worker, long_answers, producer, replies, site):
    small = f"{site.name}.small"
    site.broker.create_topics({small: 1}, {"max.message.bytes": "2000"})
    make_worker(long_answers, kafka__reply_topics=[small]).start()
    producer.send_raw(msgpack.packb(chat("r1", "c1", "Say a lot.")), b"c1",
                      [("reply-to", small.encode())])
    sent, = producer.send_all([chat("r2", "c2", "Next")])
    assert reply_to(replies, "r2").body["outcome"] == "answered"
    reply, = until("a reply that fits", lambda: read_topic(site.bootstrap, small))
    body = msgpack.unpackb(reply.value)
    assert (body["outcome"], body["error"]["reason"]) == ("fallback", "reply_too_large")


@pytest.mark.parametrize("field", ["tools", "tool_calls"])
def test_worker_tools_pass_through_untouched(make_worker, upstream, producer, replies, field):
    make_worker(upstream.url).start()
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}}}}]
    body = chat("r1", "c1", "How is the weather in Paris? [[tool]]", tools=tools)
    if field == "tool_calls":
        call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'}}
        body["messages"] = [
            {"role": "user", "content": "How is the weather?"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "Rain."},
            {"role": "user", "content": "And in Rome? [[tool]]"},
        ]
    producer.send_all([body])
    reply = reply_to(replies, "r1")
    assert reply.body["outcome"] == "answered" and reply.body["finish_reason"] == "tool_calls"
    call = reply.body["message"]["tool_calls"][0]
    assert call["type"] == "function" and json.loads(call["function"]["arguments"]) is not None


def test_worker_topic_made_anew_has_its_requests_answered(make_worker, upstream, producer, replies, site):
    """Offsets begin again and mean other records; what was known of the old ones must not count."""
    worker = make_worker(upstream.url, chat__deadline_ms=60000, worker__drain_ms=61000).start().wait_ready()
    producer.send_all([chat(f"old{i}", f"c{i}", f"Old {i}") for i in range(300)])
    replies.wait(300)
    admin = site.broker.admin()
    admin.delete_topics([site.requests])
    until("the topic is gone", lambda: site.requests not in admin.list_topics())
    admin.close()
    site.broker.create_topics({site.requests: harness.PARTITIONS})
    fresh = harness.Producer(site)
    fresh.send_all([chat(f"new{i}", f"c{i}", f"New {i}") for i in range(100)])
    fresh.close()
    replies.wait(400, 60)
    counts = Counter(reply.body["request_id"] for reply in replies.all)
    assert all(counts[f"new{i}"] == 1 for i in range(100))
    assert worker.process.poll() is None


def test_worker_backlog_is_worked_off_in_all_partitions(make_worker, producer, replies, tmp_path, site):
    with harness.standin(tmp_path, "--latency", "100", "--keepalive", "0") as upstream:
        sent = producer.send_all([chat(f"r{i}", f"c{i}", f"Hello {i}") for i in range(2400)])
        make_worker(upstream.url, chat__deadline_ms=60000, worker__drain_ms=61000, worker__max_waiting=120,
                    worker__max_in_flight=40).start()
        replies.wait(400)
        seen = Counter(reply.source[0] for reply in replies.all[:400])
        assert set(seen) == {each.partition for each in sent}, f"some partitions wait for the others: {seen}"
        replies.wait(2400)
        judge(sent, read_replies(site)).assert_clean()


def test_worker_restarted_behind_finished_chats_answers_the_next_one_soon(
        make_worker, upstream, producer, replies, site):
    worker = make_worker(upstream.url, chat__deadline_ms=30000, worker__drain_ms=31000, worker__max_in_flight=50,
                         openrouter__first_token_timeout_ms=29000, openrouter__stall_timeout_ms=29000)
    worker.start().wait_ready()
    stuck, = producer.send_all([chat("stuck", "one", "[[latency 25000]]")])
    until("the stuck chat is called", lambda: len(upstream.calls()) == 1)
    # All in the stuck one's conversation's partition, all finished above it.
    others = producer.send_all([chat(f"r{i}", f"c{i}", f"Hello {i}") for i in range(4000)])
    replies.wait(4000)
    worker.kill()
    worker.start()
    after, = producer.send_all([chat("after", "one-more", "Are you back?")])
    assert reply_to(replies, "after", 15).body["outcome"] == "answered"
    replies.wait(4002)
    verdict = judge([stuck, *others, after], read_replies(site))
    verdict.assert_clean()
    assert Counter(call["text"] for call in upstream.calls())["Hello 17"] == 1


def test_worker_committed_offset_eaten_by_retention_is_told_and_reading_goes_on(
        make_worker, upstream, producer, replies, site):
    worker = make_worker(upstream.url).start()
    first, = producer.send_all([chat("first", "c", "Hello")])
    reply_to(replies, "first")
    worker.terminate()
    assert worker.wait(30) == 0
    lost = producer.send_all([chat(f"lost{i}", "c", "Nobody will read this") for i in range(3)])
    kept, = producer.send_all([chat("kept", "c", "Are you there?")])
    admin = site.broker.admin()
    admin.delete_records({TopicPartition(site.requests, first.partition): lost[-1].offset + 1})
    admin.close()
    worker.start()
    assert reply_to(replies, "kept").body["outcome"] == "answered"
    assert "committed offset is not in the log" in worker.tail()
    assert worker.metric("chat_worker_offsets_lost_total") >= 1
    judge([first, kept], read_replies(site)).assert_clean()
