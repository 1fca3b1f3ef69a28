"""The bodies that go to the model service, judged by Python's json: random requests in both codings.

Random parts print their seed; CHAT_WORKER_SEED repeats a run.
"""

from __future__ import annotations

import json
import os
import random
import subprocess

import msgpack
import pytest
from wire_tool import tool_path

OPTION_KEYS = [
    "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty", "repetition_penalty", "seed", "stop", "logit_bias",
    "tools", "tool_choice", "parallel_tool_calls", "response_format", "reasoning", "reasoning_effort", "verbosity", "plugins",
    "user", "metadata", "session_id", "service_tier", "prompt_cache_key",
]
TEXTS = ["", "Hi", 'quotes " and \\', "line\nand\ttab\r", "\x01\x1f\x7f", "Grüße", "日本", "\U0001f600", "\u2028</script>"]


def bodies(requests: list[bytes], system_prompt: str = "", messages_max: int | None = None) -> list[bytes | str]:
    tool = tool_path().with_name("body_tool")
    limit = [] if messages_max is None else [str(messages_max)]
    stdin = "".join(request.hex() + "\n" for request in requests)
    done = subprocess.run([tool, system_prompt, *limit], input=stdin, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    lines = done.stdout.splitlines()
    assert len(lines) == len(requests)
    return [line if line.startswith("rejected") else bytes.fromhex(line) for line in lines]


def no_repeats(pairs: list[tuple[str, object]]) -> dict:
    assert len({key for key, _ in pairs}) == len(pairs), f"a key twice in {[key for key, _ in pairs]}"
    return dict(pairs)


def parse(body: bytes | str) -> dict:
    assert isinstance(body, bytes), body
    return json.loads(body.decode("utf-8", errors="strict"), object_pairs_hook=no_repeats)


@pytest.fixture(scope="module")
def chance() -> random.Random:
    seed = int(os.environ.get("CHAT_WORKER_SEED", random.randrange(1 << 32)))
    print(f"CHAT_WORKER_SEED={seed}")
    return random.Random(seed)


def random_options(chance: random.Random) -> dict:
    values = {
        "top_p": 0.25, "top_k": 40, "min_p": 0.5, "frequency_penalty": -1.5, "presence_penalty": 2, "repetition_penalty": 1.0,
        "seed": 2**53 + 1, "stop": ["a", "\n\n"], "logit_bias": {"50256": -100}, "tool_choice": "auto",
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "x": [1, None, True, {}]}}}],
        "parallel_tool_calls": False, "response_format": {"type": "json_object"}, "reasoning": {"effort": "low"},
        "reasoning_effort": "low", "verbosity": "low", "plugins": [{"id": "web"}], "user": chance.choice(TEXTS[1:]),
        "metadata": {"k": chance.choice(TEXTS)}, "session_id": "s", "service_tier": "auto", "prompt_cache_key": "k",
    }
    assert list(values) != [] and set(values) == set(OPTION_KEYS)
    chosen = [key for key in OPTION_KEYS if chance.random() < 0.3]
    chance.shuffle(chosen)
    return {key: values[key] for key in chosen}


def random_request(chance: random.Random, number: int) -> dict:
    messages = [{"role": "user", "content": chance.choice(TEXTS[1:])} for _ in range(chance.randint(1, 4))]
    if chance.random() < 0.3:
        messages.insert(0, {"role": chance.choice(["system", "developer"]), "content": chance.choice(TEXTS[1:])})
    if chance.random() < 0.3:
        call = {"id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"q":"é"}'}}
        messages += [{"role": "assistant", "content": None, "tool_calls": [call]},
                     {"role": "tool", "tool_call_id": "t1", "content": [{"type": "text", "text": chance.choice(TEXTS[1:])}]}]
    request: dict = {"request_id": f"r-{number}", "messages": messages, **random_options(chance)}
    if chance.random() < 0.5:
        request["model"] = "some/model:free"
    if chance.random() < 0.5:
        request["temperature"] = chance.choice([0, 0.0, 1, 1.75])
    if chance.random() < 0.5:
        request["provider"] = {"sort": "latency"}
    limit = chance.choice([None, "max_tokens", "max_completion_tokens"])
    if limit is not None:
        request[limit] = chance.randint(1, 4096)
    return request


def expected_body(request: dict, system_prompt: str) -> dict:
    messages = list(request["messages"])
    if system_prompt and not any(message["role"] in ("system", "developer") for message in messages):
        messages.insert(0, {"role": "system", "content": system_prompt})
    body = {"model": request.get("model", "default/model"), "messages": messages, "stream": True,
            "temperature": request.get("temperature", 0.5)}
    if "max_completion_tokens" in request:
        body["max_completion_tokens"] = request["max_completion_tokens"]
    else:
        body["max_tokens"] = request.get("max_tokens", 600)
    body |= {key: request[key] for key in ["provider", *OPTION_KEYS] if key in request}
    return body


def test_random_requests_in_both_codings_give_the_body_that_was_meant(chance: random.Random) -> None:
    requests = [random_request(chance, number) for number in range(400)]
    system_prompt = 'Be "kind"\n\\ é \U0001f600'
    from_json = bodies([json.dumps(request).encode() for request in requests], system_prompt)
    from_msgpack = bodies([msgpack.packb(request) for request in requests], system_prompt)
    for request, left, right in zip(requests, from_json, from_msgpack, strict=True):
        meant = expected_body(request, system_prompt)
        assert parse(left) == meant
        assert parse(right) == meant
        assert type(parse(left)["stream"]) is bool


def test_order_of_keys_does_not_depend_on_the_request(chance: random.Random) -> None:
    for number in range(50):
        request = random_request(chance, number)
        shuffled = list(request.items())
        chance.shuffle(shuffled)
        one, two = bodies([json.dumps(request).encode(), json.dumps(dict(shuffled)).encode()])
        assert one == two
        fixed = ["model", "messages", "stream", "temperature"]
        assert list(parse(one))[: len(fixed)] == fixed


def test_long_history_is_trimmed_to_whole_turns() -> None:
    messages = [{"role": "system", "content": "s"}]
    for turn in range(10):
        messages += [{"role": "user", "content": f"q{turn}"}, {"role": "assistant", "content": f"a{turn}"}]
    messages.append({"role": "user", "content": "last"})
    [body] = bodies([json.dumps({"request_id": "r", "messages": messages}).encode()], messages_max=6)
    assert [message["content"] for message in parse(body)["messages"]] == ["s", "q8", "a8", "q9", "a9", "last"]
