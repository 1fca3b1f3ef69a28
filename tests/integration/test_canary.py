"""A stormy time with a canary for a key: it must be in nothing that the worker leaves behind, however it is written.

tests/integration/test_canary_seeds.py plants a leak at each of these places and finds it.
"""

from __future__ import annotations

import json
from pathlib import Path

import canary
import harness
import pytest
from canary_tool import (  # noqa: F401
    Tap,
    admin_answers,
    broker_disk,
    output_of,
    process_files,
    service,
    site,
    tapped,
    topics_and_offsets,
)
from harness import chat, until

STATUSES = (400, 403, 404, 408, 409, 413, 418, 422, 429, 500, 502, 503, 504, 524, 529)
# What an answer may hold that is masked: common/redaction.h.
MASKED = ("raw", "base64 +0", "base64 +1", "base64 +2", "base64url +0", "base64url +1", "base64url +2", "hex", "HEX", "url",
          "url, all", "json", "json, all")
# Inside the arguments of a tool call these are escaped once more, which is beyond what is known.
ONCE = ("json", "json, all")


def storm(key: str) -> list[dict]:
    """Orders for the service, none of which holds the key itself."""
    texts = ("KEY", "Your header was 'AUTH'.", "Authorization: AUTH")
    orders: list[dict] = [{"do": "answer", "text": text} for text in texts]
    orders += [{"do": "answer" if encoding in ONCE else "echo", "text": text, "as": encoding}
               for text in texts[:2] for encoding in MASKED]
    orders += [{"do": "pieces", "text": text, "at": at} for text in texts[:2] for at in range(1, len(key) + 8, 3)]
    orders += [{"do": "error", "status": status, "text": text} for text in texts[:2] for status in STATUSES]
    orders += [{"do": "error", "status": 200, "code": code, "text": "AUTH"} for code in (400, 502, "invalid_api_key")]
    orders += [{"do": "event_error", "code": code, "text": "AUTH"} for code in (400, 429, 502)]
    orders += [{"do": "raw", "type": kind, "text": f"{before}AUTH"}
               for kind in ("text/html", "application/json", "text/event-stream")
               for before in ("", "<p>", "data: ", '{"choices": "', ": ")]
    return orders


BAD = [(b"", None), (b"\xc1", None), (b'{"request_id": ', None), (b"<chat/>", b"application/xml"), (b"[" * 100, None)]


def test_worker_in_a_storm_shows_its_key_nowhere(make_worker, service, producer, replies, site, tapped):
    broker, kafka_tap = tapped
    key = canary.make_key()
    worker = make_worker(service.url, log__level="debug", kafka__properties=["debug=all"],
                         kafka__dead_letter_on=["rejected", "fallback"], worker__max_in_flight=8,
                         breaker__min_calls=1000)
    worker.environment = {"OPENROUTER_API_KEY": key}
    worker.start().wait_ready()
    sinks = {}
    with Tap(lambda: worker.port) as admin_tap:
        orders = storm(key)
        producer.send_all([chat(f"r{number}", f"c{number % 50}", json.dumps(order)) for number, order in enumerate(orders)])
        for value, kind in BAD:
            producer.send_raw(value, b"bad", [("content-type", kind)] if kind else [])
        replies.wait(len(orders) + len(BAD), 180)
        masked = [each for each in replies.all if b"****" in each.value]
        assert len(masked) > 40, "hardly any answer was masked, so they held no key"
        sinks.update(admin_answers(admin_tap.port))
        # The last blow: the key is refused, with the key in the refusal.
        service.keys = set()
        producer.send_all([chat("refused", "c", "anything")])
        replies.wait(len(orders) + len(BAD) + 1)
        until("a probe was refused", lambda: service.probes(401))
        sinks.update({f"{name}, refused": text for name, text in admin_answers(admin_tap.port).items()})
        sinks.update(process_files(worker.pid))
        sinks["admin traffic"] = admin_tap.bytes()
    worker.terminate()
    assert worker.wait() == 0
    sinks.update(topics_and_offsets(site), **broker_disk(broker))
    sinks["Kafka traffic"] = kafka_tap.bytes()
    sinks["stdout and stderr"] = worker.log.read_bytes()
    for name, text in sinks.items():
        assert len(text) > 10, f"{name} is empty, so this proves nothing"
    assert len(sinks["stdout and stderr"]) > 100_000 and len(sinks["Kafka traffic"]) > 100_000
    assert {each.key for each in service.seen} == {key}, "the key did not reach the one place it is for"
    assert canary.scan(sinks, key) == []


