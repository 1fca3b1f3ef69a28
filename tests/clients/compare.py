"""The official JavaScript clients beside chat-worker, each asked by a service that fails as OpenRouter is known to.

    .cache/venv/bin/python tests/clients/compare.py --write docs/clients.md

Needs Node 18 or newer with npm, which fetches the packages of tests/clients/package.json into build/clients; and the
programs of the build folder that CHAT_BUILD names (build/dev). The worker is asked as always, through Kafka, here the
embedded one of `chat-replay sandbox`. It takes about two minutes and is no part of scripts/test.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent.parent
BUILD = ROOT / os.environ.get("CHAT_BUILD", "build/dev")
PACKAGES = ROOT / "build/clients"
sys.path[:0] = [str(FOLDER), str(FOLDER.parent)]

from kafka_broker import free_ports  # noqa: E402
from server import GOOD, ROWS, Row, Service  # noqa: E402

TIMEOUT_MS = 10_000
CAP_MS = 30_000
AT_ONCE = 2  # a measurement needs a processor for itself


@dataclass(frozen=True)
class Told:
    what: str  # one of the words below, and what it was called
    seconds: float
    requests: int


def words_for(text: object) -> str:
    """What a call that came back without an error has brought."""
    if text == GOOD:
        return "**answer**"
    return "*success* with a part of an answer" if text else "*success* without an answer"


def install() -> dict[str, str]:
    """Fetches the packages; name and version of each."""
    PACKAGES.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "ask.mjs"):
        shutil.copy(FOLDER / name, PACKAGES / name)
    subprocess.run(["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"],
                   cwd=PACKAGES, check=True, timeout=300)
    wanted = json.loads((FOLDER / "package.json").read_text())["dependencies"]
    return {name: json.loads((PACKAGES / "node_modules" / name / "package.json").read_text())["version"] for name in wanted}


def ask_client(client: str, row: Row, service: Service) -> Told:
    run = f"{client}-{row.name}"
    mode = "stream" if row.is_stream else "plain"
    done = subprocess.run(
        ["node", "ask.mjs", client, service.url(run), f"row/{row.name}", mode, str(TIMEOUT_MS), str(CAP_MS)],
        cwd=PACKAGES, capture_output=True, text=True, timeout=120, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    what = {"answer": lambda: words_for(told.get("text")), "unfinished": lambda: "still trying",
            "error": lambda: f"error `{told['name']}`"}[told["kind"]]()
    return Told(what, told["seconds"], service.requests(run))


@contextmanager
def started(arguments: list[str | Path], environment: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                               env={**os.environ, **(environment or {})})
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def settings(brokers: str, url: str, models: list[str], port: int) -> str:
    return (f'kafka: {{ bootstrap_servers = "{brokers}"; delivery = "at_least_once"; }};\n'
            f'openrouter: {{ base_url = "{url}"; models = {json.dumps(models)}; }};\n'
            f'admin: {{ listen = "127.0.0.1:{port}"; }};\n')


def ask_worker(models: Callable[[Row], list[str]], row: Row, service: Service) -> Told:
    """A Kafka and a worker of its own for each question, so that none suffers from another's failures."""
    run = f"worker-{len(models(row))}-{row.name}"
    replay = BUILD / "replay/chat-replay"
    with tempfile.TemporaryDirectory() as folder, started([replay, "sandbox", "--only", "kafka", "--with-parent"]) as kafka:
        assert kafka.stdout is not None
        brokers = kafka.stdout.readline().strip().partition("=")[2]
        file = Path(folder) / "worker.conf"
        file.write_text(settings(brokers, service.url(run), models(row), free_ports(1)[0]))
        with started([BUILD / "worker/chat-worker", "run", "-q", "-c", file], {"OPENROUTER_API_KEY": "sk-of-no-use"}):
            send = [replay, "send", "--brokers", brokers, "--wait", "60s", "--json", "Why is the sea salty?"]
            subprocess.run([*send[:-1], "--model", "row/good", "Are you there?"], check=True, timeout=90, capture_output=True)
            before = service.requests(run)
            done = subprocess.run(send, capture_output=True, text=True, timeout=90, check=False)
    reply = json.loads(done.stdout)
    is_answer = reply["outcome"] == "answered"
    what = words_for(reply["message"]["content"]) if is_answer else f"fallback text, `{reply['error']['reason']}`"
    timing = reply["timing"]
    return Told(what, (timing["replied_ms"] - timing["received_ms"]) / 1000, service.requests(run) - before)


COLUMNS: dict[str, Callable[[Row, Service], Told]] = {
    "openai": lambda row, service: ask_client("openai", row, service),
    "@openrouter/sdk": lambda row, service: ask_client("openrouter", row, service),
    "ai + provider": lambda row, service: ask_client("ai", row, service),
    "chat-worker, one model": lambda row, service: ask_worker(lambda row: [f"row/{row.name}"], row, service),
    "chat-worker, two models": lambda row, service: ask_worker(lambda row: [f"row/{row.name}", "row/good"], row, service),
}


def measure() -> dict[tuple[str, str], Told]:
    with Service() as service, ThreadPoolExecutor(AT_ONCE) as pool:
        under_way = {(row.name, column): pool.submit(ask, row, service) for row in ROWS for column, ask in COLUMNS.items()}
        return {place: each.result() for place, each in under_way.items()}


def table(told: dict[tuple[str, str], Told]) -> str:
    lines = [f"| the service says | {' | '.join(COLUMNS)} |", "|---|" + "---|" * len(COLUMNS)]
    for row in ROWS:
        cells = [f"{each.what}<br>{each.seconds:.1f} s, {each.requests} request{'s' * (each.requests != 1)}"
                 for each in (told[row.name, column] for column in COLUMNS)]
        lines.append(f"| {row.says} | {' | '.join(cells)} |")
    return "\n".join(lines)


def versions_of(packages: dict[str, str]) -> str:
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    worker = subprocess.run([BUILD / "worker/chat-worker", "version"], capture_output=True, text=True, check=True).stdout
    named = [f"- `{name}` {version}" for name, version in packages.items()]
    return "\n".join([*named, f"- Node {node.removeprefix('v')}", f"- {worker.splitlines()[0]}"])


def page(packages: dict[str, str], told: dict[tuple[str, str], Told]) -> str:
    text = (FOLDER / "clients.md.in").read_text()
    today = datetime.date.today().isoformat()
    return text.replace("@TABLE@", table(told)).replace("@VERSIONS@", versions_of(packages)).replace("@DATE@", today)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the whole page there, not only the table to stdout")
    arguments = parser.parse_args()
    packages = install()
    told = measure()
    print(table(told))
    if arguments.write:
        arguments.write.write_text(page(packages, told))


if __name__ == "__main__":
    main()
