"""The built program from outside: what it refuses, what it prints, and that it never shows the key."""

import http.server
import json
import socket
import subprocess
import threading

import jsonschema
import pytest
from command_tool import CANARY, GOOD, LIMIT_S, PROGRAM, ROOT, environment, run, write_settings


@pytest.fixture(name="settings")
def settings_fixture(tmp_path):
    path = tmp_path / "worker.conf"
    write_settings(path, GOOD)
    return path


# setting, its text in the file, what the message says
MISTAKES = [
    # wrong types
    ("kafka.group_id", "5", "must be a text, is a whole number"),
    ("kafka.session_timeout_ms", '"10000"', "must be a whole number, is a text"),
    ("kafka.session_timeout_ms", "10000.5", "must be a whole number, is a number with a fraction"),
    ("kafka.session_timeout_ms", "true", "must be a whole number, is true or false"),
    ("kafka.session_timeout_ms", "[10000]", "must be a whole number, is a list"),
    ("openrouter.insecure_http", '"true"', "must be true or false, is a text"),
    ("openrouter.insecure_http", "1", "must be true or false, is a whole number"),
    ("openrouter.models", '"a/b"', "must be a list of texts, is a text"),
    ("openrouter.models", "[1, 2]", "must be a list of texts, is a list of something else"),
    ("openrouter.temperature", '"0.5"', "must be a number, is a text"),
    ("kafka.properties", '{ debug = "all"; }', "must be a list"),
    ("kafka.properties", '["debug"]', "item 1 must have the form name=value"),
    ("kafka.consumer_properties", '["=all"]', "item 1 must have the form name=value"),
    ("kafka.producer_properties", '["a=1", ""]', "item 2 is empty"),
    # unknown names
    ("kafka.bootstrap_server", '"a:1"', "did you mean kafka.bootstrap_servers?"),
    ("kafak.group_id", '"a"', "did you mean kafka?"),
    ("openrouter.model", '["a"]', "did you mean openrouter.models?"),
    ("openrouter.api_key", f'"{CANARY}"', "unknown setting"),
    ("fallback.text_timeout", '"a"', "unknown setting"),
    ("log.levle", '"info"', "did you mean log.level?"),
    # out of range, overflow, junk
    ("kafka.session_timeout_ms", "999", "999 is too small, the least is 1000 ms"),
    ("kafka.session_timeout_ms", "-1", "-1 is too small"),
    ("chat.publish_reserve_ms", "86400001", "86400001 is too large"),
    ("worker.threads", "0", "0 is too small"),
    ("worker.threads", "65", "65 is too large"),
    ("worker.threads", "4294967298", "4294967298 is too large"),
    ("worker.threads", "99999999999999999999", "a number is too large"),
    ("worker.max_bytes", "99999999999999L", "is too large"),
    ("openrouter.temperature", "2.1", "2.1 is too large"),
    ("openrouter.temperature", "-0.5", "must be from 0 to 2, or -1"),
    ("retry.first_content_share", "0.0", "0 is too small"),
    ("breaker.failure_ratio", "1.5", "1.5 is too large"),
    ("limits.depth", "1000", "1000 is too large"),
    # choices
    ("kafka.delivery", '"at_most_once"', "must be one of exactly_once, at_least_once"),
    ("kafka.start_from", '"beginning"', "must be one of earliest, latest"),
    ("openrouter.http_version", '"3"', "must be one of auto, 1.1, 2"),
    ("chat.ordering", '"strict"', "must be one of conversation, none"),
    ("log.level", '"trace"', "must be one of error, warn, info, debug"),
    ("log.format", '"xml"', "must be one of"),
    ("kafka.dead_letter_on", '["answered"]', "may hold only rejected, fallback"),
    # times that contradict each other
    ("openrouter.connect_timeout_ms", "4000", "4000 must be less than openrouter.first_token_timeout_ms"),
    ("openrouter.first_token_timeout_ms", "9000", "9000 must be less than chat.deadline_ms"),
    ("openrouter.stall_timeout_ms", "8000", "8000 must be less than chat.deadline_ms"),
    ("chat.publish_reserve_ms", "8000", "8000 must be less than chat.deadline_ms"),
    ("chat.deadline_max_ms", "7999", "8000 must not be more than chat.deadline_max_ms (7999, "),
    ("worker.drain_ms", "8000", "8000 must be less than worker.drain_ms (8000, "),
    ("worker.grace_ms", "20000", "20000 must be more than worker.drain_ms"),
    ("kafka.heartbeat_interval_ms", "10000", "must be less than kafka.session_timeout_ms"),
    ("kafka.session_timeout_ms", "40000", "40000 must not be more than kafka.max_poll_interval_ms"),
    ("retry.backoff_ms", "900", "900 must not be more than retry.backoff_max_ms"),
    ("retry.backoff_max_ms", "8000", "8000 must be less than chat.deadline_ms"),
    ("breaker.open_ms", "70000", "must not be more than breaker.open_max_ms"),
    # bounds that do not fit
    ("worker.max_waiting", "10", "10 must not be less than worker.max_in_flight"),
    # addresses and names
    ("kafka.bootstrap_servers", '"127.0.0.1:99999"', "broker 1 must have the form host:port"),
    ("kafka.bootstrap_servers", '"a:1,,b:2"', "broker 2 must have the form host:port"),
    ("kafka.bootstrap_servers", '""', "is required"),
    ("kafka.requests_topic", '"chat requests"', "must be 1 to 249 letters"),
    ("kafka.requests_topic", '""', "must not be empty"),
    ("kafka.responses_topic", '"chat.requests"', "is also kafka.requests_topic"),
    ("kafka.dead_letter_topic", '"chat.requests"', "is also kafka.requests_topic"),
    ("kafka.reply_topics", '["ok", "a/b"]', "must be 1 to 249 letters"),
    ("openrouter.base_url", '"http://example.com/v1"', "must begin with https://"),
    ("openrouter.base_url", '"https://"', "has no host"),
    ("openrouter.base_url", f'"https://user:{CANARY}@example.com/"', "must not hold a user name or password"),
    ("openrouter.base_url", '"https://example.com:0/"', "has a port"),
    ("openrouter.base_url", '"ftp://example.com/"', "must begin with https://"),
    ("openrouter.base_url", '"https://example.com/v1?x=1"', "must not have a query"),
    ("openrouter.base_url", '"https://exa mple.com/"', "has a blank"),
    ("openrouter.models", "[]", "is required"),
    ("openrouter.models", '["a b"]', "item 1 must be a model name"),
    ("openrouter.allowed_models", '["a/*", ""]', "item 2 is empty"),
    ("openrouter.provider", '"{sort: 1}"', "must be a JSON object"),
    ("openrouter.app_title", '"a\\r\\nX-Evil: 1"', "must be printable ASCII on one line"),
    ("openrouter.proxy", f'"{CANARY}"', "must be a URL"),
    ("fallback.text", '""', "must not be empty"),
    ("fallback.text", '"  "', "must not be blank"),
    ("admin.listen", '"9464"', "must be address:port"),
    ("admin.listen", '"worker:9464"', "must be address:port"),
]


