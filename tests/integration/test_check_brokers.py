"""`chat-worker check` against a real broker. The program: see test_command_line.py."""
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from kafka_broker import Broker  # noqa: E402  (its folder has to be named first)

BUILD = ROOT / os.environ.get("CHAT_BUILD", "build/dev")
PROGRAM = os.environ.get("CHAT_WORKER_BIN", str(BUILD / "worker/chat-worker"))
CANARY = "sk-or-v1-" + "c0ffee" * 10


@pytest.fixture(name="broker", scope="module")
def broker_fixture(tmp_path_factory):
    with Broker(tmp_path_factory.mktemp("kafka")) as broker:
        broker.create_topics({"requests": 2, "responses": 1, "dead": 1})
        yield broker


def check(broker, **settings):
    given = {"kafka.bootstrap_servers": broker.bootstrap, "openrouter.models": "a/b", "kafka.requests_topic": "requests",
             "kafka.responses_topic": "responses", "kafka.dead_letter_topic": "dead"}
    given.update({key.replace("__", "."): value for key, value in settings.items()})
    flags = [word for key, value in given.items() for word in ("--set", f"{key}={value}")]
    environment = {"PATH": os.environ["PATH"], "OPENROUTER_API_KEY": CANARY}
    environment.update({name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")})
    done = subprocess.run([PROGRAM, "check", *flags], env=environment, capture_output=True, timeout=20, check=False)
    assert CANARY.encode() not in done.stdout + done.stderr
    return done.returncode, done.stderr.decode()


def test_check_with_broker_and_topics_is_good(broker):
    assert check(broker) == (0, "")


@pytest.mark.parametrize("key", ["kafka__requests_topic", "kafka__responses_topic", "kafka__dead_letter_topic",
                                 "kafka__reply_topics"])
def test_check_names_missing_topic(broker, key):
    code, told = check(broker, **{key: "nowhere"})
    assert code == 78
    assert "do not have or do not show these topics: nowhere" in told


def test_check_without_dead_letters_needs_no_such_topic(broker):
    assert check(broker, kafka__dead_letter_topic="nowhere", kafka__dead_letter_on="") == (0, "")
