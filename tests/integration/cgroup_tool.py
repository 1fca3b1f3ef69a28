"""Control groups of version 1 for the worker's limits: memory, processor, threads. Where they may not be made the tests
are skipped, and say why."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import harness
import pytest

_numbers = itertools.count(1)


class Cgroup:
    """One group of one controller."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def set(self, name: str, value: int) -> None:
        (self.folder / name).write_text(str(value))

    def get(self, name: str) -> int:
        return int((self.folder / name).read_text())

    def counts(self, name: str) -> dict[str, int]:
        """A file with one name and number a line."""
        return {key: int(number) for key, number in map(str.split, (self.folder / name).read_text().splitlines())}

    def hold(self, worker: harness.Worker) -> None:
        """The worker is in the group from its start."""
        script = worker.folder / f"{worker.name}.{self.folder.parent.name}.sh"
        script.write_text(f'#!/bin/sh\necho $$ >"{self.folder}/cgroup.procs"\nexec "{worker.program}" "$@"\n')
        script.chmod(0o755)
        worker.program = script

    def remove(self) -> None:
        """When the last process has ended; the kernel may need a moment to see that."""

        def is_gone() -> bool:
            try:
                self.folder.rmdir()
            except OSError as error:
                assert error.errno == errno.EBUSY, error
            return not self.folder.exists()

        harness.until(f"{self.folder} is gone", is_gone)


def make(controller: str, needs: str) -> Cgroup:
    """A group with this controller, which must have this file."""
    root = Path("/sys/fs/cgroup") / controller
    if not (root / "cgroup.procs").exists():
        pytest.skip(f"no control groups of version 1 with the controller {controller} here")
    folder = root / f"chat-worker-test-{os.getpid()}-{next(_numbers)}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"control groups of {controller} may not be made here: {error}")
    if not (folder / needs).exists():
        folder.rmdir()
        pytest.skip(f"control groups of {controller} have no {needs} here")
    return Cgroup(folder)


@contextmanager
def cgroup(controller: str, needs: str) -> Iterator[Cgroup]:
    """Ask for it before workers are made, so that they have ended when it goes."""
    group = make(controller, needs)
    try:
        yield group
    finally:
        group.remove()