@pytest.mark.parametrize("command", [["run"], ["check", "--no-environment"]], ids=["run", "check"])
@pytest.mark.parametrize(("key", "value", "message"), MISTAKES, ids=[f"{m[0]}-{i}" for i, m in enumerate(MISTAKES)])
def test_mistake_in_file_is_told_with_setting_file_and_line(tmp_path, command, key, value, message):
    path = tmp_path / "worker.conf"
    lines = write_settings(path, {**GOOD, key: value})
    done = run(*command, "-c", path)
    assert done.returncode == 78
    told = [line for line in done.err.splitlines() if message in line]
    assert told, done.err
    # An unknown group is told where it begins, an overflow where the scanner stands.
    where = [f"{path}:{lines[key]}", f"{path}:{lines[key] - 1}"] if "mean kafka?" in message else [f"{path}:{lines[key]}"]
    assert any(place in line for place in where for line in told), done.err
    named = key.split(".")[0] if "mean kafka?" in message else key
    assert "a number is too large" in message or any(named in line for line in told), done.err


def test_table_of_mistakes_is_long_enough():
    assert len(MISTAKES) >= 60


@pytest.mark.parametrize(("text", "line", "message"), [
    ("kafka: {\n  group_id = ;\n};\n", 2, "syntax error"),
    ("kafka: {", 1, "syntax error"),
    ("kafka: { group_id = \"a\";\n group_id = \"b\"; };\n", 2, ""),
    ("kafka = 5;\n", 1, "is a group of settings"),
    ("\n@include \"/etc/passwd\"\n", 2, "@include is not offered"),
    ("kafka: { group_id = \"a\0b\"; };\n", 1, "NUL byte"),
    ("{\"kafka\": {}}\n", 1, "syntax error"),
    ("kafka: {\n  group_id = \"" + CANARY + ";\n};\n", 2, "a string begins here that does not end"),
    ("/* all\nof\nit", 1, "a comment begins here that does not end"),
    ("\x7fELF\x01\x02\n", 1, "syntax error"),
], ids=lambda value: repr(value)[:20])
def test_malformed_file_is_told_with_line(tmp_path, text, line, message):
    path = tmp_path / "worker.conf"
    path.write_text(text)
    done = run("run", "-c", path)
    assert done.returncode == 78
    assert f"{path}:{line}: " in done.err
    assert message in done.err


