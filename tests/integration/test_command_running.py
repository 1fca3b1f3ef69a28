"""A worker that serves without any broker: its endpoints, its end, and the key that must not show."""

import json
import pathlib
import signal
import socket
import subprocess

import pytest
from command_tool import CANARY, GOOD, LIMIT_S, PROGRAM, environment, run, write_settings


@pytest.fixture(name="settings")
def settings_fixture(tmp_path):
    path = tmp_path / "worker.conf"
    write_settings(path, GOOD)
    return path


class Running:
    """A worker that serves, without any broker."""

    def __init__(self, *arguments, env=None):
        self.process = subprocess.Popen([PROGRAM, *map(str, arguments)], env=environment() if env is None else env,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.lines = []
        for line in self.process.stderr:
            self.lines.append(line.decode())
            if '"msg":"started"' in self.lines[-1]:
                break
        self.port = next(json.loads(line)["port"] for line in self.lines if '"port"' in line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    def get(self, path):
        with socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT_S) as connection:
            connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        return int(answer.split()[1]), answer.decode()

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        _, rest = self.process.communicate(timeout=40)
        return self.process.returncode, "".join(self.lines) + rest.decode()


def serving_arguments(settings):
    return ["-v", "-c", settings, "-X", "debug=all", "-X", f"sasl.password={CANARY}", "--log-format=json"]


def test_running_worker_shows_the_key_nowhere(settings):
    with Running(*serving_arguments(settings)) as worker:
        pid = worker.process.pid
        for name in ("environ", "limits"):
            content = pathlib.Path(f"/proc/{pid}/{name}").read_bytes()
            assert b"c0ffeec0ffee" not in content
        assert b"OPENROUTER_API_KEY=sk" not in pathlib.Path(f"/proc/{pid}/environ").read_bytes()
        assert "Max core file size        0                    0" in pathlib.Path(f"/proc/{pid}/limits").read_text()
        assert pathlib.Path(f"/proc/{pid}/environ").stat().st_uid == 0
        answers = "".join(worker.get(path)[1] for path in ("/metrics", "/healthz", "/readyz"))
        code, log = worker.end()
    assert code == 0
    assert "c0ffeec0ffee" not in answers + log
    assert '"level":"debug"' in log


def test_running_worker_without_broker_is_healthy_but_not_ready(settings):
    with Running("-c", settings, "--log-format=json") as worker:
        assert worker.get("/healthz")[0] == 200
        code, body = worker.get("/readyz")
        assert code == 503
        assert "no broker has been reached yet" in body
        assert worker.get("/nothing")[0] == 404
        code, metrics = worker.get("/metrics")
        assert code == 200
        health = run("healthcheck", env=environment(CHAT_WORKER_ADMIN_LISTEN=f"127.0.0.1:{worker.port}"))
        assert health.returncode == 1
        assert "no broker has been reached yet" in health.err
        assert worker.end()[0] == 0
    table = run("metrics").out
    exposed = {line.split()[2] for line in metrics.splitlines() if line.startswith("# TYPE")}
    assert exposed
    assert all(name in table for name in exposed)


def test_certificates_that_cannot_be_read_are_told_and_end_it(settings, tmp_path):
    """After such a refusal librdkafka's configuration must not be destroyed: some kilobytes are left behind."""
    missing = tmp_path / "missing.pem"
    refused = run("run", "-c", settings, "-X", "security.protocol=ssl", "-X", f"ssl.ca.location={missing}",
                  env=environment(ASAN_OPTIONS="detect_leaks=0"))
    assert refused.returncode == 78
    assert "the consumer cannot be made" in refused.err
    assert "ssl.ca.location" in refused.err


def test_key_from_file_serves(settings, tmp_path):
    key = tmp_path / "key"
    key.write_text(CANARY + "\n")
    env = environment(OPENROUTER_API_KEY=None, OPENROUTER_API_KEY_FILE=str(key))
    with Running("-c", settings, "--log-format=json", env=env) as worker:
        assert worker.end()[0] == 0


def test_hostile_environment_is_ignored(settings, tmp_path):
    keys = tmp_path / "tls-keys"
    hostile = {"SSLKEYLOGFILE": str(keys), "NETRC": str(settings), "HTTPS_PROXY": "http://127.0.0.1:1",
               "all_proxy": "socks5://127.0.0.1:1", "CURL_CA_BUNDLE": "/nonexistent"}
    with Running("-c", settings, "--log-format=json", env=environment(**hostile)) as worker:
        assert worker.end()[0] == 0
    assert not keys.exists()
