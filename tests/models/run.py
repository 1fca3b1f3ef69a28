#!/usr/bin/env python3
"""The models of the protocol, checked by Spin, and the proofs of the ledger's text, by CBMC.

    tests/models/run.py            what CI runs
    tests/models/run.py --deep     larger ones, minutes and gigabytes
    tests/models/run.py WORD ...   only those whose name holds one of the words

Each model is checked whole, and with one rule of the program left out at a time: then the verifier has to find the named
property broken, or the model would prove nothing. Two run at once, each bounded in time and memory, in build/models.
Last line: N passed, N failed. Needs what `scripts/setup models` installs; proofs without a CBMC are skipped, and it says so.
"""

import argparse
import concurrent.futures
import dataclasses
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = ROOT / "tests" / "models"
WORK = ROOT / "build" / "models"
AT_ONCE = 2

# How the verifier names what it found broken.
PROPERTIES = {
    "once": "answered&members",
    "not passed": "stored&",
    "not again": "is_zombie||",
    "all": "invalid end state",
    "whole": "is_torn",
    "believed": "ended[",
}


@dataclasses.dataclass(frozen=True)
class Case:
    """A model in one variant, and the property that must be found broken; None: all hold."""

    model: str
    variant: str
    breaks: str | None = None
    sizes: tuple[str, ...] = ()
    cpu_s: int = 300
    memory_mb: int = 1500

    @property
    def name(self) -> str:
        return " ".join((self.model, self.variant, *self.sizes))


@dataclasses.dataclass(frozen=True)
class Proof:
    """A function of proof_text.c; loops that CBMC cannot count by itself are unwound so often."""

    function: str
    cpu_s: int = 300
    memory_mb: int = 6000

    @property
    def name(self) -> str:
        return self.function


@dataclasses.dataclass(frozen=True)
class Verdict:
    is_right: bool
    text: str


CASES: tuple[Case | Proof, ...] = (
    Case("handover", "WHOLE", None, ("FAULTS=3",)),
    Proof("prove_any_bytes_are_read_safely"),
    Proof("prove_written_is_read"),
    Case("handover", "WHOLE", None, ("PARKING=0",)),
    Case("handover", "NO_FENCING", "once"),
    Case("handover", "LOST_COMMITS", "once"),
    Case("handover", "FETCHED_IDENTITY", "once"),
    Case("handover", "EARLY_ADOPT", "not passed"),
    Case("handover", "BITS_DROPPED", "not again"),
    Case("handover", "NO_WAIT", "once"),
    Case("handover", "UNCERTAIN_ABORTS", "once"),
    Case("handover", "PARKED_BLINDLY", "once"),
    Case("handover", "BATCH_COMES_BACK", "once"),
    Case("handover", "SAME_GENERATION", "once"),
    Case("endtxn", "E1"),
    Case("endtxn", "NONE", "whole"),
    Case("endtxn", "TIMED_OUT", "whole"),
    Case("endtxn", "KIP890"),
    Case("endtxn", "ONE_COPY"),
)

DEEP = (
    Case("endtxn", "E1", None, ("NT=5",), 1200, 6000),
    Case("endtxn", "KIP890", None, ("NT=5",), 1200, 6000),
    Case("handover", "WHOLE", None, ("FAULTS=4",), 1200, 6000),
)

# Times that each loop runs at most, and once more to see that it does; texts are at most 54 bytes long then.
UNWIND = {
    "bytes_to_int64": (16,),
    "write_hex": (17,),
    "write_decimal": (20, 4),
    "memcmp": (55,),
    "memchr": (43,),
    "strlen": (3,),
    "base64_write": (6, 3),
    "base64_read": (8,),
    "hex_read": (17,),
}
WINDOW = 24


