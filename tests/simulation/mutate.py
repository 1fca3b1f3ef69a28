#!/usr/bin/env python3
"""Do the tests notice when one line of the ledger, the retries or the batches is wrong?

    tests/simulation/mutate.py           all mutants, one after the other: some minutes
    tests/simulation/mutate.py WORD ...  only those whose file or reason holds one of the words

Each mutant changes one line of a copy of the sources, in build/mutants. It is killed when a unit test of the core or a seed
of the simulation fails; one that lives is a gap in the tests. Last line: N passed, N failed.
"""

import dataclasses
import pathlib
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "mutants"
SEEDS = "400"
PARTS = ("batch", "job", "lanes", "ledger", "retry", "flow")  # whose unit tests are asked
UNIT = f"unit_({'|'.join(PARTS)})"


@dataclasses.dataclass(frozen=True)
class Mutant:
    file: str
    before: str
    after: str
    reason: str

    @property
    def name(self) -> str:
        return f"{self.file}: {self.reason}"


def ledger(before: str, after: str, reason: str) -> Mutant:
    return Mutant("ledger.c", before, after, reason)


def text(before: str, after: str, reason: str) -> Mutant:
    return Mutant("ledger_text.c", before, after, reason)


def retry(before: str, after: str, reason: str) -> Mutant:
    return Mutant("retry.c", before, after, reason)


def batch(before: str, after: str, reason: str) -> Mutant:
    return Mutant("flow_batch.c", before, after, reason)


# Not here, since nothing changes: what ledger_text_read() refuses early and its comparison with its own writing refuses
# later, too (version, size of the commit id, a lone base64 digit); the order in which requeue() sorts in what it puts back.
MUTANTS = (
    ledger("offset - ledger->watermark < LEDGER_WINDOW;", "offset - ledger->watermark <= LEDGER_WINDOW;", "window one too wide"),
    ledger("offset - ledger->watermark < LEDGER_WINDOW;", "offset - ledger->watermark < LEDGER_WINDOW - 1;", "window one too narrow"),
    ledger("if (ledger->next < ledger->watermark) ledger->next = ledger->watermark;", "", "reading stays behind the watermark"),
    ledger("stored.watermark != ledger->watermark || ", "", "a text of another offset is restored"),
    ledger(" || stored.watermark > log_end", "", "a text beyond the log's end is restored"),
    ledger("set && (i == 0 || ", "set && (", "a text whose watermark is finished is restored"),
    ledger("(int64_t)i >= log_end - stored.watermark", "(int64_t)i > log_end - stored.watermark", "a bit at the log's end is restored"),
    ledger("mark_done(ledger, ledger->next);", "", "a gap does not count as done"),
    ledger("if (bit_is_set(ledger->done, ledger->watermark)) advance(ledger);", "", "the watermark stays before a gap"),
    ledger("if (offset < ledger->next) return STATUS_NOT_FOUND;", "", "what was read is taken again"),
    ledger("if (ledger->next > offset) return STATUS_NOT_FOUND;", "", "a record that the watermark has run over is taken"),
    ledger("if (!bit_is_set(ledger->done, offset)) return STATUS_OK;\n\tadvance(ledger);", "return STATUS_OK;", "finished ones are taken"),
    ledger("ledger->done[i] |= ledger->staged[i];", "", "adopting forgets"),
    ledger("ledger->staged_count -= count;", "ledger->staged_count = 0;", "adopting stops after the first word"),
    ledger("memset(ledger->staged, 0, sizeof(ledger->staged));", "", "unstaging keeps the bits"),
    ledger("offset < end && left > 0", "offset < ledger->next && left > 0", "restored bits are encoded only as far as read"),
    ledger("if (offset < ledger->watermark) return true;", "", "what is below the watermark is not done"),
    ledger("if (ledger->next < end) skip_to(ledger, end);", "", "passing does nothing"),
    text("size > out_max", "size > out_max + 1", "a bitmap one byte too large is read"),
    text("if (value < 0) return STATUS_INVALID;", "if (value < 0) continue;", "foreign characters are passed over"),
    text("text->watermark < 0 || ", "", "a watermark below zero is read"),
    text("return bytes_equal(bytes_at(again, size), view);", "return size == view.size;", "no check sum"),
    retry("i < attempts && ceiling", "i <= attempts && ceiling", "back-off doubled once too often"),
    retry("if (ceiling > options->backoff_max_ms) ceiling = options->backoff_max_ms;", "", "back-off without its bound"),
    retry("(uint64_t)ceiling + 1", "(uint64_t)ceiling / 2 + 1", "half the back-off"),
    retry("state->model + 1 < state->model_count;", "state->model + 2 < state->model_count;", "the last model is never asked"),
    retry("state->model_attempts <= 1", "state->model_attempts <= 2", "the same model once too often"),
    retry("has_next && !state->went_on", "has_next", "goes on to another model more than once"),
    retry("state->trimmed ? RETRY_STEP_END", "false ? RETRY_STEP_END", "trims for ever"),
    retry("state->attempts >= options->max_attempts", "state->attempts > options->max_attempts", "one attempt too many"),
    retry("failure->retry_after_ms > wait_ms", "false", "Retry-After is not heard"),
    retry("deadline_ms - RETRY_TIME_MIN_MS", "deadline_ms", "an attempt that cannot finish"),
    retry("decision.at_ms > latest_ms ? end", "decision.at_ms > deadline_ms ? end", "a wait that leaves no time"),
    retry("state->attempts + 1 >= options->max_attempts", "false", "the last attempt gets a share of the time"),
    batch("ledger_stage(job->partition->ledger, job->record->offset);\n\tflow_mark", "flow_mark", "a reply without its progress"),
    batch("if (count > 0 && bytes > flow->options.batch_bytes_max) return;", "", "batches without a bound of bytes"),
    batch("if (partition == NULL || !partition->is_dirty) continue;", "if (partition == NULL) continue;", "clean partitions are in the batch"),
    batch("now_ms < flow->batch_not_before_ms", "false", "no pause after an abort"),
    batch("list_insert_between(&job->queue, before, before->next);", "list_push_back(&flow->replies, &job->queue);", "aborted replies go last"),
    batch("while (before != &flow->replies &&", "while (false &&", "a reply that comes back late goes last"),
    batch("ledger_unstage(partition->ledger);\n\t\tflow_mark", "flow_mark", "an aborted batch stays staged"),
    batch("partition->in_batch = false;\n\t\tledger_unstage", "ledger_unstage", "a partition stays in a batch that is back"),
    batch("if (commit_id == batch->commit_id) return true;", "return true;", "any commit is this one"),
    batch("return found_shows(batch);", "return true;", "an uncertain batch counts as stored"),
    batch("ledger_adopt(partition->ledger);\n\t\tif (!is", "if (!is", "a committed batch is not adopted"),
    batch("if (!is_progress_stored) flow_mark_dirty", "if (false) flow_mark_dirty", "progress that was not stored is forgotten"),
    batch("flow_take_held(flow, partition, now);", "", "a held record waits for ever"),
    batch("flow->abort_backoff_ms *= 2;", "", "aborts are repeated at a steady pace"),
    batch("flow->abort_backoff_ms = FLOW_ABORT_BACKOFF_MS;\n\t\tfinish", "finish", "the pause after aborts never shrinks"),
    batch("random_next(&flow->random) | 1", "1", "all batches have one commit id"),
)


