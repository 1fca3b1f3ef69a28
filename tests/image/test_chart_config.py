"""The configuration file that the chart renders, judged by the program in the image."""

from __future__ import annotations

import sys
from pathlib import Path

import docker
import pytest

sys.path.insert(0, str(docker.ROOT / "tests" / "chart"))

from chart import Objects, render_text  # noqa: E402

LOUD = {
    "kafka": {"groupId": "talkers", "deadLetterTopic": "dead"},
    "openrouter": {"models": ["openai/gpt-4o-mini", "anthropic/claude-sonnet-4"]},
    "metrics": {"address": "[::]", "port": 9999},
    "config": {
        "chat": {"system_prompt": 'Say "yes",\nnever \\no.\tüñî 🙂 \u2028', "deadline_ms": 9000},
        "fallback": {"text": "Später.", "texts": {"timeout": "Too slow.", "rate_limited": "Too many."}},
        "kafka": {"delivery": "at_least_once", "dead_letter_on": ["rejected", "fallback"]},
        "openrouter": {"allowed_models": ["openai/*"], "temperature": 0.5, "http_version": "1.1"},
        "publish": {"max_bytes": 67108864},
        "retry": {"budget_ratio": 0.25},
        "worker": {"max_in_flight": 2500, "max_bytes": 67108864},
    },
}


@pytest.fixture(scope="session", autouse=True)
def tools(daemon) -> None:
    docker.run(str(docker.ROOT / "scripts" / "setup"), "chart")


def check(image: str, folder: Path, text: str):
    """Has the program in the image check a configuration file."""
    (folder / "chat-worker.conf").write_text(text)
    folder.chmod(0o755)
    return docker.run(
        *("docker", "run", "--rm", "--read-only", "--cap-drop", "ALL", "--volume", f"{folder}:/config:ro", image),
        *("check", "--no-environment", "-c", "/config/chat-worker.conf"),
        check=False,
        timeout_s=60,
    )


@pytest.mark.parametrize("values", [{}, LOUD], ids=["two-values", "many-settings"])
def test_program_accepts_what_the_chart_renders(image, tmp_path, values) -> None:
    done = check(image, tmp_path, Objects(render_text(tmp_path, values)).config)
    assert done.returncode == 0, done.stdout


def test_program_reads_the_file_it_is_given(image, tmp_path) -> None:
    text = Objects(render_text(tmp_path, {})).config
    done = check(image, tmp_path, text.replace("drain_ms = 45000", 'drain_ms = "long"'))
    assert done.returncode == 78, done.stdout
    assert "worker.drain_ms" in done.stdout
