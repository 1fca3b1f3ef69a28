"""The documents speak of what is there: paths, tests, settings, metrics, commands, alerts, failures."""

from __future__ import annotations

import functools
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("CHAT_BUILD", "build/dev")
PROGRAMS = {"chat-worker": BUILD / "worker/chat-worker", "chat-replay": BUILD / "replay/chat-replay"}
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "schemas/README.md"])
FOLDERS = ("common", "schemas", "worker", "replay", "tests", "docs", "helm", "scripts", "cmake", ".ci")
SECTIONS = "kafka openrouter chat fallback retry breaker worker publish admin log limits".split()
# Names that look like settings: topics.
TOPICS = {"chat.requests", "chat.responses", "chat.requests.dlq"}
# Options of Kafka's tools.
OF_OTHERS = {"--bootstrap-server"}
# Options of the shell around our commands, and of other programs on the same line, are not looked at.
PIPES = re.compile(r"[|&;#)]|\s>")


def of_page(path: Path):
    return pytest.param(path, id=path.relative_to(ROOT).as_posix())


EVERY_PAGE = pytest.mark.parametrize("page", [of_page(path) for path in PAGES])


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def prose(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)


def spans(text: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`\n]+)`", prose(text))


def shell_lines(text: str) -> list[str]:
    joined = "\n".join(blocks(text, "sh")).replace("\\\n", " ")
    return [*joined.splitlines(), *spans(text)]


@functools.cache
def printed(program: str, *arguments: str) -> str:
    done = subprocess.run([PROGRAMS[program], *arguments], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, f"{program} {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def test_all_pages_are_there() -> None:
    wanted = {"README", "ARCHITECTURE", "CONTRIBUTING", "CHANGELOG", "SECURITY", "delivery", "runbook", "failures",
              "configuration", "metrics"}
    assert wanted <= {page.stem for page in PAGES}


def paths_named(text: str) -> list[str]:
    """Paths of the project in backticks and in the first word of shell lines."""
    words = [word.strip(",.:()\"'") for line in shell_lines(text) for word in line.split()]
    return [word for word in words if re.fullmatch(rf"({'|'.join(map(re.escape, FOLDERS))})/[\w./*:-]+", word)]


@EVERY_PAGE
def test_every_path_named_exists(page: Path) -> None:
    text = page.read_text()
    named = paths_named(text)
    missing = [path for path in named if not list(ROOT.glob(path.partition("::")[0].rstrip("/")))]
    # In schemas/README.md and docs, names beside the page are meant.
    missing = [path for path in missing if not (page.parent / path).exists()]
    assert not missing
    if page.name == "ARCHITECTURE.md":
        assert len(named) > 60


@EVERY_PAGE
def test_every_test_named_exists(page: Path) -> None:
    for path in paths_named(page.read_text()):
        file, _, name = path.partition("::")
        if name:
            assert f"def {name}(" in (ROOT / file).read_text(), f"{path} is no test"


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", prose(page.read_text()), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@EVERY_PAGE
def test_every_link_has_its_target(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", prose(page.read_text())):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        path = page.parent / file if file else page
        assert path.exists(), f"{target} is not there"
        if anchor:
            assert anchor in anchors(path), f"{target} is no heading"


@functools.cache
def setting_keys() -> frozenset[str]:
    keys = frozenset(re.findall(r"^\| `([a-z_.<>]+)`", printed("chat-worker", "config", "--format=md"), re.M))
    assert len(keys) > 70
    return keys


def is_setting(key: str) -> bool:
    return key in setting_keys() or key.startswith("fallback.texts.")


@EVERY_PAGE
def test_every_setting_named_exists(page: Path) -> None:
    shaped = re.compile(rf"({'|'.join(SECTIONS)})\.[a-z_.]+")
    spoken = [match[0] for span in spans(page.read_text()) if (match := re.match(shaped, span))]
    unknown = [key for key in spoken if not is_setting(key.rstrip(".")) and key not in TOPICS]
    assert not unknown


@EVERY_PAGE
def test_every_variable_named_is_a_settings(page: Path) -> None:
    known = {"CHAT_WORKER_" + key.upper().replace(".", "_") for key in setting_keys()} | {"CHAT_WORKER_CONFIG"}
    known |= {f"{name}_FILE" for name in known}
    text = page.read_text()
    used = set(re.findall(r"\bCHAT_WORKER_[A-Z_]*[A-Z]\b(?!_)", text)) - {"CHAT_WORKER"}
    assert used <= known


@EVERY_PAGE
def test_every_metric_named_exists(page: Path) -> None:
    table = printed("chat-worker", "metrics")
    used = re.findall(r"\b(?:chat_worker|gen_ai_client|messaging|process)_[a-z_]+_(?:total|seconds|bytes)\b|"
                      r"\bchat_worker_[a-z_]+\b", " ".join(spans(page.read_text())))
    assert not [name for name in used if name not in table]


@EVERY_PAGE
def test_every_value_of_the_chart_named_exists(page: Path) -> None:
    values = yaml.safe_load((ROOT / "helm/chat-worker/values.yaml").read_text())
    for span in spans(page.read_text()):
        if not re.fullmatch(r"[a-z][A-Za-z]*(\.[a-z][A-Za-z]*)+", span) or span.lower() == span:
            continue
        place = values
        for name in span.split("."):
            assert name in place, f"{span} is no value of the chart"
            place = place[name]


def commands_named(text: str) -> list[tuple[str, list[str]]]:
    """Our programs with their arguments, as documents tell them to be run."""
    found = []
    for line in shell_lines(text):
        for match in re.finditer(r"(?:^|[\s/])(chat-worker|chat-replay)(\s+[a-z-].*|$)", line):
            rest = PIPES.split(match[2])[0]
            before = line[: match.start()].split()
            is_ours = not any(word in ("-t", "run", "build", "helm", "kubectl", "--group") for word in before)
            if rest.strip() and is_ours:
                found.append((match[1], rest.split()))
    return found


def takes(text_of_help: str, option: str) -> bool:
    return re.search(rf"(^|[\s,\[]){re.escape(option)}\b", text_of_help) is not None


@EVERY_PAGE
def test_every_command_named_exists(page: Path) -> None:
    for program, arguments in commands_named(page.read_text()):
        commands = re.findall(r"^  ([a-z]+)\b", printed(program, "--help"), re.M)
        subcommand = next((word for word in arguments if not word.startswith("-")), None)
        if not arguments[0].startswith("-"):
            assert arguments[0] in commands, f"{program} {' '.join(arguments)}"
        page_of_help = printed(program, subcommand, "--help") if subcommand in commands else printed(program, "--help")
        for option in (word.partition("=")[0] for word in arguments if word.startswith("-")):
            assert takes(page_of_help, option), f"{program}: {option}"


@EVERY_PAGE
def test_every_option_named_alone_exists(page: Path) -> None:
    helps = [printed("chat-worker", "--help")]
    helps += [printed("chat-replay", name, "--help") for name in ("audit", "demo", "sandbox", "send")]
    for span in spans(page.read_text()):
        option = re.match(r"--?[A-Za-z][\w-]*", span)
        if option and option[0] not in OF_OTHERS:
            assert any(takes(text, option[0]) for text in helps), f"nobody takes {option[0]}"


@EVERY_PAGE
def test_every_setting_given_by_a_flag_exists(page: Path) -> None:
    for line in shell_lines(page.read_text()):
        given = re.findall(r"--set ([a-z_.]+)=", line) if not line.startswith("helm") else []
        assert all(is_setting(key) or key == "key" for key in given), line


def test_commands_of_the_readme_are_seen() -> None:
    seen = {(program, arguments[0]) for program, arguments in commands_named((ROOT / "README.md").read_text())}
    assert {("chat-worker", "run"), ("chat-worker", "check"), ("chat-worker", "config"), ("chat-replay", "send"),
            ("chat-replay", "sandbox")} <= seen


def test_options_of_scripts_exist() -> None:
    for page in PAGES:
        for line in shell_lines(page.read_text()):
            if line.startswith("scripts/test "):
                parts = [word for word in PIPES.split(line)[0].split(" -- ")[0].split()[1:] if word[0] != "-"]
                known = (ROOT / "scripts/test").read_text()
                assert all(f"part_{part}()" in known for part in parts), line
            if line.startswith("scripts/setup "):
                parts = PIPES.split(line)[0].split()[1:]
                known = (ROOT / "scripts/setup").read_text()
                assert all(f"setup_{part}()" in known for part in parts), line


def test_presets_named_exist() -> None:
    presets = set(re.findall(r'"name": "(\w+)"', (ROOT / "CMakePresets.json").read_text()))
    for page in PAGES:
        assert set(re.findall(r"--preset (\w+)", page.read_text())) <= presets
    table = re.search(r"\| preset \|.*?\n\n", (ROOT / "CONTRIBUTING.md").read_text(), re.S)
    assert table and set(re.findall(r"^\| `(\w+)`", table[0], re.M)) <= presets


@pytest.mark.parametrize("page", ["README.md", "docs/configuration.md"])
def test_settings_file_shown_is_good(tmp_path: Path, page: str) -> None:
    text = (ROOT / page).read_text()
    shown = blocks(text, "libconfig") or [block for block in blocks(text, "") if "bootstrap_servers" in block]
    assert shown
    for number, block in enumerate(shown):
        file = tmp_path / f"{number}.conf"
        file.write_text(block)
        assert "good" in printed("chat-worker", "check", "--no-environment", "--deny-warnings", "-c", str(file))


def alerts() -> list[str]:
    names = re.findall(r"^- alert: (\w+)$", (ROOT / "helm/chat-worker/templates/_alerts.tpl").read_text(), re.M)
    assert len(names) > 5
    return names


def test_runbook_has_one_heading_for_each_alert() -> None:
    text = (ROOT / "docs/runbook.md").read_text()
    assert re.findall(r"^## (\w+)$", text, re.M) == alerts()
    for section in re.split(r"^## ", text, flags=re.M)[1:]:
        for part in ("**Meaning.**", "**Check.**", "**Cure.**"):
            assert section.count(part) == 1, f"{section.splitlines()[0]} has no {part}"


def test_log_lines_quoted_in_the_runbook_are_ours() -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "worker").rglob("*.[ch]"))
    quoted = [span for page in ("runbook.md", "delivery.md") for span in spans((ROOT / "docs" / page).read_text())
              if re.fullmatch(r"[a-z][a-z]+( [a-z]+){2,}(, [a-z ]+)?", span)]
    assert len(quoted) > 6
    assert not [line for line in quoted if line not in code and not line.startswith("kubectl")]


# Signs of the transport and defects of answers, as docs/failures.md words them: a piece of the first column.
PHRASES = {
    "TRANSPORT_DNS": "name cannot be resolved",
    "TRANSPORT_CONNECT": "no connection (",
    "TRANSPORT_TLS": "handshake fails",
    "TRANSPORT_CERTIFICATE": "certificate is not trusted",
    "TRANSPORT_TIMEOUT": "no content within",
    "TRANSPORT_CLOSED": "closed without a response",
    "TRANSPORT_CUT": "cut in the middle",
    "TRANSPORT_TOO_LARGE": "larger than allowed",
    "TRANSPORT_REPEATED": "libcurl would have sent",
    "TRANSPORT_INTERNAL": "fault of the worker's own",
    "ANSWER_DEFECT_INVALID": "not JSON",
    "ANSWER_DEFECT_NO_CHOICES": "`choices` missing",
    "ANSWER_DEFECT_BLANK": "no text, tool call",
    "ANSWER_DEFECT_REASONING": "nothing but reasoning",
    "ANSWER_DEFECT_FILTERED": "`content_filter` without text",
    "ANSWER_DEFECT_BROKEN": "the stream ends without",
    "PATTERNS": "`metadata.patterns`",
    "REASONS": "`metadata.reasons`",
    "CONTEXT": "speaks of the context length",
    "MODEL": "no such model",
    "DAILY_CAP": "daily cap",
    "TOO_DEAR": "can be paid",
}


def failure_rows() -> list[tuple[str, str, str]]:
    """(sign, action, reason) of the C table; a sign is a word in backticks, a status, or a phrase of PHRASES."""
    code = (ROOT / "worker/core/failure.c").read_text()
    code = code[code.index("sign_rows[] = {"):]
    rows = [(f"`{word}`", action, reason) for word, reason, action in re.findall(
        r'^\t(?:CODE|TYPE)\("(\w+)", (\w+), (\w+)\)', code, re.M)]
    rows += [(f"`{word}*`", action, reason) for word, reason, action in re.findall(
        r'SIGN_TYPE_BEGINS, 0, 0, "(\w+)", REASON_(\w+), (\w+)', code)]
    rows += [(PHRASES[kind], action, reason) for kind, reason, action in re.findall(
        r"^\tFLAG\((\w+), \d+, \d+, (\w+), (\w+)\)", code, re.M)]
    rows += [(PHRASES[kind], action, reason) for kind, reason, action in re.findall(
        r"\[(\w+)\] = \{ \.reason = REASON_(\w+), \.action = (\w+)", code) if kind != "TRANSPORT_CANCELLED"]
    for first, last, reason, action in re.findall(r"^\tSTATUS\((\d+), (\d+), (\w+), (\w+)\)", code, re.M):
        names = {"0": ["every other status"], "300": ["other 3xx"], "400": ["other 4xx"]}
        numbers = [str(number) for number in range(int(first), int(last) + 1)]
        rows += [(sign, action, reason) for sign in names.get(first, numbers)]
    return rows


def told_failures() -> list[tuple[str, str, str]]:
    """(first column, then, reason) of every table of the page that has these columns."""
    text = (ROOT / "docs/failures.md").read_text()
    tables = re.findall(r"^\| sign \| then \| caller gets \|\n\|[-|]+\n((?:\|.*\n)+)", text, re.M)
    assert len(tables) == 5
    lines = [line.strip("|\n") for table in tables for line in table.splitlines()]
    cells = [[cell.strip() for cell in line.split(" | ")] for line in lines]
    return [(sign, then, re.findall(r"`(\w+)`", gets)[-1]) for sign, then, gets in cells]


def fits(sign: str, column: str) -> bool:
    """A status is a whole number of a list, all else a piece of the column."""
    return sign in re.split(r", ", column) if sign.isdigit() else sign in column


def test_failures_are_those_of_the_code() -> None:
    rows, told = failure_rows(), told_failures()
    assert len(rows) > 70
    for sign, action, reason in rows:
        wanted = (action.lower().replace("_", " "), reason.lower())
        assert wanted in [(then, gets) for column, then, gets in told if fits(sign, column)], f"{sign}: {wanted}"
    for column, then, gets in told:
        known = [sign for sign, action, reason in rows
                 if fits(sign, column) and (action.lower().replace("_", " "), reason.lower()) == (then, gets)]
        assert known, f"the code has no such row: {column}"
        for word in re.findall(r"`([a-z_]+\*?)`", column) if column.startswith(("`", "`error.availability")) else []:
            assert any(word in sign for sign in known), f"the code does not know {word}"


def test_rejections_are_told_as_such() -> None:
    classes = dict(re.findall(r'ROW\(REASON_\w+, "(\w+)", (\w+),', (ROOT / "schemas/reason.h").read_text()))
    assert len(classes) > 25
    for line in (ROOT / "docs/failures.md").read_text().splitlines():
        match = re.fullmatch(r"\|.*\| (rejected )?`(\w+)` \|", line)
        if match:
            assert (match[1] is not None) == (classes[match[2]] == "REJECTED"), line


def test_actions_are_explained() -> None:
    actions = re.findall(r"^\tFAILURE_ACTION_(\w+),", (ROOT / "worker/core/failure.h").read_text(), re.M)
    text = (ROOT / "docs/failures.md").read_text()
    told = re.search(r"^\| then \| the worker \|\n.*?\n\n", text, re.M | re.S)
    assert told
    words = re.findall(r"^\| ([a-z ]+) \| [a-z]", told[0], re.M)[1:]
    assert words == [each.lower().replace("_", " ") for each in actions]


def test_promises_are_those_of_the_simulation() -> None:
    watched = set(re.findall(r"^ \*  +(\d+) ", (ROOT / "tests/simulation/world.h").read_text(), re.M))
    told = re.findall(r"^\| (\d+) \| .* \| (.*) \|$", (ROOT / "ARCHITECTURE.md").read_text(), re.M)
    assert [number for number, _ in told] == [str(number) for number in range(1, 13)]
    assert {number for number, shown in told if shown.startswith("simulation")} == watched


# The brackets keep a line of this file from being what it looks for.
WORDS = r"\b(T[O]DO|F[I]XME)\b"
PRAISE = r"\b(bla[z]ing|seam[l]ess\w*|rob[u]st|power[f]ul|cutting-[e]dge|world-[c]lass)\b"


@EVERY_PAGE
def test_page_speaks_of_the_project_alone(page: Path) -> None:
    text = page.read_text()
    for pattern in (WORDS, PRAISE):
        assert not re.search(pattern, text, re.I), re.search(pattern, text, re.I)
    if len(ROOT.parts) > 2:
        assert f"{ROOT.parent}/" not in text
    assert not re.search("[\U0001f300-\U0001faff\u2600-\u27bf]", text)
    lines = [line for line in text.splitlines() if not line.startswith("|")]
    assert not [line for line in lines if len(line) > 140], "a line is too long"
