#!/usr/bin/env python3
"""The rules of the source's structure: who may include whom, how large things are, what must not be there.

Run by pytest, or as a program (as scripts/check does): then it prints one line a rule that is broken and what breaks it,
and exits with 1. Needs universal-ctags.
"""

import functools
import json
import pathlib
import re
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = ("common", "schemas", "worker", "replay")

# Which folder may include which: the direction is common <- schemas <- worker/core <- worker/edge <- worker, and replay
# stands beside the worker. The most specific line that fits an including file counts.
MAY_INCLUDE = {
    "common/": ("common/",),
    "schemas/": ("common/", "schemas/"),
    "worker/core/": ("common/", "schemas/", "worker/core/"),
    # The two tables that the edge reads its settings and counters from have no code of the worker behind them.
    "worker/edge/": ("common/", "schemas/", "worker/core/", "worker/edge/", "worker/settings.h", "worker/metrics_table.h"),
    "worker/": ("common/", "schemas/", "worker/"),
    "replay/": ("common/", "schemas/", "replay/", "worker/edge/kafka_"),
}

# Each foreign library and the only places that know it.
FOREIGN = {
    r"librdkafka/": r"worker/edge/(source|publisher|kafka_)\w*\.[ch]|replay/\w*kafka\w*\.[ch]",
    r"curl/": r"worker/edge/upstream\w*\.[ch]",
    r"openssl/": r"worker/edge/(upstream|secret)\w*\.[ch]",
    r"msgpack": r"schemas/\w+\.[ch]",
    r"libconfig": r"common/settings\w*\.[ch]",
    r"yyjson": r"common/json_text\.c|schemas/\w+\.[ch]|worker/core/openrouter_\w+\.[ch]|replay/(standin|demo)\w*\.[ch]",
    r"microhttpd": r"worker/edge/admin\w*\.[ch]|replay/standin\w*\.[ch]",
    r"uthash|utlist|utarray": r"worker/core/(lanes|park)\.c|replay/standin\w*\.[ch]|common/\w+\.c",
    r"cmocka": r"tests/.*\.[ch]",
}

NOT_OURS = {".git", ".cache", ".pytest_cache", "build", "__pycache__", "node_modules"}


def all_files(*folders):
    """Files below the folders, without what tools leave behind."""
    for folder in folders or (".",):
        for path in sorted((ROOT / folder).rglob("*")):
            parts = path.relative_to(ROOT).parts
            if path.is_file() and not NOT_OURS.intersection(parts):
                yield path


def name_of(path):
    return path.relative_to(ROOT).as_posix()


@functools.cache
def text_of(path):
    return path.read_text(encoding="utf-8", errors="replace")


def lines_of(path):
    return text_of(path).count("\n")


@functools.cache
def sources():
    return [path for path in all_files(*SOURCES) if path.suffix in (".c", ".h")]


@functools.cache
def sources_of_tests():
    return [path for path in all_files("tests") if path.suffix in (".c", ".h", ".py")]


def includes(paths):
    for path in paths:
        for number, line in enumerate(text_of(path).splitlines(), 1):
            found = re.match(r'\s*#\s*include\s+[<"]([^>"]+)[>"]', line)
            if found:
                yield name_of(path), number, found.group(1)


