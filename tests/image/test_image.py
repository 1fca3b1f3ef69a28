"""The image by itself: what is in it, that it runs locked down, how it stops."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import docker
import pytest

LOCKED_DOWN = [
    *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
    *("--user", "65532:65532", "--pids-limit", "64", "--memory", "256m"),
]
SETTINGS = {
    "CHAT_WORKER_KAFKA_BOOTSTRAP_SERVERS": "nowhere.invalid:9092",
    "CHAT_WORKER_OPENROUTER_MODELS": "openai/gpt-4o-mini",
}
GROWTH_MAX_BYTES = 32 * 2**20


def environment(values: dict[str, str]) -> list[str]:
    return [word for name, value in values.items() for word in ("--env", f"{name}={value}")]


def run_locked(image: str, *arguments: str, options: list[str] | None = None, check: bool = True):
    return docker.run("docker", "run", "--rm", *LOCKED_DOWN, *(options or []), image, *arguments, check=check, timeout_s=60)


@contextmanager
def container(image: str, *options: str) -> Iterator[str]:
    """A worker in the background, removed at the end whatever happens."""
    name = f"chat-worker-{uuid.uuid4().hex[:8]}"
    docker.run("docker", "run", "--detach", "--name", name, *LOCKED_DOWN, *options, image)
    try:
        yield name
    finally:
        docker.run("docker", "rm", "--force", name)


def state(name: str) -> dict:
    return json.loads(docker.run("docker", "inspect", "--format", "{{json .State}}", name, apart=True).stdout)


def test_stage_of_tests_passes_on_debian_13(base_image) -> None:
    done = docker.run(
        *("docker", "build", "--target", "test", "--tag", "chat-worker:tested", str(docker.ROOT)), timeout_s=3000
    )
    assert done.returncode == 0


@pytest.mark.parametrize("command", [["version"], ["version", "--json"]])
def test_version_locked_down_prints_it(image, command) -> None:
    assert "librdkafka" in run_locked(image, *command).stdout


def test_replay_locked_down_prints_its_version(image) -> None:
    assert run_locked(image, "--version", options=["--entrypoint", "chat-replay"]).stdout.startswith("chat-replay ")


def test_check_without_environment_accepts_settings(image) -> None:
    done = run_locked(image, "check", "--no-environment", options=environment(SETTINGS), check=False)
    assert done.returncode == 0, done.stdout


def test_check_of_wrong_setting_exits_78(image) -> None:
    wrong = environment({**SETTINGS, "CHAT_WORKER_CHAT_DEADLINE_MS": "soon"})
    done = run_locked(image, "check", "--no-environment", options=wrong, check=False)
    assert done.returncode == 78
    assert "chat.deadline_ms" in done.stdout


def test_configuration_of_the_image_is_as_promised(image) -> None:
    config = docker.inspect(image)["Config"]
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["chat-worker"]
    assert config["StopSignal"] == "SIGTERM"
    assert config["Healthcheck"]["Test"] == ["CMD", "chat-worker", "healthcheck"]
    assert set(config["ExposedPorts"]) == {"9464/tcp"}
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()}
    assert labels["title"] == "chat-worker"
    assert labels["version"] == "test"
    assert set(labels) == {"title", "description", "version", "revision"}


def test_image_is_little_more_than_its_base(image, base_image) -> None:
    growth = docker.inspect(image)["Size"] - docker.inspect(base_image)["Size"]
    assert growth < GROWTH_MAX_BYTES


def test_image_has_no_build_tools_and_no_sources(image) -> None:
    find = "for each in gcc cmake ninja; do command -v $each; done; ls -d /src /out 2>/dev/null; true"
    done = run_locked(image, "-c", find, options=["--entrypoint", "sh"])
    assert done.stdout == ""


def test_both_programs_find_all_their_libraries(image) -> None:
    done = run_locked(image, "-c", "ldd /usr/bin/chat-worker /usr/bin/chat-replay", options=["--entrypoint", "sh"])
    assert "not found" not in done.stdout


def test_history_has_no_secret(image) -> None:
    assert "sk-or-" not in docker.run("docker", "history", "--no-trunc", image).stdout


def test_missing_key_exits_78_and_names_it(image) -> None:
    done = run_locked(image, options=environment(SETTINGS), check=False)
    assert done.returncode == 78
    assert "OPENROUTER_API_KEY" in done.stdout


def test_worker_without_brokers_is_alive_but_not_ready(image) -> None:
    with container(image, *environment({**SETTINGS, "OPENROUTER_API_KEY": "no-key"})) as name:

        def healthcheck() -> int:
            return docker.run("docker", "exec", name, "chat-worker", "healthcheck", check=False).returncode

        docker.wait_until("the health check says no", lambda: healthcheck() == 1, 30)
        assert state(name)["Running"]


def test_stop_without_brokers_ends_with_0(image) -> None:
    with container(image, *environment({**SETTINGS, "OPENROUTER_API_KEY": "no-key"})) as name:
        serving = "exec 3<>/dev/tcp/127.0.0.1/9464"
        docker.wait_until(
            "the worker serves",
            lambda: docker.run("docker", "exec", name, "bash", "-c", serving, check=False).returncode == 0,
            30,
        )
        docker.run("docker", "stop", "--time", "30", name)
        assert state(name)["ExitCode"] == 0
