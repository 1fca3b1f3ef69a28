"""The worker's retries as a model service sees them: what is asked of whom after which failure."""

from __future__ import annotations

from harness import chat, until
from planned_server import Planned, error

FIRST, SECOND = "stand-in/first", "stand-in/second"


def models(server: Planned) -> list[str]:
    return [body["model"] for body in server.bodies()]


def test_worker_repeat_leaves_out_the_provider_that_failed(make_worker, producer, replies) -> None:
    failed = error(502, metadata={"provider_name": "Amazon Bedrock"})
    with Planned(failed) as server:
        worker = make_worker(server.url, log__level="debug").start().wait_ready()
        producer.send_all([chat("r1", "c1", "Hello") | {"provider": {"sort": "latency", "ignore": ["groq"]}}])
        replies.wait(1, 20)
        first, second = server.bodies()
        text = worker.log.read_text()
    assert replies.all[0].body["outcome"] == "answered" and replies.all[0].body["attempts"] == 2
    assert models(server) == [FIRST, FIRST]
    assert first["provider"] == {"sort": "latency", "ignore": ["groq"]}
    assert second["provider"] == {"sort": "latency", "ignore": ["groq", "Amazon Bedrock", "amazon-bedrock"]}
    assert {**first, "provider": None} == {**second, "provider": None}
    # The name goes back where it came from, and nowhere else.
    assert "Bedrock" not in text and b"Bedrock" not in replies.all[0].value


def test_worker_tokens_that_are_too_dear_are_asked_for_fewer(make_worker, producer, replies) -> None:
    dear = error(402, "This request requires more credits, or fewer max_tokens. You requested up to 600 tokens, "
                      "but can only afford 222. To increase, visit https://openrouter.ai/settings/credits")
    with Planned(dear) as server:
        worker = make_worker(server.url).start().wait_ready()
        producer.send_all([chat("r1", "c1", "Hello")])
        replies.wait(1, 20)
        assert [body["max_tokens"] for body in server.bodies()] == [600, 222]
        assert replies.all[0].body["outcome"] == "answered"
        assert "account refused" not in worker.log.read_text()


def test_worker_model_that_asked_for_patience_is_left_alone(make_worker, producer, replies) -> None:
    """The wait does not fit into the first chat's time, so it goes on; so does everybody else, until the time is over."""
    with Planned(error(429, headers={"retry-after": "8"})) as server:
        worker = make_worker(server.url, chat__deadline_ms=3000, openrouter__first_token_timeout_ms=2500,
                             openrouter__stall_timeout_ms=2000).start().wait_ready()
        for i in range(4):
            producer.send_all([chat(f"r{i}", f"c{i}", "Hello")])
            replies.wait(i + 1, 20)
        assert models(server) == [FIRST] + [SECOND] * 4
        until("it is told", lambda: worker.metric("chat_worker_cooling_models") == 1)
        assert worker.metric("chat_worker_retry_after_seconds") > 0
        until("it is over", lambda: worker.metric("chat_worker_cooling_models") == 0)
        producer.send_all([chat("last", "last", "Hello")])
        replies.wait(5, 20)
        assert models(server)[5:] == [FIRST]
        assert "model asked for patience" in worker.log.read_text()
    assert {reply.body["outcome"] for reply in replies.all} == {"answered"}


def test_worker_only_model_that_asked_for_long_patience_means_fallbacks_at_once(make_worker, producer, replies) -> None:
    with Planned(error(429, headers={"retry-after": "3600"})) as server:
        make_worker(server.url, openrouter__models=[FIRST]).start().wait_ready()
        producer.send_all([chat("r0", "c0", "Hello")])
        replies.wait(1, 20)
        producer.send_all([chat(f"r{i}", f"c{i}", "Hello") for i in range(1, 20)])
        replies.wait(20, 20)
        assert len(server.chats) == 1
    errors = [reply.body["error"] for reply in replies.all]
    assert [each["reason"] for each in errors] == ["rate_limited"] * 20
    assert sorted(reply.body["attempts"] for reply in replies.all) == [0] * 19 + [1]