def bounded(command: list[str], work: pathlib.Path, cpu_s: int, memory_mb: int) -> str:
    """Runs the command and returns what it said, also when it failed: callers look for the words of success. The time is the
    processor's, so that a busy machine is no failure."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))

    try:
        result = subprocess.run(
            command, cwd=work, timeout=20 * cpu_s, preexec_fn=limit, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no end within {20 * cpu_s} s"
    ended = f"\nended by signal {-result.returncode}; it had {cpu_s} s" if result.returncode < 0 else ""
    return result.stdout.decode(errors="replace") + ended


def found(report: str) -> str | None:
    """The property that the verifier says is broken; None when it looked at everything and all hold."""
    line = re.search(r"^pan:\d+: (.*)$", report, re.MULTILINE)
    if line:
        said = line.group(1).replace(" ", "")
        return next((name for name, mark in PROPERTIES.items() if mark.replace(" ", "") in said), line.group(1))
    is_whole = "errors: 0" in report and not re.search(r"max search depth too small|out of memory|not completed", report)
    return None if is_whole else "no verdict: " + report.strip()[-300:]


def check_model(case: Case, work: pathlib.Path) -> Verdict:
    defines = [f"-DVARIANT={case.variant}", *(f"-D{size}" for size in case.sizes)]
    build = bounded(["spin", *defines, "-a", str(HERE / f"{case.model}.pml")], work, 60, 2000)
    # What breaks does so soon, so that compiling it is what takes time.
    options = ["-O1" if case.breaks is None else "-O0", "-w", "-DSAFETY", f"-DMEMLIM={case.memory_mb}"]
    build += bounded(["gcc", *options, "-o", "pan", "pan.c"], work, 120, 2000)
    if not (work / "pan").exists():
        return Verdict(False, "not built: " + build.strip()[-300:])
    report = bounded(["./pan", "-m1000000", "-w22"], work, case.cpu_s, case.memory_mb + 500)
    broken = found(report)
    states = re.search(r"(\d+) states, stored", report)
    figure = f"{int(states.group(1)):>11,} states" if states else ""
    word = "holds" if broken is None else f"breaks '{broken}'"
    if broken != case.breaks:
        word += f", and should {'hold' if case.breaks is None else 'break ' + repr(case.breaks)}"
    return Verdict(broken == case.breaks, f"{word:<22} {figure}")


def cbmc() -> list[str]:
    """The command of CBMC, or nothing: Debian 13's package, unpacked beside Debian 12's libraries."""
    if shutil.which("cbmc"):
        return ["cbmc"]
    tree = ROOT / ".cache" / "cbmc" / "usr"
    libraries = tree / "lib" / "x86_64-linux-gnu"
    if not (tree / "bin" / "cbmc").exists():
        return []
    path = f"{libraries}:{tree / 'lib'}"
    return [str(libraries / "ld-linux-x86-64.so.2"), "--library-path", path, str(tree / "bin" / "cbmc")]


def check_proof(proof: Proof, work: pathlib.Path) -> Verdict:
    smaller = work / "worker" / "core"
    smaller.mkdir(parents=True, exist_ok=True)
    header = (ROOT / "worker/core/ledger.h").read_text()
    assert header.count("LEDGER_WINDOW = 16384") == 1
    (smaller / "ledger.h").write_text(header.replace("LEDGER_WINDOW = 16384", f"LEDGER_WINDOW = {WINDOW}"))
    unwind = ",".join(f"{name}.{i}:{times}" for name, loops in UNWIND.items() for i, times in enumerate(loops))
    sources = [HERE / "proof_text.c", ROOT / "worker/core/ledger_text.c", ROOT / "common/bytes.c"]
    options = ["--function", proof.function, "--unwinding-assertions", "--unwind", "5", "--unwindset", unwind]
    command = [*cbmc(), "-I", str(work), "-I", str(ROOT), *options, "--verbosity", "4", *map(str, sources)]
    report = bounded(command, work, proof.cpu_s, proof.memory_mb)
    failures = re.findall(r"^\[.*FAILURE$", report, re.MULTILINE)
    if "VERIFICATION SUCCESSFUL" not in report and not failures:
        return Verdict(False, "no verdict: " + report.strip()[-300:])
    proven = len(re.findall(r"^\[.*SUCCESS$", report, re.MULTILINE))
    return Verdict(not failures, f"{'; '.join(failures) or 'proven':<22} {proven:>11,} facts")


def check(case: Case | Proof) -> bool:
    work = WORK / re.sub(r"\W+", "-", case.name)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    began = time.monotonic()
    verdict = check_model(case, work) if isinstance(case, Case) else check_proof(case, work)
    took_s = time.monotonic() - began
    print(f"{'ok  ' if verdict.is_right else 'FAIL'} {case.name:<36} {verdict.text} {took_s:7.1f} s", flush=True)
    return verdict.is_right


def chosen(words: list[str], is_deep: bool) -> list[Case | Proof]:
    cases = [case for case in (DEEP if is_deep else CASES) if not words or any(word in case.name for word in words)]
    if cbmc():
        return cases
    print("no CBMC here, so the proofs are skipped: scripts/setup models fetches it where Debian 13 can be reached")
    return [case for case in cases if not isinstance(case, Proof)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deep", action="store_true")
    parser.add_argument("words", nargs="*", metavar="WORD")
    arguments = parser.parse_args()
    cases = chosen(arguments.words, arguments.deep)
    with concurrent.futures.ThreadPoolExecutor(1 if arguments.deep else AT_ONCE) as pool:
        right = list(pool.map(check, cases))
    print(f"{right.count(True)} passed, {right.count(False)} failed")
    return 0 if right and all(right) else 1


if __name__ == "__main__":
    sys.exit(main())