def bad_command_lines(key: str, folder: Path) -> list[list[str]]:
    """The key where it does not belong."""
    strange = folder / "strange.conf"
    strange.write_text(f'openrouter: {{ {key[:9].replace("-", "_")} = {json.dumps(key)}; models = {json.dumps(key)}; }};')
    broken = folder / "broken.conf"
    broken.write_text(f"openrouter: {{ app_title = {json.dumps(key)}\n{key}")
    good = folder / "good.conf"
    good.write_text('openrouter: { models = ["a/b"]; }; kafka: { bootstrap_servers = "127.0.0.1:1"; };')
    wrong = [["-c", str(path)] for path in (strange, broken, folder / key)]
    wrong += [["-c", str(good), "--set", f"{name}={key}"] for name in
              ("openrouter.app_title", "openrouter.temperature", "openrouter.base_url", "openrouter.models", "no.such", key,
               "kafka.properties", "openrouter.proxy", "openrouter.provider", "admin.listen", "log.level", "fallback.text")]
    wrong += [["-c", str(good), *words] for words in
              (["-X", key], ["-X", f"sasl.password={key}"], ["-X", f"client.id={key}"], [f"--{key}"], [f"--{key}=1"],
               [f"-{key}"], [f"--api-key={key}"], ["--api-key", key], ["--set", key], [f"--log-format={key}"],
               [f"--format={key}"])]
    wrong += [[key], [key, key], ["completion", key]]
    return wrong


COMMANDS = ("run", "check", "check --no-environment", "config", "config --format=libconfig", "config --format=md",
            "config --format=man", "config --format=json-schema")


@pytest.mark.parametrize("source", ["variable", "file"])
def test_worker_commands_with_the_key_in_wrong_places_show_it_nowhere(source, tmp_path):
    key = canary.make_key()
    (tmp_path / "key").write_text(key + "\n")
    from_file = {"OPENROUTER_API_KEY_FILE": str(tmp_path / "key")}
    environment, commands = ({"OPENROUTER_API_KEY": key}, COMMANDS) if source == "variable" else (from_file, COMMANDS[2:4])
    sinks = {}
    for arguments in bad_command_lines(key, tmp_path):
        for command in commands if arguments[0] == "-c" else ("",):
            # A worker that would start has no place to serve from.
            words = [*command.split(), *arguments, "--set", "admin.listen=127.0.0.1:x"] if command == "run" else \
                [*command.split(), *arguments]
            sinks[f"{words}"] = output_of(words, environment)
    for name in ("CHAT_WORKER_OPENROUTER_APP_TITLE", "CHAT_WORKER_KAFKA_PROPERTIES", "CHAT_WORKER_LOG_LEVEL",
                 "CHAT_WORKER_NO_SUCH", "CHAT_WORKER_KAFKA_PROPERTIES_FILE"):
        for command in commands[1:]:
            sinks[f"{name} {command}"] = output_of(command.split(), {**environment, name: key})
    leaks = canary.scan(sinks, key)
    assert leaks == [], "\n".join(f"{leak.encoding} in {leak.sink.replace(key, 'KEY')}" for leak in leaks)


def test_replay_shows_the_key_of_neither_side(tmp_path, make_worker, site):
    key = canary.make_key()
    environment = {"OPENROUTER_API_KEY": key}
    with harness.standin(tmp_path, "--latency", "5") as standin:
        worker = make_worker(standin.url)
        worker.environment = environment
        worker.start().wait_ready()
        program = harness.BUILD / "replay/chat-replay"
        send = ["send", "--brokers", site.bootstrap, "--topic", site.requests, "--reply-topic", site.responses, "--wait", "30s"]
        sinks = {f"send {word}": output_of([*send, word, "Hello there"] if word else [*send, "Hello"], environment, program)
                 for word in ("", "--json", "--raw")}
        sinks["journal"] = standin.journal.read_bytes()
        sinks["demo"] = output_of(["demo", "--worker", str(worker.program)], environment, program, tmp_path)
        sinks["sandbox"] = output_of(["sandbox", "--for", "1s"], environment, program)
        sinks["worker"] = worker.log.read_bytes()
    assert b"\n0\n" in b"\n" + sinks["send "] and len(sinks["journal"]) > 100
    assert canary.scan(sinks, key) == []
