#!/usr/bin/env python3
"""Breaks everything for a long time, three brokers included, and then judges every request of that time.

    cmake --preset release && ninja -C build/release
    .cache/venv/bin/python tests/chaos/soak.py --seconds 3600 --rate 150

Tells once a minute how far it is; ends with the report: which faults, the invariants I1 to I15 (checker.py, conduct.py),
and the figures of figures.py: memory of each long life, calls that kills have lost, how long until all of before had its
reply after each kind of fault, among others and alone, and how long partitions that stayed were silent in rebalances.
SIGTERM ends it early, with a judgement of what was. Exit code 0: all invariants hold; 1: not.

--seed repeats what is done in which order, as far as processes repeat anything. Needs some 5 KB of memory and 10 KB of
disk for each request; --keep leaves topics and logs where --folder says.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from arena import Arena
    from history import History
    from nemesis_cluster import ClusterNemesis
    from stage import Load

TELL_S = 60.0
CONVERSATIONS = 500
SIMULATION = "  I14  is the simulation's: a seed's trace has one hash, whatever compiler built it (scripts/test hash)"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Breaks everything for a long time and judges every request.")
    parser.add_argument("--seconds", type=float, default=3600, help="how long things break")
    parser.add_argument("--rate", type=float, default=150, help="requests a second")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--guests", type=int, default=3, help="workers that join and leave")
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=3)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 1 << 32))
    parser.add_argument("--build", default="build/release", help="the folder with the programs")
    parser.add_argument("--folder", type=Path, help="for topics and logs; default: a temporary one")
    parser.add_argument("--keep", action="store_true", help="leave them there")
    return parser.parse_args()


def tell(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S', time.gmtime())} {text}", flush=True)


def own_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


class Teller:
    """Says from time to time how far it is."""

    def __init__(self, arena: Arena, load: Load, nemesis: ClusterNemesis) -> None:
        self.arena, self.load, self.nemesis = arena, load, nemesis
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="teller", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._is_stopping.wait(TELL_S):
            exits = Counter(each.cause or "BY ITSELF" for each in self.arena.crew.exits)
            tell(f"{len(self.load.sent)} sent, {len(self.arena.follower.places)} replied to; "
                 f"{len(self.nemesis.faults)} faults; lives ended {dict(exits)}; checker {own_mib()} MiB")

    def stop(self) -> None:
        self._is_stopping.set()
        self._thread.join()


def break_things(arena: Arena, options: argparse.Namespace) -> History:
    from nemesis_cluster import ClusterNemesis
    from stage import SteadyLoad
    from watch import Watch

    watch = Watch([*arena.crew.workers, *arena.guests], arena.upstream)
    arena.warm_up(watch)
    load = SteadyLoad(arena.site, CONVERSATIONS, options.rate)
    nemesis = ClusterNemesis(options.seed, arena.crew, arena.broker, arena.proxies, arena.guests)
    signal.signal(signal.SIGTERM, lambda *_: nemesis.stop_early())
    teller = Teller(arena, load, nemesis)
    try:
        nemesis.run(options.seconds)
        nemesis.wait_in_sync()
    finally:
        teller.stop()
        sent = load.stop()
    tell(f"{len(sent)} sent; nothing is broken any more")
    return arena.judge(sent, nemesis.faults, watch)


def note_faults(history: History, path: Path) -> None:
    """For whoever looks into what was kept."""
    path.write_text("".join(f"{json.dumps(vars(fault))}\n" for fault in history.faults))


def report(options: argparse.Namespace, ground: Arena, history: History) -> list[str]:
    """Prints it, and returns what is wrong."""
    import arena
    import checker
    import figures

    begun = time.monotonic()
    verdicts = checker.check(history)
    opinion = arena.second_opinion(history, ground.site)
    causes = Counter(each.cause or "by itself" for each in history.exits)
    print(f"soak: seed {options.seed}, {options.seconds:g} s, {options.brokers} brokers, {options.workers} workers and "
          f"{options.guests} guests\n  faults {dict(Counter(fault.kind for fault in history.faults))}\n"
          f"  lives ended {dict(causes)}\n  producers renewed {ground.crew.restarts}")
    for verdict in verdicts:
        print(f"  {verdict}")
    print(SIMULATION)
    for line in figures.lines(history):
        print(f"  {line}")
    print(f"  audit: {opinion or 'the same'}\n  judged in {time.monotonic() - begun:.0f} s, the checker took at most "
          f"{own_mib()} MiB", flush=True)
    return [str(verdict) for verdict in verdicts if verdict.wrong] + ([opinion] if opinion else [])


def run(options: argparse.Namespace, folder: Path) -> int:
    from arena import arena

    tell(f"seed {options.seed}, folder {folder}")
    with arena(folder, options.brokers, options.workers, options.guests, options.seconds + 3600) as ground:
        tell(f"{options.workers} workers are ready")
        history = break_things(ground, options)
        note_faults(history, folder / "faults.jsonl")
        wrong = report(options, ground, history) + ground.problems
    for each in wrong:
        tell(f"WRONG: {each}")
    tell("all invariants hold" if not wrong else f"{len(wrong)} things are wrong; seed {options.seed}")
    return 1 if wrong else 0


def main() -> int:
    options = parse()
    # Read when the modules beside this one are loaded.
    os.environ["CHAT_BUILD"] = options.build
    sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="soak-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return run(options, folder)
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