@pytest.mark.parametrize("path", ["/nonexistent/worker.conf", "/tmp", "/dev/zero"])
def test_unreadable_file_is_told(path):
    done = run("run", "-c", path)
    assert done.returncode == 78
    assert f"{path}: cannot be" in done.err
    assert "is required" not in done.err


@pytest.mark.parametrize(("key", "message"), [
    (None, "OPENROUTER_API_KEY: is not set"),
    ("", "the key is empty"),
    ("   ", "holds a blank"),
    (CANARY + "\n", "holds a line break"),
    (CANARY + "\r\nHost: evil", "holds a line break"),
    (CANARY + " ", "holds a blank"),
    (CANARY + "\x01", "holds a control character"),
    (CANARY + "ü", "holds a byte that is not ASCII"),
    (CANARY * 70, "is longer than 512 bytes"),
], ids=lambda value: None if value is None else value[-12:].strip())
def test_bad_key_is_told_without_its_value(settings, key, message):
    for command in ("run", "check"):
        done = run(command, "-c", settings, env=environment(OPENROUTER_API_KEY=key))
        assert done.returncode == 78
        assert message in done.err
        assert "OPENROUTER_API_KEY" in done.err


def test_key_file_mistakes_are_told(settings, tmp_path):
    missing = environment(OPENROUTER_API_KEY=None, OPENROUTER_API_KEY_FILE=str(tmp_path / "none"))
    done = run("run", "-c", settings, env=missing)
    assert done.returncode == 78
    assert "OPENROUTER_API_KEY_FILE: cannot open the file" in done.err
    both = environment(OPENROUTER_API_KEY_FILE=str(settings))
    assert "both set" in run("run", "-c", settings, env=both).err


def test_all_mistakes_are_told_at_once(tmp_path):
    path = tmp_path / "worker.conf"
    write_settings(path, {**GOOD, "kafka.session_timeout_ms": "5", "log.level": '"loud"', "worker.thread": "2"})
    done = run("run", "-c", path, env=environment(OPENROUTER_API_KEY=None))
    assert done.returncode == 78
    assert len([line for line in done.err.splitlines() if "error:" in line]) == 4


@pytest.mark.parametrize(("name", "value", "message"), [
    ("CHAT_WORKER_KAFKA_SESSION_TIMEOUT_MS", CANARY, "kafka.session_timeout_ms: must be a whole number"),
    ("CHAT_WORKER_KAFKA_DELIVERY", CANARY, "kafka.delivery: must be one of"),
    ("CHAT_WORKER_OPENROUTER_TEMPERATURE", "1,5", "openrouter.temperature: must be a number"),
    ("CHAT_WORKER_OPENROUTER_INSECURE_HTTP", "yes", "openrouter.insecure_http: must be true or false"),
    ("CHAT_WORKER_KAFKA_PROPERTIES", CANARY, "kafka.properties: item 1 must have the form name=value"),
    ("CHAT_WORKER_OPENROUTER_PROXY_FILE", "/nonexistent", "openrouter.proxy: cannot open the file"),
    ("CHAT_WORKER_WORKER_THREADS", "0x2", "worker.threads: must be a whole number"),
])
def test_mistake_in_environment_is_told_with_variable(settings, name, value, message):
    done = run("run", "-c", settings, env=environment(**{name: value}))
    assert done.returncode == 78
    assert f"{name} in the environment: {message}" in done.err


