"""Is the checker worth anything? Each planted bug (planted.c) must break the invariant that is about it, within three runs.

The same scenes are played by a worker without a bug, and nothing may break. The last test prints the kill matrix.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import checker
import harness
import plays
import pytest
from frame_proxy import FrameProxy
from history import Verdict
from plays import ALONE, PLANTS, Play, Stage
from scene import HORIZON_S, Ground
from stage import PLANTED

pytestmark = pytest.mark.ci
AT_ONCE = 4
RUNS = 3
# A worker with a bug may never answer all; the judgement need not wait for that.
PLANTED_S = 8.0


@dataclass
class Outcome:
    """What became of one bug, or of a scene without one."""

    wanted: str  # "" = nothing may break
    runs: int = 0
    verdicts: list[Verdict] = field(default_factory=list)

    @property
    def broken(self) -> list[str]:
        return [verdict.invariant for verdict in self.verdicts if verdict.wrong]

    @property
    def reason(self) -> str:
        return next((verdict.wrong[0] for verdict in self.verdicts if verdict.wrong
                     and verdict.invariant == self.wanted), "")


def run(ground: Ground, proxy: FrameProxy, how: Play, plant: str) -> Outcome:
    outcome = Outcome(PLANTS[plant][1] if plant else "")
    while outcome.runs < (RUNS if plant else 1):
        outcome.runs += 1
        name = f"{'kill' if plant else 'whole'}-{plant or how.__name__}-{outcome.runs}".replace("_", "-")
        with plays.make_scene(ground, name, how) as scene:
            plays.play(Stage(scene, proxy, plant), how, PLANTED_S if plant else HORIZON_S)
            outcome.verdicts = checker.check(scene.history(is_alone=False))
        if outcome.wanted in outcome.broken:
            break
    return outcome


def cases() -> dict[str, tuple[Play, str]]:
    """By name: play and bug."""
    wholes = {how: None for how, _ in PLANTS.values()}
    return {**{plant: (how, plant) for plant, (how, _) in PLANTS.items()},
            **{f"none: {how.__name__}": (how, "") for how in wholes}}


CASES = cases()


@pytest.fixture(scope="module")
def outcomes(broker: harness.Broker, tmp_path_factory, request) -> Iterator[dict[str, Outcome | BaseException]]:
    """All cases that are asked for: first those that need the proxy to themselves, then some at once."""
    wanted = {item.callspec.params["case"] for item in request.session.items
              if "case" in getattr(getattr(item, "callspec", None), "params", {})}
    folder = tmp_path_factory.mktemp("kill")
    assert broker.advertised_port is not None
    with (harness.standin(folder, "--latency", "20", "--jitter", "20", "--keepalive", "0") as upstream,
          FrameProxy(broker.advertised_port, lambda: broker.port) as proxy,
          ThreadPoolExecutor(1) as one, ThreadPoolExecutor(AT_ONCE) as some):
        ground = Ground(broker, upstream, folder)

        def submit(pool: ThreadPoolExecutor, is_alone: bool) -> dict:
            chosen = {name: case for name, case in CASES.items() if name in wanted and (case[0] in ALONE) == is_alone}
            return {name: pool.submit(run, ground, proxy, *case) for name, case in chosen.items()}

        under_way = submit(one, True)
        found = {name: each.exception() or each.result() for name, each in under_way.items()}
        under_way = submit(some, False)
        yield found | {name: each.exception() or each.result() for name, each in under_way.items()}


def outcome_of(outcomes: dict[str, Outcome | BaseException], case: str) -> Outcome:
    found = outcomes[case]
    if isinstance(found, BaseException):
        raise AssertionError(f"{case}: {found}") from found
    return found


def test_kill_matrix_has_a_row_for_each_planted_bug():
    table = subprocess.run([PLANTED], env={"CHAT_PLANT": "list"}, capture_output=True, text=True, check=True).stdout
    assert {line.split("\t")[0] for line in table.splitlines()} == PLANTS.keys()


@pytest.mark.parametrize("case", CASES)
def test_planted_bug_is_caught_and_a_worker_without_one_is_blameless(outcomes, case):
    outcome = outcome_of(outcomes, case)
    shown = "".join(f"\n{verdict}" for verdict in outcome.verdicts)
    if CASES[case][1]:
        assert outcome.wanted in outcome.broken, f"{case} was not caught by {outcome.wanted} in {RUNS} runs{shown}"
    else:
        assert not outcome.broken, f"broken without a bug{shown}"


def test_kill_matrix_is_printed(outcomes, capsys):
    rows = [f"  {'planted bug':22} {'caught by':9} run  all that broke"]
    for case, outcome in outcomes.items():
        if isinstance(outcome, Outcome) and CASES[case][1]:
            caught = outcome.wanted if outcome.wanted in outcome.broken else "NOT"
            rows.append(f"  {case:22} {caught:9} {outcome.runs:3}  {' '.join(outcome.broken):24} {outcome.reason[:90]}")
    with capsys.disabled():
        print("\nkill matrix\n" + "\n".join(rows))
    assert outcomes


def test_planted_program_refuses_an_unknown_bug(tmp_path: Path):
    done = subprocess.run([PLANTED], env={"CHAT_PLANT": "unknown"}, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2 and "no such plant" in done.stderr
