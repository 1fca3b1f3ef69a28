"""docker-compose.yml as a stranger uses it: everything up, two workers, one chat through Kafka and back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import docker
import pytest
import yaml
from kafka_broker import free_ports

FILE = docker.ROOT / "docker-compose.yml"


class Compose:
    """One running project; its ports on this machine are free ones, so that nothing else is in the way."""

    def __init__(self, project: str, image: str, kafka_image: str) -> None:
        self.command = [*docker.compose_command(), "--project-name", project, "--file", str(FILE)]
        kafka_port, openrouter_port = free_ports(2)
        self.env = {
            "CHAT_WORKER_IMAGE": image,
            "KAFKA_IMAGE": kafka_image,
            "KAFKA_PORT": str(kafka_port),
            "OPENROUTER_PORT": str(openrouter_port),
        }

    def run(self, *arguments: str, **options):
        return docker.run(*self.command, *arguments, env=self.env, cwd=docker.ROOT, **options)

    def containers(self, service: str) -> list[str]:
        return self.run("ps", "--quiet", service, apart=True).stdout.split()


@pytest.fixture(scope="module")
def running(image, kafka_image) -> Iterator[Compose]:
    """Everything up with two workers that are ready; all of it is gone afterwards."""
    compose = Compose(f"chatworkertest{os.getpid()}", image, kafka_image)
    try:
        compose.run("up", "--detach", "--no-build", "--scale", "worker=2", timeout_s=300)
        docker.wait_until("both workers are healthy", lambda: health(compose) == ["healthy", "healthy"], 60)
        yield compose
    except BaseException:
        print(compose.run("logs", "--no-color", "--tail", "100", check=False).stdout)
        raise
    finally:
        compose.run("--profile", "live", "--profile", "replay", "down", "--volumes", "--remove-orphans", "--timeout", "30")


def health(compose: Compose) -> list[str]:
    names = compose.containers("worker")
    found = docker.run("docker", "inspect", "--format", "{{.State.Health.Status}}", *names, apart=True).stdout
    return found.split()


def test_send_is_answered(running) -> None:
    done = running.run("run", "--rm", "-T", "replay", "send", "--json", "Hello", apart=True, timeout_s=120)
    reply = json.loads(done.stdout)
    assert reply["outcome"] == "answered"
    assert reply["message"]["content"]


def test_model_that_fails_once_is_asked_again(running) -> None:
    text = "[[429 once]] Hello again"
    done = running.run("run", "--rm", "-T", "replay", "send", "--json", text, apart=True, timeout_s=120)
    reply = json.loads(done.stdout)
    assert (reply["outcome"], reply["attempts"]) == ("answered", 2)


def test_both_workers_have_partitions(running) -> None:
    for name in running.containers("worker"):
        get = "exec 3<>/dev/tcp/127.0.0.1/9464; printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3"
        metrics = docker.run("docker", "exec", name, "bash", "-c", get).stdout
        assert "chat_worker_assigned_partitions 6" in metrics


def test_worker_stops_with_0(running) -> None:
    name = running.containers("worker")[0]
    docker.run("docker", "stop", "--time", "30", name)
    assert docker.run("docker", "inspect", "--format", "{{.State.ExitCode}}", name, apart=True).stdout.strip() == "0"


def test_everything_published_is_on_this_machine_only() -> None:
    services = yaml.safe_load(FILE.read_text())["services"]
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports and all(port.startswith("127.0.0.1:") for port in ports)


def test_file_is_for_both_composes() -> None:
    assert not {"version", "name"} & set(yaml.safe_load(FILE.read_text()))


def test_no_real_key_is_in_the_file_and_only_the_live_worker_takes_one() -> None:
    services = yaml.safe_load(FILE.read_text())["services"]
    keys = {name: service.get("environment", {}).get("OPENROUTER_API_KEY") for name, service in services.items()}
    assert keys.pop("worker-live") == "${OPENROUTER_API_KEY:-}"
    assert keys.pop("worker").startswith("not-a-key")
    assert set(keys.values()) == {None}