@pytest.mark.parametrize(("arguments", "code", "message"), [
    (["--set", "kafka.grop_id=a"], 78, "--set: kafka.grop_id: unknown setting, did you mean kafka.group_id?"),
    (["--set", "worker.threads=many"], 78, "--set: worker.threads: must be a whole number"),
    (["--log-format", "xml"], 78, "--log-format: log.format: must be one of"),
    (["-X", "debug"], 78, "-X: kafka.properties: item 1 must have the form name=value"),
    (["--set", "worker.threads"], 2, "--set must have the form"),
    (["--set"], 2, "--set needs a value"),
    (["--nonsense=" + CANARY], 2, "--nonsense is not an option"),
    (["-z"], 2, "-z is not an option"),
    (["serve"], 2, "no such command"),
    (["run", "now"], 2, "does not take that option or word"),
    (["run", "--json"], 2, "does not take that option or word"),
    (["config", "--format=yaml"], 2, "--format is"),
    (["metrics", "--format=yaml"], 2, "--format is"),
    (["completion", "tcsh"], 2, "bash, zsh or fish"),
])
def test_mistake_on_command_line_is_told(settings, arguments, code, message):
    done = run(*arguments, "-c", settings) if arguments != ["--set"] else run("-c", settings, *arguments)
    assert done.returncode == code
    assert message in done.err


@pytest.mark.parametrize("settings_text", [["nonsense=1"], ["enable.auto.commit=true"], ["isolation.level=read_uncommitted"]])
def test_refused_property_is_told_by_check(settings, settings_text):
    arguments = [word for text in settings_text for word in ("-X", text)]
    done = run("check", "--no-environment", "-c", settings, *arguments)
    assert done.returncode == 78
    assert settings_text[0].split("=")[0] in done.err


def test_check_reaches_no_broker_is_78_within_seconds(settings):
    done = run("check", "-c", settings)
    assert done.returncode == 78
    assert f"{settings}:2: kafka.bootstrap_servers: no broker answered" in done.err


def test_check_without_environment_needs_no_key(settings):
    done = run("check", "--no-environment", "-c", settings, env=environment(OPENROUTER_API_KEY=None))
    assert (done.returncode, done.err) == (0, "")


def test_check_denies_warnings_when_asked(tmp_path):
    path = tmp_path / "worker.conf"
    write_settings(path, {**GOOD, "openrouter.base_url": '"http://example.com"', "openrouter.insecure_http": "true"})
    good = run("check", "--no-environment", "-c", path)
    assert good.returncode == 0
    assert "warning: " in good.err
    assert run("check", "--no-environment", "--deny-warnings", "-c", path).returncode == 78


def test_unknown_variable_is_warned_of_and_kubernetes_ones_are_not(settings):
    done = run("check", "--no-environment", "-c", settings, env=environment(
        CHAT_WORKER_KAFKA_TOPIC="x", CHAT_WORKER_SERVICE_HOST="10.0.0.1", CHAT_WORKER_PORT="tcp://10.0.0.1:9464",
        CHAT_WORKER_PORT_9464_TCP="tcp://10.0.0.1:9464"))
    assert done.returncode == 0
    assert done.err.count("warning") == 1
    assert "CHAT_WORKER_KAFKA_TOPIC in the environment" in done.err


def effective(*arguments, **variables):
    done = run("config", *arguments, env=environment(**variables))
    assert done.returncode == 0
    return dict(line.split(" = ", 1) for line in done.out.splitlines())


def test_config_shows_strongest_origin(settings):
    given = effective("-c", settings)
    assert given["kafka.group_id"] == f"tests  # {settings}:3"
    assert given["worker.threads"] == "2  # default"
    given = effective("-c", settings, CHAT_WORKER_KAFKA_GROUP_ID="env")
    assert given["kafka.group_id"] == "env  # CHAT_WORKER_KAFKA_GROUP_ID in the environment"
    given = effective("-c", settings, "--set", "kafka.group_id=flag", CHAT_WORKER_KAFKA_GROUP_ID="env")
    assert given["kafka.group_id"] == "flag  # --set"
    given = effective("-v", CHAT_WORKER_CONFIG=str(settings))
    assert given["log.level"] == "debug  # -v"
    assert given["chat.deadline_ms"].startswith("8000")


