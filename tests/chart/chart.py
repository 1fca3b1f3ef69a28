"""Renders the chart, with either helm, and gives what came out as objects."""

from __future__ import annotations

import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".cache" / "bin"
CHART = ROOT / "helm" / "chat-worker"
TWO_VALUES = {"kafka": {"bootstrapServers": "kafka-0:9092,kafka-1:9093"}, "openrouter": {"existingSecret": "openrouter"}}


class RenderFailed(Exception):
    """helm refused the values; the message is its own."""


def merged(low: dict, high: dict) -> dict:
    """`high` over `low`, map by map."""
    result = dict(low)
    for key, value in high.items():
        both_maps = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both_maps else value
    return result


def render_text(folder: Path, values: dict, helm: str = "helm3", two_values: bool = True) -> str:
    """What `helm template` prints for these values, added to the two that are needed."""
    file = folder / "values.yaml"
    file.write_text(yaml.safe_dump(merged(TWO_VALUES, values) if two_values else values))
    done = subprocess.run(
        [BIN / helm, "template", "chat", CHART, "--namespace", "talk", "--values", file],
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise RenderFailed(done.stderr)
    return done.stdout


class Objects:
    """The objects of one rendering, found by kind."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.all = [each for each in yaml.safe_load_all(text) if each]

    def kinds(self) -> list[str]:
        return sorted(each["kind"] for each in self.all)

    def one(self, kind: str, name: str | None = None) -> dict:
        found = [each for each in self.all if each["kind"] == kind and name in (None, each["metadata"]["name"])]
        assert len(found) == 1, f"{len(found)} objects of kind {kind} {name or ''}: {self.kinds()}"
        return found[0]

    @property
    def pod(self) -> dict:
        """The worker's pod template's spec."""
        workload = [each for each in self.all if each["kind"] in ("Deployment", "StatefulSet")]
        return workload[0]["spec"]["template"]["spec"]

    @property
    def config(self) -> str:
        return self.one("ConfigMap", "chat-chat-worker")["data"]["chat-worker.conf"]
