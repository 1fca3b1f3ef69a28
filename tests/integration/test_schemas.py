"""The C code, the JSON Schemas and the golden vectors, held together; Python's msgpack and jsonschema are the judges.

Random parts print their seed; CHAT_WORKER_SEED repeats a run.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys

import jsonschema
import msgpack
import pytest
import wire_tool
import yaml
from wire_tool import JSON_TYPE, MSGPACK_TYPE, ROOT, Record

SCHEMAS = ROOT / "schemas"
VECTORS = SCHEMAS / "vectors"
INDEX = json.loads((VECTORS / "index.json").read_text())

# Rules that JSON Schema cannot say, or that concern bytes: what the schema accepts and the C code rejects.
BEYOND_THE_SCHEMA = {
    "decode.depth_33",
    "schema.key_with_nul",
    "schema.text_with_nul",
    "schema.unknown_keys_65",
    "bad_request.token_limits_in_conflict",
    "key.conversation_missing",
    "key.conversation_missing_key_empty",
    "key.conversation_missing_key_of_129_bytes",
}

MESSAGE_KEYS = [
    "role", "content", "name", "tool_call_id", "tool_calls", "refusal", "reasoning", "reasoning_details", "cache_control",
]
OWN_KEYS = {"request_id", "conversation_id", "messages", "deadline_ms", "model", "models", "temperature", "max_tokens",
            "max_completion_tokens", "provider"}
DROPPED_KEYS = {"stream", "n", "stream_options", "debug", "usage"}


def load(name: str) -> dict:
    return json.loads((SCHEMAS / name).read_text())


REQUEST_SCHEMA = load("chat_request.json")
OPTION_KEYS = set(REQUEST_SCHEMA["properties"]) - OWN_KEYS - DROPPED_KEYS


def validator(name: str) -> jsonschema.Draft7Validator:
    """Draft 7 would take 1.0 for an integer; the contract does not."""
    is_integer = lambda _, value: isinstance(value, int) and not isinstance(value, bool)  # noqa: E731
    types = jsonschema.Draft7Validator.TYPE_CHECKER.redefine("integer", is_integer)
    strict = jsonschema.validators.extend(jsonschema.Draft7Validator, type_checker=types)
    strict.check_schema(load(name))
    return strict(load(name))


REQUEST = validator("chat_request.json")
RESPONSE = validator("chat_response.json")
DEAD_LETTER = validator("dead_letter_headers.json")


def seed() -> int:
    number = int(os.environ.get("CHAT_WORKER_SEED") or random.SystemRandom().randrange(2**32))
    print(f"CHAT_WORKER_SEED={number}")
    return number


def decode(value: bytes, content_type: str | None):
    """What Python makes of a value; an exception when it can make nothing of it."""
    if value[:1] == b"{" or (content_type or "").strip().lower().startswith(JSON_TYPE):
        return json.loads(value.decode("utf-8"), parse_constant=lambda word: pytest.fail(word))
    return msgpack.unpackb(value, raw=False, strict_map_key=True)


def record_of(row: dict) -> Record:
    key = None if row["key"] is None else row["key"].encode()
    return Record((VECTORS / row["file"]).read_bytes(), row["content_type"], key)


@pytest.fixture(scope="module")
def verdicts() -> dict[str, dict]:
    """What the C code says of each request vector, by file."""
    rows = INDEX["requests"]
    return {row["file"]: verdict for row, verdict in zip(rows, wire_tool.read([record_of(row) for row in rows]))}


def reason_of(verdict: dict) -> str | None:
    assert verdict["verdict"] in ("accepted", "rejected")
    return verdict["reason"] if verdict["verdict"] == "rejected" else None


def by_id(row: dict) -> str:
    return row["file"]


def test_vectors_made_again_are_the_same():
    done = subprocess.run([sys.executable, VECTORS / "make.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("row", INDEX["requests"], ids=by_id)
def test_request_vector_gets_its_verdict(row, verdicts):
    verdict = verdicts[row["file"]]
    assert reason_of(verdict) == row["reason"], verdict.get("detail")


TWINS = [row for row in INDEX["requests"] if row["name"] in
         {name for name in (r["name"] for r in INDEX["requests"]) if
          sum(r["name"] == name for r in INDEX["requests"]) == 2}]


@pytest.mark.parametrize("row", TWINS, ids=by_id)
def test_request_vector_and_schema_agree(row):
    value = decode((VECTORS / row["file"]).read_bytes(), row["content_type"])
    expected = row["reason"] is None or row["name"] in BEYOND_THE_SCHEMA
    assert REQUEST.is_valid(value) == expected, [e.message for e in REQUEST.iter_errors(value)]


def known(message: dict) -> dict:
    """What of a message is passed on."""
    return {k: v for k, v in message.items() if k in MESSAGE_KEYS and (v is not None or k == "content")}


def given(value: dict, keys: set[str]) -> dict:
    return {k: v for k, v in value.items() if k in keys and v is not None}


def check_accepted(value: dict, record: Record, verdict: dict) -> None:
    """What the C code passes on is what Python reads, no more and no less."""
    request = verdict["request"]
    assert bytes.fromhex(verdict["request_id"]).decode() == value["request_id"]
    conversation = value.get("conversation_id") or (record.key or b"").decode()
    assert bytes.fromhex(verdict["conversation_id"]).decode() == conversation
    # Only a JSON message that needs no change keeps its nulls; there are none then but that of content.
    assert [message["json"] for message in request["messages"]] == [known(m) for m in value["messages"]]
    for key in ("temperature", "max_tokens", "max_completion_tokens", "provider", "model"):
        assert request.get(key) == value.get(key), key
    assert request["models"] == (value.get("models") or [])
    assert request["deadline_ms"] == (value.get("deadline_ms") or 0)
    assert request["options"] == given(value, OPTION_KEYS)
    unknown = len(set(value) - OWN_KEYS - DROPPED_KEYS - OPTION_KEYS)
    unknown += sum(len(set(message) - set(MESSAGE_KEYS)) for message in value["messages"])
    assert request["unknown_fields"] == unknown


@pytest.mark.parametrize("row", [r for r in INDEX["requests"] if r["reason"] is None], ids=by_id)
def test_accepted_vector_is_passed_on_whole(row, verdicts):
    record = record_of(row)
    check_accepted(decode(record.value, record.content_type), record, verdicts[row["file"]])


def test_twins_come_out_alike(verdicts):
    by_name: dict[str, list[dict]] = {}
    for row in TWINS:
        by_name.setdefault(row["name"], []).append(verdicts[row["file"]])
    for name, (one, other) in by_name.items():
        assert one["verdict"] == other["verdict"], name
        assert one.get("request") == other.get("request"), name
        # How deep or how large something is, is said in the words of the coding.
        if one.get("reason") == "schema":
            assert one["detail"] == other["detail"], name


def test_detail_names_rule_and_never_quotes(verdicts):
    secret = "Xq7secretXq7"
    requests = [
        {"request_id": "r", "messages": [{"role": secret, "content": "x"}]},
        {"request_id": "r", "messages": [{"role": "user", "content": [{"type": "text", secret: 1}]}]},
        {"request_id": secret * 20, "messages": [{"role": "user", "content": "x"}]},
        {"request_id": "r", "stream": True, secret: secret, "messages": [{"role": "user", "content": secret}]},
        {"request_id": "r", "temperature": secret, "messages": [{"role": "user", "content": secret}]},
        {"request_id": "r", "model": [secret], "messages": [{"role": "user", "content": secret}]},
    ]
    for verdict in wire_tool.read([Record(msgpack.packb(r)) for r in requests]):
        assert verdict["verdict"] == "rejected"
        assert secret not in verdict["detail"]
        assert len(verdict["detail"].encode()) <= 512
    for verdict in verdicts.values():
        if verdict["verdict"] == "rejected":
            assert re.fullmatch(r"[ -~]+\.", verdict["detail"])


def check_reply(verdict: dict) -> None:
    body = wire_tool.body_of(verdict["reply"])
    RESPONSE.validate(body)
    headers = wire_tool.headers_of(verdict["reply"])
    rejected = verdict["verdict"] == "rejected"
    assert headers["content-type"] == (JSON_TYPE if verdict["coding"] == "json" else MSGPACK_TYPE)
    assert headers["chat-outcome"] == body["outcome"] == ("rejected" if rejected else "answered")
    assert headers.get("chat-error") == (verdict["reason"] if rejected else None)
    assert verdict["reply"]["key"] == verdict["conversation_id"]
    if verdict["request_id"] is not None:
        assert body["request_id"] == bytes.fromhex(verdict["request_id"]).decode()
    if rejected:
        assert body["error"]["message"] == verdict["detail"]


def check_dead_letter(record: Record, verdict: dict) -> None:
    if verdict["verdict"] == "accepted":
        return
    letter = verdict["dead_letter"]
    DEAD_LETTER.validate(wire_tool.headers_of(letter))
    assert letter["value"] == (None if record.value is None else record.value.hex())
    assert letter["key"] == (None if record.key is None else record.key.hex())


@pytest.mark.parametrize("row", INDEX["requests"], ids=by_id)
def test_request_vector_gets_a_valid_reply(row, verdicts):
    check_reply(verdicts[row["file"]])
    check_dead_letter(record_of(row), verdicts[row["file"]])


def test_tombstone_is_rejected_with_a_reply():
    record = Record(None)
    verdict = wire_tool.read([record])[0]
    assert reason_of(verdict) == "decode"
    check_reply(verdict)
    check_dead_letter(record, verdict)


def test_reply_echoes_headers():
    echoed = [(b"correlation-id", b"\xff\x00raw"), (b"kafka_correlationId", bytes(16)), (b"kafka_replyTopic", b"t"),
              (b"kafka_replyPartition", b"\0\0\0\1"), (b"chat-replay-id", b"x")]
    verdict = wire_tool.read([Record(b"\xc0", headers=echoed)])[0]
    came_back = {bytes.fromhex(name): bytes.fromhex(value) for name, value in verdict["reply"]["headers"]}
    for name, value in echoed:
        assert came_back[name] == value


def test_replies_fit_the_schema_in_both_codings():
    rows = wire_tool.replies()
    words = {"": {}}
    for row in rows:
        body = wire_tool.body_of(row["reply"])
        RESPONSE.validate(body)
        assert row["reason"] == ("" if body["error"] is None else body["error"]["reason"])
        body["error"] = body["error"] and {k: v for k, v in body["error"].items() if k != "http_status"}
        words.setdefault(row["reason"], {})[row["coding"]] = body
    for both in words.values():
        assert both["json"] == both["msgpack"]
    definitions = load("chat_response.json")["definitions"]
    listed = definitions["rejected_reason"]["enum"] + definitions["fallback_reason"]["enum"]
    assert set(words) - {""} == set(listed) == set(load("dead_letter_headers.json")["properties"]["dlq-reason"]["enum"])
    assert len(rows) == 2 * len(listed) + 2


@pytest.mark.parametrize("row", INDEX["responses"], ids=by_id)
def test_response_vector_fits_the_schema(row):
    RESPONSE.validate(decode((VECTORS / row["file"]).read_bytes(), row["content_type"]))


@pytest.mark.parametrize("change", [
    {"outcome": "maybe"}, {"error": None}, {"attempts": -1}, {"message": None}, {"model": "m"}, {"source": {}},
    {"error": {"reason": "timeout", "message": "x", "retryable": True}}, {"timing": {"received_ms": 1}},
])
def test_response_schema_rejects_what_is_no_reply(change):
    body = json.loads((VECTORS / "response/rejected.json").read_text())
    RESPONSE.validate(body)
    assert not RESPONSE.is_valid(body | change)


def test_every_prefix_of_a_valid_request_is_rejected():
    rows = [row for row in INDEX["requests"] if row["name"].startswith("valid.")]
    records = []
    for row in rows:
        whole = record_of(row)
        if len(whole.value) > 3000:
            continue
        end = len(whole.value.rstrip()) if row["file"].endswith(".json") else len(whole.value)
        records += [Record(whole.value[:size], whole.content_type, whole.key) for size in range(end)]
    assert len(records) > 5000
    for record, verdict in zip(records, wire_tool.read(records)):
        assert reason_of(verdict) == "decode", record.value


def mutated(rng: random.Random, value: bytes) -> bytes:
    """A few bytes changed, taken out, put in, or a stretch of another place."""
    data = bytearray(value)
    for _ in range(rng.randrange(1, 5)):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(4)
        if kind == 0 and data:
            data[at % len(data)] = rng.randrange(256)
        elif kind == 1:
            del data[at:at + rng.randrange(1, 5)]
        elif kind == 2:
            data[at:at] = rng.randbytes(rng.randrange(1, 5))
        elif data:
            start = rng.randrange(len(data))
            data[at:at] = data[start:start + rng.randrange(1, 20)]
    return bytes(data)


def test_mutated_records_get_one_verdict_each():
    rng = random.Random(seed())
    good = [record_of(row) for row in INDEX["requests"] if row["name"].startswith(("valid.", "key."))]
    good = [record for record in good if len(record.value) < 3000]
    records = [Record(rng.randbytes(rng.randrange(60)), rng.choice([MSGPACK_TYPE, JSON_TYPE, None])) for _ in range(500)]
    for _ in range(3000):
        whole = rng.choice(good)
        records.append(Record(mutated(rng, whole.value), whole.content_type, whole.key))
    for record, verdict in zip(records, wire_tool.read(records)):
        check_reply(verdict)
        check_dead_letter(record, verdict)
        if verdict["verdict"] == "accepted":
            # What is accepted, Python can read, and reads the same out of it.
            value = decode(record.value, record.content_type)
            assert REQUEST.is_valid(value), record.value
            check_accepted(value, record, verdict)


ODD_VALUES = [None, True, False, 0, 1, -1, 2, 3, 0.5, 1.5, -2.5, 2**31, 2**63, "", "x", "text", [], [1], ["x"], [{}], {},
              {"x": 1}, [[]], [{"type": "text", "text": "x"}], [{"type": "text"}], ["a", "b", "c", "d", "e"]]


def random_message(rng: random.Random) -> object:
    message: dict[str, object] = {"role": rng.choice(["system", "developer", "user", "assistant", "tool"]), "content": "x"}
    if message["role"] == "tool":
        message["tool_call_id"] = "call-1"
    for _ in range(rng.choice([0, 0, 1, 2])):
        message[rng.choice([*MESSAGE_KEYS, "other"])] = rng.choice(ODD_VALUES)
    if rng.random() < 0.1:
        message.pop(rng.choice(list(message)))
    return message if rng.random() < 0.98 else rng.choice(ODD_VALUES)


def random_request(rng: random.Random) -> dict:
    request: dict[str, object] = {
        "request_id": "r-1",
        "conversation_id": "c-1",
        "messages": [random_message(rng) for _ in range(rng.choice([1, 1, 2, 4]))],
    }
    for _ in range(rng.choice([0, 0, 1, 1, 2])):
        request[rng.choice(sorted(REQUEST_SCHEMA["properties"]))] = rng.choice(ODD_VALUES)
    return request


def contradicts(value: dict) -> bool:
    limits = [value.get("max_tokens"), value.get("max_completion_tokens")]
    return None not in limits and limits[0] != limits[1]


def test_random_requests_are_accepted_exactly_when_the_schema_accepts_them():
    rng = random.Random(seed())
    values = [random_request(rng) for _ in range(2500)]
    accepted = 0
    for content_type, code in ((MSGPACK_TYPE, msgpack.packb), (JSON_TYPE, lambda v: json.dumps(v).encode())):
        records = [Record(code(value), content_type) for value in values]
        for value, record, verdict in zip(values, records, wire_tool.read(records)):
            expected = REQUEST.is_valid(value) and not contradicts(value)
            assert (verdict["verdict"] == "accepted") == expected, (value, verdict.get("detail"))
            check_reply(verdict)
            if expected:
                accepted += 1
                check_accepted(value, record, verdict)
    assert 500 < accepted < 4500


def test_json_is_passed_on_byte_for_byte():
    messages = '[{ "role":"user","content":"a\\u00e9\\/\\n" ,"name" : "n"},{"content":null,"tool_calls":[{"x":1.0e0}],"role":"assistant"}]'
    text = '{"request_id":"r","messages":' + messages + ',"provider":{ "a" : 1.50 },"temperature":0.70}'
    done = subprocess.run([wire_tool.tool_path(), "read"], input=Record(text.encode(), JSON_TYPE).frame(),
                          capture_output=True, check=True)
    for piece in ('{ "role":"user","content":"a\\u00e9\\/\\n" ,"name" : "n"}', '{"x":1.0e0}', '{ "a" : 1.50 }', "0.70"):
        assert piece.encode() in done.stdout


def references(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if "$ref" in node else []
        return own + [ref for value in node.values() for ref in references(value)]
    return [ref for value in node for ref in references(value)] if isinstance(node, list) else []


def resolve(document: dict, pointer: str) -> object:
    for step in pointer.lstrip("#/").split("/"):
        document = document[step.replace("~1", "/").replace("~0", "~")]
    return document


def test_asyncapi_document_names_what_is_there():
    document = yaml.safe_load((SCHEMAS / "asyncapi.yaml").read_text())
    assert document["asyncapi"].startswith("3.")
    found = references(document)
    assert found
    for reference in found:
        if reference.startswith("#"):
            assert resolve(document, reference)
        else:
            assert load(reference.removeprefix("./"))
    addresses = {channel["address"] for channel in document["channels"].values()}
    assert addresses == {"chat.requests", "chat.responses", "chat.requests.dlq"}
    reply_headers = document["components"]["messages"]["response"]["headers"]["properties"]
    made = set()
    for row in wire_tool.replies():
        made |= set(wire_tool.headers_of(row["reply"]))
    assert made <= set(reply_headers)


def test_readme_has_every_field_and_every_reason():
    text = (SCHEMAS / "README.md").read_text()
    names = [*REQUEST_SCHEMA["properties"], *MESSAGE_KEYS, *load("chat_response.json")["properties"],
             *load("dead_letter_headers.json")["properties"], *load("dead_letter_headers.json")["properties"]["dlq-reason"]["enum"]]
    assert [name for name in names if f"`{name}`" not in text] == []