def run(command: list[str], timeout_s: int) -> bool:
    try:
        done = subprocess.run(command, cwd=WORK, timeout=timeout_s, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    except subprocess.TimeoutExpired:
        return False
    (WORK / "last.log").write_bytes(done.stdout)
    return done.returncode == 0


def copy_sources() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout.decode()
    for name in filter(None, listed.split("\0")):
        source, target = ROOT / name, WORK / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_file() and (not target.exists() or target.read_bytes() != source.read_bytes()):
            shutil.copy2(source, target)


def targets() -> list[str]:
    names = (path.stem for path in (WORK / "tests" / "unit").glob("test_*.c"))
    return ["simulation", *sorted(name for name in names if name.split("_")[1] in PARTS)]


def build() -> bool:
    return run(["nice", "ninja", "-C", "build", "-j2", *targets()], 1200)


def killer() -> str | None:
    """What notices the mutant; None when nothing does."""
    if not run(["ctest", "--test-dir", "build", "-R", UNIT, "-j2", "--stop-on-failure", "--timeout", "60"], 600):
        lines = (WORK / "last.log").read_text(errors="replace").splitlines()
        return next((line.split(" - ")[1].split()[0] for line in lines if "(Failed)" in line or "(Subprocess" in line), "a unit test")
    if not run(["build/tests/simulation/simulation", "--seeds", SEEDS, "--jobs", "2"], 300):
        lines = (WORK / "last.log").read_text(errors="replace").splitlines()
        return next((f"simulation, {line.split(',')[0]}" for line in lines if line.startswith("promise")), "simulation")
    return None


def try_mutant(mutant: Mutant) -> bool:
    began = time.monotonic()
    path = WORK / "worker" / "core" / mutant.file
    whole = path.read_text()
    if whole.count(mutant.before) != 1:
        print(f"FAIL {mutant.name}: its line is there {whole.count(mutant.before)} times", flush=True)
        return False
    path.write_text(whole.replace(mutant.before, mutant.after))
    try:
        found = killer() if build() else "the compiler"
    finally:
        path.write_text(whole)
    is_killed = found is not None and found != "the compiler"
    word, took_s = ("ok  " if is_killed else "FAIL"), time.monotonic() - began
    print(f"{word} {mutant.name:<66} {found or 'nothing'} ({took_s:.0f} s)", flush=True)
    return is_killed


def main() -> int:
    words = sys.argv[1:]
    chosen = [mutant for mutant in MUTANTS if not words or any(word in mutant.name for word in words)]
    copy_sources()
    options = ["-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_C_FLAGS_DEBUG=-O1"]
    if not run(["cmake", "-B", "build", *options], 120) or not build() or killer() is not None:
        print(f"the sources as they are do not pass; see {WORK / 'last.log'}")
        return 1
    killed = [try_mutant(mutant) for mutant in chosen]
    print(f"{killed.count(True)} passed, {killed.count(False)} failed")
    return 0 if killed and all(killed) else 1


if __name__ == "__main__":
    sys.exit(main())