@functools.cache
def tags():
    command = ["ctags", "--output-format=json", "--fields=+neKS", "--kinds-C=fv", "--languages=C", "-f", "-"]
    command += ["--langmap=C:.c.h"] + [name_of(path) for path in sources()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def functions():
    """(lines, file, name) of every function with a body."""
    for tag in tags():
        if tag["kind"] == "function" and "end" in tag:
            yield tag["end"] - tag["line"] + 1, tag["path"], tag["name"]


def search(paths, pattern):
    expression = re.compile(pattern)
    for path in paths:
        for number, line in enumerate(text_of(path).splitlines(), 1):
            if expression.search(line):
                yield f"{name_of(path)}:{number}: {line.strip()[:100]}"


def none(found):
    found = list(found)
    assert not found, "\n" + "\n".join(found)


def test_includes_follow_the_direction():
    ours = tuple(folder + "/" for folder in SOURCES)
    wrong = []
    for path, number, target in includes(sources()):
        allowed = next(MAY_INCLUDE[part] for part in sorted(MAY_INCLUDE, key=len, reverse=True) if path.startswith(part))
        if target.startswith(ours) and not target.startswith(allowed):
            wrong.append(f"{path}:{number}: includes {target}")
        if target.startswith("tests/"):
            wrong.append(f"{path}:{number}: includes a test's {target}")
    none(wrong)


def test_includes_form_no_circle():
    after = {}
    for path, _, target in includes(sources()):
        after.setdefault(path, []).append(target)

    def circle(path, trail):
        if path in trail:
            return trail[trail.index(path) :] + [path]
        return next(filter(None, (circle(target, trail + [path]) for target in after.get(path, ()))), None)

    headers = [name_of(path) for path in sources() if path.suffix == ".h"]
    circles = filter(None, (circle(header, []) for header in headers))
    none({frozenset(found): " -> ".join(found) for found in circles}.values())


def test_foreign_libraries_stay_in_their_places():
    wrong = []
    for path, number, target in includes(sources()):
        for header, places in FOREIGN.items():
            if re.match(header, target) and not re.fullmatch(places, path):
                wrong.append(f"{path}:{number}: includes {target}")
    none(wrong)


def test_headers_have_guards_named_after_them():
    wrong = []
    for path in sources():
        guard = re.sub(r"\W", "_", name_of(path)).upper()
        if path.suffix == ".h" and not re.search(rf"^#ifndef {guard}\n#define {guard}\n", text_of(path), re.M):
            wrong.append(f"{name_of(path)}: no guard {guard}")
    none(wrong)


def is_constant(declaration, name):
    """Whether a variable is read-only: the last `const` stands behind the last `*`."""
    before = re.split(rf"\b{name}\b", declaration)[0]
    pointed = before.rfind("*")
    return "const" in (before[pointed:] if pointed >= 0 else before)


def test_no_mutable_variables_at_file_scope():
    wrong = []
    for tag in tags():
        declaration = text_of(ROOT / tag["path"]).splitlines()[tag["line"] - 1]
        # What belongs to one thread is not shared; a foreign library's threads can be marked in no other way.
        is_harmless = re.match(r"\s*extern\b|static thread_local\b", declaration)
        if tag["kind"] == "variable" and not is_harmless and not is_constant(declaration, tag["name"]):
            wrong.append(f"{tag['path']}:{tag['line']}: {tag['name']}")
    none(wrong)


def test_no_mutable_static_variables_in_functions():
    wrong = []
    for path in sources():
        for number, line in enumerate(text_of(path).splitlines(), 1):
            found = re.match(r"\s+static\s+[^;={(]*?\b(\w+)\s*(\[[^]]*\]\s*)*(=|;)", line)
            if found and not is_constant(line, found.group(1)):
                wrong.append(f"{name_of(path)}:{number}: {line.strip()}")
    none(wrong)


def test_files_are_short():
    largest = {".c": 500, ".h": 250, ".py": 500}
    none(
        f"{name_of(path)}: {lines_of(path)} lines"
        for path in sources() + sources_of_tests()
        if lines_of(path) > largest[path.suffix]
    )


def test_functions_are_short():
    sizes = sorted(size for size, _, _ in functions())
    longest = [f"{path}: {name}() has {size} lines" for size, path, name in functions() if size > 70]
    assert statistics.median(sizes) <= 15
    assert sizes[int(len(sizes) * 0.9)] <= 40, f"nine of ten: {sizes[int(len(sizes) * 0.9)]}"
    none(longest)


def test_core_asserts_what_it_believes():
    core = [path for path in sources() if name_of(path).startswith("worker/core/") and path.suffix == ".c"]
    names = {name_of(path) for path in core}
    facts = sum(len(re.findall(r"\bASSERT(?:_UNREACHABLE)?\(", text_of(path))) for path in core)
    count = sum(1 for _, path, _ in functions() if path in names)
    assert facts >= 1.5 * count, f"{facts} assertions in {count} functions: {facts / count:.2f} each"


def test_nothing_is_left_to_do():
    none(search(sources() + sources_of_tests(), r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b"))


def test_tests_are_as_long_as_what_they_test():
    tested, testing = sum(map(lines_of, sources())), sum(map(lines_of, sources_of_tests()))
    assert testing >= tested, f"{testing} lines of tests, {tested} of sources"


def test_tests_wait_for_conditions():
    waiting = [path for path in sources_of_tests() if name_of(path).startswith(("tests/unit/", "tests/integration/"))]
    none(search(waiting, r"\b(u|nano|time\.)?sleep\s*\("))


def test_unit_tests_are_all_built():
    build = re.sub(r"#.*", "", text_of(ROOT / "tests/unit/CMakeLists.txt"))
    words = set(re.findall(r"\w+", build))
    listed = words | {prefix + word for prefix in re.findall(r"add_unit_test\((\w+)\$", build) for word in words}
    written = {path.stem.removeprefix("test_") for path in (ROOT / "tests/unit").glob("test_*.c")}
    none(f"test_{name}.c" for name in sorted(written - listed))


def main():
    rules = [(name, rule) for name, rule in sorted(globals().items()) if name.startswith("test_")]
    broken = 0
    for name, rule in rules:
        try:
            rule()
        except AssertionError as error:
            broken += 1
            print(f"{name}: {error}")
    print(f"rules: {len(rules) - broken} kept, {broken} broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