@pytest.mark.parametrize("form", ["text", "libconfig"])
def test_config_masks_secrets(settings, form):
    done = run("config", f"--format={form}", "-c", settings, "-X", f"sasl.password={CANARY}", "-X", "debug=all",
               "--set", f"openrouter.proxy=http://user:{CANARY}@proxy:1", "--set", f"openrouter.app_title=x {CANARY}")
    assert done.returncode == 0
    assert "sasl.password=****" in done.out
    assert "debug=all" in done.out
    assert "x ****" in done.out


def test_config_as_file_is_taken_again(settings, tmp_path):
    first = run("config", "--format=libconfig", "-c", settings, "--set", "chat.system_prompt=a \"b\"\n\\c")
    path = tmp_path / "again.conf"
    path.write_text(first.out)
    again = effective("-c", path)
    assert again["chat.system_prompt"].startswith('a \\"b\\"\\n\\\\c')
    assert again["kafka.group_id"].startswith("tests")


def test_config_schema_takes_good_and_refuses_bad():
    schema = json.loads(run("config", "--format=json-schema").out)
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    good = {"kafka": {"bootstrap_servers": "a:1", "properties": ["debug=all"]}, "fallback": {"texts": {"timeout": "x"}}}
    validator.validate(good)
    for bad in ({"kafka": {"group": "x"}}, {"worker": {"threads": 0}}, {"kafka": {"delivery": "maybe"}},
                {"nothing": {}}, {"openrouter": {"models": "a"}}):
        assert not validator.is_valid(bad)


@pytest.mark.parametrize(("arguments", "page"), [
    (["config", "--format=md"], "docs/configuration.md"),
    (["metrics", "--format=md"], "docs/metrics.md"),
])
def test_reference_page_is_what_the_program_prints(arguments, page):
    assert run(*arguments).out == (ROOT / page).read_text(), f"print it again: chat-worker {' '.join(arguments)} > {page}"


def test_reference_is_of_defaults_whatever_is_given(settings):
    assert run("config", "--format=md", "-c", settings, env=environment(CHAT_WORKER_LOG_LEVEL="x")).out == \
        run("config", "--format=md").out


def test_version_tells_libraries():
    told = json.loads(run("version", "--json").out)
    assert {"chat-worker", "librdkafka", "librdkafka-features", "libcurl"} <= set(told)
    assert f"chat-worker {told['chat-worker']}\n" in run("version").out
    assert run("--version").out == run("version").out


def test_help_goes_to_stdout():
    done = run("--help")
    assert done.returncode == 0
    assert "healthcheck" in done.out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_commands_and_settings(shell):
    done = run("completion", shell)
    assert done.returncode == 0
    assert "healthcheck" in done.out
    assert "kafka.bootstrap_servers=" in done.out


def test_output_that_cannot_be_written_fails():
    with open("/dev/full", "wb") as full:
        done = subprocess.run([PROGRAM, "metrics"], stdout=full, stderr=subprocess.DEVNULL, env=environment(),
                              timeout=LIMIT_S, check=False)
    assert done.returncode == 1


class ReadyHandler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        assert self.path == "/readyz"
        self.send_response(self.server.code)
        self.end_headers()
        self.wfile.write(b"some reason\n")

    def log_message(self, *_):
        pass


@pytest.mark.parametrize(("code", "exit_code"), [(200, 0), (503, 1), (404, 1)])
def test_healthcheck_follows_readyz(code, exit_code):
    with http.server.HTTPServer(("127.0.0.1", 0), ReadyHandler) as server:
        server.code = code
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        done = run("healthcheck", env=environment(CHAT_WORKER_ADMIN_LISTEN=f"0.0.0.0:{server.server_port}"))
        thread.join()
    assert done.returncode == exit_code
    assert ("some reason" in done.err) == (exit_code != 0)


def test_healthcheck_without_worker_fails():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: nobody else answers there
        done = run("healthcheck", "--set", f"admin.listen=127.0.0.1:{taken.getsockname()[1]}")
    assert done.returncode == 1
    assert "does not answer" in done.err


@pytest.mark.parametrize("address", ["nonsense", "::", "127.0.0.1:70000"])
def test_healthcheck_of_no_address_says_so(address):
    done = run("healthcheck", "--set", f"admin.listen={address}")
    assert done.returncode == 78
    assert "admin.listen: is not an address:port" in done.err
