"""Drives build/*/tests/tools/kafka_tool: an echo made of the Kafka edge alone, told what to do line by line."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path
from types import TracebackType

from harness import BUILD, ROOT, Site, until

from kafka_broker import die_with_parent

LIMIT_S = 60.0
SUPPRESSIONS = ROOT / "tests/tsan/suppressions"


class Echo:
    """One process of the tool. Ends with `quit`, or is killed at the end of the block."""

    def __init__(self, site: Site, folder: Path, name: str, *options: str, output_topic: str | None = None) -> None:
        self.out = folder / f"{name}.out"
        self.err = folder / f"{name}.err"
        arguments = ["--bootstrap", site.bootstrap, "--group", site.group, "--in", site.requests]
        arguments += ["--out", output_topic or site.responses, "--id", f"{site.group}-{name}", *options]
        with self.out.open("ab") as out, self.err.open("ab") as err:
            self.process = subprocess.Popen(
                [BUILD / "tests/tools/kafka_tool", *arguments],
                stdin=subprocess.PIPE, stdout=out, stderr=err, text=True, preexec_fn=die_with_parent,
                env={"TSAN_OPTIONS": f"suppressions={SUPPRESSIONS}"},
            )  # fmt: skip

    def __enter__(self) -> Echo:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def lines(self) -> list[str]:
        return self.out.read_text().splitlines()

    @property
    def log(self) -> str:
        return self.err.read_text()

    def tell(self, *orders: str) -> None:
        assert self.process.stdin is not None
        for order in orders:
            known = self.lines.count(f"obeyed {order}")
            self.process.stdin.write(f"{order}\n")
            self.process.stdin.flush()
            until(f"obeyed {order}", lambda: self.lines.count(f"obeyed {order}") > known, LIMIT_S)

    def wait_for(self, pattern: str, count: int = 1) -> re.Match[str]:
        """The `count`th line that the pattern is found in."""

        def found() -> re.Match[str] | None:
            matches = [match for line in self.lines if (match := re.search(pattern, line))]
            if len(matches) >= count:
                return matches[count - 1]
            assert self.process.poll() is None, f"the tool ended: {self.lines[-5:]}\n{self.log[-2000:]}"
            return None

        return until(f"line '{pattern}'", found, LIMIT_S)

    def wait_ready(self) -> Echo:
        self.wait_for(r"^ready$")
        return self

    def quit(self) -> int:
        """Ends it in order. Leaks and races make the exit code other than 0 in builds that look for them."""
        self.tell("quit")
        code = self.process.wait(LIMIT_S)
        assert self.lines[-1] == "closed", self.lines[-5:]
        return code

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def ends(self) -> list[str]:
        return [match[1] for line in self.lines if (match := re.match(r"batch end=(\S+)", line))]

    def commit_times_ms(self) -> list[int]:
        return [int(m[1]) for line in self.lines if (m := re.match(r"batch end=committed .* ms=(\d+)", line))]

    def owned(self) -> int:
        """How many partitions it has been given and not been taken."""
        given = sum(line.startswith("assigned ") for line in self.lines)
        taken = sum(int(m[1]) for line in self.lines if (m := re.match(r"revoked count=(\d+)", line)))
        return given - taken
