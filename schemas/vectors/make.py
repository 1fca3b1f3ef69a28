#!/usr/bin/env python3
"""Makes the golden vectors of the wire: requests, good and bad, and replies, each as msgpack and as JSON.

    make.py            writes request/, response/ and index.json beside this file
    make.py --check    exits 1 when what is there differs from what would be written

Needs Python's msgpack, which is the judge here: the C code has no part in making these files. index.json says for
each vector which files it has, with which key and content type it is sent, and what has to come of it.
"""
import json
import pathlib
import struct
import sys

import msgpack

HERE = pathlib.Path(__file__).resolve().parent
MSGPACK_TYPE = "application/vnd.msgpack"
JSON_TYPE = "application/json"


def pack(value):
    return msgpack.packb(value, use_bin_type=True)


def text(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def chat(**fields):
    """The smallest good request, with fields on top; a field of ... is left out."""
    request = {"request_id": "r-1", "conversation_id": "c-1", "messages": [{"role": "user", "content": "Hello"}]}
    request.update(fields)
    return {key: value for key, value in request.items() if value is not ...}


def said(*messages):
    return chat(messages=list(messages))


def user(content="Hello", **fields):
    return {"role": "user", "content": content, **fields}


def assistant(content, **fields):
    return {"role": "assistant", "content": content, **fields}


def tool(content="42", **fields):
    return {"role": "tool", "content": content, **fields}


CALL = {"id": "call-1", "type": "function", "function": {"name": "lookup", "arguments": '{"q":"x"}'}}
TOOL = {"type": "function", "function": {"name": "lookup", "parameters": {"type": "object", "properties": {}}}}


def nested(depth):
    """A value that is nested `depth` levels deep."""
    value = []
    for _ in range(depth - 1):
        value = [value]
    return value


# name: request
VALID = {
    "minimal": chat(),
    "null_means_not_given": chat(
        model=None, models=None, temperature=None, deadline_ms=None, stop=None, tools=None, stream=None, n=None,
        stream_options=None, debug=None, provider=None),
    "everything": chat(
        deadline_ms=1700000010000, model="vendor/model:free", models=["vendor/a", "vendor/b", "vendor/c"],
        temperature=0.7, top_p=0.95, top_k=40, min_p=0.05, frequency_penalty=-0.5, presence_penalty=1.5,
        repetition_penalty=1.1, seed=-7, stop=["END", "\n\n"], logit_bias={"50256": -100}, max_tokens=500,
        tools=[TOOL], tool_choice={"type": "function", "function": {"name": "lookup"}}, parallel_tool_calls=False,
        response_format={"type": "json_object"}, reasoning={"effort": "low"}, verbosity="low",
        provider={"sort": "latency", "max_price": {"prompt": 1.5}}, plugins=[{"id": "web"}], user="u-1",
        metadata={"team": "support"}, session_id="s-1", service_tier="default", prompt_cache_key="k-1", stream=False,
        n=1, usage={"include": True}),
    "sampling_at_the_edges": chat(
        temperature=2, top_p=0, top_k=0, min_p=1, frequency_penalty=-2, presence_penalty=2, repetition_penalty=0,
        seed=2**63 - 1, stop="END", max_completion_tokens=1),
    "sampling_at_the_other_edges": chat(
        temperature=0, top_p=1, min_p=0, frequency_penalty=2, presence_penalty=-2, repetition_penalty=2,
        seed=-2**63, stop=["a", "b", "c", "d"], max_tokens=2**31 - 1),
    "both_token_limits_alike": chat(max_tokens=100, max_completion_tokens=100),
    "tool_choice_text": chat(tools=[TOOL], tool_choice="auto", parallel_tool_calls=True),
    "system_and_developer": said({"role": "system", "content": "Be brief."}, {"role": "developer", "content": "x"}, user()),
    "content_parts": said(user([
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}}])),
    "text_part_that_is_empty": said(user([{"type": "text", "text": ""}])),
    "tool_round": said(
        user("Look it up"), assistant(None, tool_calls=[CALL]), tool(tool_call_id="call-1"), assistant("It is 42."),
        user("Thanks")),
    "tool_call_without_content": said(user(), {"role": "assistant", "tool_calls": [CALL]}, tool(tool_call_id="call-1")),
    "tool_result_empty": said(user(), assistant("", tool_calls=[CALL]), tool("", tool_call_id="call-1"), user()),
    "history_as_it_came": said(
        user(name="ann"),
        assistant("Yes", refusal=None, reasoning="because", reasoning_details=[{"type": "reasoning.text", "text": "b"}]),
        user([{"type": "text", "text": "Go on", "cache_control": {"type": "ephemeral"}}], cache_control={"type": "ephemeral"}),
        assistant(None, refusal="I cannot."), user("Then something else")),
    "assistant_last": said(user(), assistant("Once upon a")),
    "unknown_fields": chat(
        future={"deep": [1, 2.5, None, True]}, other=[{}], messages=[user(annotations=[], images=[1])]),
    "escapes_and_unicode": chat(
        request_id="r-\"\\/", messages=[user('Grüße \U0001f600 "quoted" \\ \n\t\r\x01\x1f\x7f   end')]),
    "numbers": chat(provider={
        "int": [0, 1, -1, 127, 128, -32, -33, -128, -129, 255, 256, 65535, 65536, -32768, -32769, 2**31, 2**32 - 1, 2**32,
                -2**31 - 1, 2**63 - 1, -2**63, 2**64 - 1],
        "float": [0.5, -0.0, 1e100, 1e-7, 0.1, 123456.789, 5e-324, 1.7976931348623157e308]}),
    "long_values": chat(messages=[user("x" * 70000), user("y" * 300), user("z" * 40)], metadata={"k" * 300: "v"}),
    "id_of_128_bytes": chat(request_id="r" * 128, conversation_id="c" * 128),
    "messages_512": chat(messages=[user(str(i)) for i in range(512)]),
    "depth_32": chat(future=nested(31)),
    "unknown_keys_64": chat(**{f"x{i}": i for i in range(64)}),
}

# reason: {name: request}
INVALID = {
    "decode": {
        "depth_33": chat(future=nested(32)),
    },
    "schema": {
        "request_id_missing": chat(request_id=...),
        "request_id_null": chat(request_id=None),
        "request_id_empty": chat(request_id=""),
        "request_id_number": chat(request_id=17),
        "request_id_of_129_bytes": chat(request_id="r" * 129),
        "conversation_id_empty": chat(conversation_id=""),
        "conversation_id_number": chat(conversation_id=1),
        "conversation_id_of_129_bytes": chat(conversation_id="c" * 129),
        "messages_missing": chat(messages=...),
        "messages_null": chat(messages=None),
        "messages_empty": chat(messages=[]),
        "messages_text": chat(messages="Hello"),
        "messages_map": chat(messages={"role": "user", "content": "x"}),
        "messages_513": chat(messages=[user(str(i)) for i in range(513)]),
        "message_text": chat(messages=["Hello"]),
        "message_null": chat(messages=[None]),
        "role_missing": said({"content": "x"}),
        "role_unknown": said({"role": "robot", "content": "x"}),
        "role_upper_case": said({"role": "User", "content": "x"}),
        "role_number": said({"role": 1, "content": "x"}),
        "content_missing": said({"role": "user"}),
        "content_null_for_user": said(user(None)),
        "content_null_for_tool": said(user(), tool(None, tool_call_id="call-1")),
        "content_null_without_tool_calls": said(assistant(None), user()),
        "content_null_with_empty_tool_calls": said(assistant(None, tool_calls=[]), user()),
        "content_empty": said(user("")),
        "content_empty_for_system": said({"role": "system", "content": ""}, user()),
        "content_parts_empty": said(user([])),
        "content_number": said(user(7)),
        "content_map": said(user({"type": "text", "text": "x"})),
        "part_text": said(user(["x"])),
        "part_without_type": said(user([{"text": "x"}])),
        "part_type_empty": said(user([{"type": "", "text": "x"}])),
        "part_type_number": said(user([{"type": 1}])),
        "part_text_missing": said(user([{"type": "text"}])),
        "part_text_number": said(user([{"type": "text", "text": 1}])),
        "name_number": said(user(name=1)),
        "tool_call_id_number": said(user(), tool(tool_call_id=1)),
        "tool_call_id_empty": said(user(), tool(tool_call_id="")),
        "tool_calls_map": said(assistant("x", tool_calls={}), user()),
        "tool_calls_of_text": said(assistant("x", tool_calls=["x"]), user()),
        "refusal_number": said(assistant("x", refusal=1), user()),
        "reasoning_map": said(assistant("x", reasoning={}), user()),
        "reasoning_details_text": said(assistant("x", reasoning_details="x"), user()),
        "cache_control_text": said(user(cache_control="ephemeral")),
        "deadline_text": chat(deadline_ms="soon"),
        "deadline_float": chat(deadline_ms=1700000010000.5),
        "deadline_zero": chat(deadline_ms=0),
        "deadline_negative": chat(deadline_ms=-1),
        "deadline_too_large": chat(deadline_ms=2**63),
        "model_empty": chat(model=""),
        "model_number": chat(model=4),
        "model_of_257_bytes": chat(model="m" * 257),
        "models_empty": chat(models=[]),
        "models_four": chat(models=["a", "b", "c", "d"]),
        "models_text": chat(models="vendor/a"),
        "models_of_numbers": chat(models=[1]),
        "models_item_empty": chat(models=[""]),
        "temperature_text": chat(temperature="hot"),
        "temperature_above_2": chat(temperature=2.01),
        "temperature_negative": chat(temperature=-0.1),
        "temperature_bool": chat(temperature=True),
        "top_p_above_1": chat(top_p=1.5),
        "top_k_float": chat(top_k=1.5),
        "top_k_negative": chat(top_k=-1),
        "min_p_negative": chat(min_p=-0.5),
        "frequency_penalty_above_2": chat(frequency_penalty=2.5),
        "presence_penalty_below_minus_2": chat(presence_penalty=-3),
        "repetition_penalty_above_2": chat(repetition_penalty=3),
        "seed_text": chat(seed="x"),
        "seed_too_large": chat(seed=2**63),
        "stop_empty": chat(stop=[]),
        "stop_five": chat(stop=["a", "b", "c", "d", "e"]),
        "stop_number": chat(stop=1),
        "stop_of_numbers": chat(stop=[1]),
        "logit_bias_array": chat(logit_bias=[]),
        "max_tokens_zero": chat(max_tokens=0),
        "max_tokens_float": chat(max_tokens=10.5),
        "max_tokens_too_large": chat(max_tokens=2**31),
        "max_completion_tokens_text": chat(max_completion_tokens="10"),
        "tools_map": chat(tools={}),
        "tools_of_text": chat(tools=["lookup"]),
        "tool_choice_array": chat(tool_choice=[]),
        "parallel_tool_calls_text": chat(parallel_tool_calls="yes"),
        "response_format_text": chat(response_format="json"),
        "reasoning_text": chat(reasoning="high"),
        "reasoning_effort_map": chat(reasoning_effort={}),
        "verbosity_number": chat(verbosity=1),
        "provider_text": chat(provider="latency"),
        "plugins_map": chat(plugins={}),
        "user_number": chat(user=1),
        "metadata_array": chat(metadata=[]),
        "session_id_number": chat(session_id=1),
        "service_tier_number": chat(service_tier=1),
        "prompt_cache_key_number": chat(prompt_cache_key=1),
        "stream_text": chat(stream="false"),
        "n_text": chat(n="1"),
        "n_float": chat(n=1.5),
        "unknown_keys_65": chat(**{f"x{i}": i for i in range(65)}),
        "text_with_nul": said(user("a\0b")),
        "key_with_nul": chat(**{"a\0b": 1}),
        "array_at_the_top": [chat()],
    },
    "bad_request": {
        "stream": chat(stream=True),
        "n_two": chat(n=2),
        "n_zero": chat(n=0),
        "stream_options": chat(stream_options={"include_usage": True}),
        "debug": chat(debug={}),
        "tool_without_tool_call_id": said(user(), tool()),
        "tool_call_id_null": said(user(), tool(tool_call_id=None)),
        "token_limits_in_conflict": chat(max_tokens=100, max_completion_tokens=101),
    },
}

GOOD = pack(chat())
GOOD_TEXT = text(chat())


def with_pair(request, pair):
    """A msgpack map of one pair more than the request has."""
    assert len(request) < 15
    return bytes([0x80 | (len(request) + 1)]) + pack(request)[1:] + pair


def with_text_pair(request, pair):
    return text(request)[:-1] + b"," + pair + b"}"


# name: (reason, bytes, coding)
RAW = {
    "empty": ("decode", b"", "msgpack"),
    "empty_json": ("decode", b"", "json"),
    "white_space": ("decode", b" \n", "json"),
    "cut_off": ("decode", GOOD[:-3], "msgpack"),
    "cut_off_json": ("decode", GOOD_TEXT[:-3], "json"),
    "trailing_byte": ("decode", GOOD + b"\xc0", "msgpack"),
    "trailing_byte_json": ("decode", GOOD_TEXT + b"x", "json"),
    "two_values_json": ("decode", GOOD_TEXT + GOOD_TEXT, "json"),
    "never_used_byte": ("decode", b"\xc1", "msgpack"),
    "prose": ("decode", b"Hello there", "msgpack"),
    "prose_json": ("decode", b"Hello there", "json"),
    "text_too_long": ("decode", b"\x81\xa1x\xdb\xff\xff\xff\xff", "msgpack"),
    "binary_too_long": ("decode", b"\x81\xa1x\xc6\xff\xff\xff\xf0abc", "msgpack"),
    "extension_too_long": ("decode", b"\x81\xa1x\xc9\xff\xff\xff\xff\x01", "msgpack"),
    "array_too_long": ("decode", b"\x81\xa1x\xdd\xff\xff\xff\xff\xc0", "msgpack"),
    "map_too_long": ("decode", b"\xdf\xff\xff\xff\xff\xa1x\xc0", "msgpack"),
    "arrays_declaring_much": ("decode", b"\xdd\x7f\xff\xff\xff" * 8, "msgpack"),
    "head_cut_off": ("decode", b"\x81\xa1x\xdb\x00\x00", "msgpack"),
    "nested_100000": ("decode", b"\x91" * 100000 + b"\xc0", "msgpack"),
    "nested_100000_json": ("decode", b"{\"x\":" + b"[" * 100000 + b"]" * 100000 + b"}", "json"),
    "nested_open_json": ("decode", b"[" * 100000, "json"),
    "trailing_comma_json": ("decode", GOOD_TEXT[:-1] + b",}", "json"),
    "comment_json": ("decode", b"{/**/" + GOOD_TEXT[1:], "json"),
    "single_quotes_json": ("decode", b"{'request_id':'r-1'}", "json"),
    "nan_json": ("decode", with_text_pair(chat(), b'"temperature":NaN'), "json"),
    "leading_zero_json": ("decode", with_text_pair(chat(), b'"top_k":01'), "json"),
    "control_character_json": ("decode", with_text_pair(chat(), b'"user":"a\x01b"'), "json"),
    "lone_surrogate_json": ("decode", with_text_pair(chat(), b'"user":"\\ud800"'), "json"),
    "bad_escape_json": ("decode", with_text_pair(chat(), b'"user":"\\x41"'), "json"),
    "msgpack_as_json": ("decode", GOOD, "json"),
    "number_at_the_top": ("schema", b"\x05", "msgpack"),
    "null_at_the_top": ("schema", b"\xc0", "msgpack"),
    "text_at_the_top_json": ("schema", b'"x"', "json"),
    "null_at_the_top_json": ("schema", b"null", "json"),
    "key_twice": ("schema", with_pair(chat(), pack("request_id") + pack("r-2")), "msgpack"),
    "key_twice_json": ("schema", with_text_pair(chat(), b'"request_id":"r-2"'), "json"),
    "key_twice_escaped_json": ("schema", with_text_pair(chat(), b'"request\\u005fid":"r-2"'), "json"),
    "null_key_twice": ("schema", with_pair(chat(model=None), pack("model") + pack("vendor/a")), "msgpack"),
    "unknown_key_twice": ("schema", with_pair(chat(x=1), pack("x") + pack(2)), "msgpack"),
    "unknown_key_twice_json": ("schema", with_text_pair(chat(x=1), b'"x":2'), "json"),
    "message_key_twice": (
        "schema", pack(chat(messages=...)).replace(b"\x82", b"\x83", 1) + pack("messages") + b"\x91\x83" +
        pack("role") + pack("user") + pack("content") + pack("a") + pack("content") + pack("b"), "msgpack"),
    "message_key_twice_json": (
        "schema", with_text_pair(chat(messages=...), b'"messages":[{"role":"user","content":"a","content":"b"}]'), "json"),
    "part_key_twice_json": (
        "schema", with_text_pair(chat(messages=...),
                                 b'"messages":[{"role":"user","content":[{"type":"text","text":"a","text":"b"}]}]'), "json"),
    "key_number": ("schema", with_pair(chat(), pack(7) + pack(1)), "msgpack"),
    "key_binary": ("schema", with_pair(chat(), pack(b"x") + pack(1)), "msgpack"),
    "key_number_deep": ("schema", pack(chat(provider={1: 2})), "msgpack"),
    "extension": ("schema", pack(chat(x=msgpack.ExtType(5, b"abc"))), "msgpack"),
    "timestamp": ("schema", pack(chat(x=msgpack.Timestamp(1, 2))), "msgpack"),
    "binary_as_id": ("schema", pack(chat(request_id=b"r-1")), "msgpack"),
    "binary_as_content": ("schema", pack(said(user(b"Hello"))), "msgpack"),
    "binary_in_option": ("schema", pack(chat(metadata={"x": [b"abc"]})), "msgpack"),
    "binary_in_provider": ("schema", pack(chat(provider={"x": b"abc"})), "msgpack"),
    "binary_in_part": ("schema", pack(said(user([{"type": "file", "file": b"abc"}]))), "msgpack"),
    "text_not_utf8": ("schema", GOOD.replace(b"Hello", b"Hel\xffo"), "msgpack"),
    "text_not_utf8_json": ("schema", GOOD_TEXT.replace(b"Hello", b"Hel\xffo"), "json"),
    "text_overlong_utf8": ("schema", GOOD.replace(b"Hello", b"H\xc0\x80lo"), "msgpack"),
    "text_surrogate_utf8": ("schema", GOOD.replace(b"Hello", b"\xed\xa0\x80lo"), "msgpack"),
    "nan": ("schema", with_pair(chat(), pack("temperature") + b"\xcb\x7f\xf8" + bytes(6)), "msgpack"),
    "infinity": ("schema", with_pair(chat(), pack("temperature") + b"\xca" + struct.pack(">f", float("inf"))), "msgpack"),
    "nan_in_unknown_field": ("schema", with_pair(chat(), pack("x") + b"\xca\x7f\xc0\x00\x00"), "msgpack"),
    "number_beyond_double_json": ("schema", with_text_pair(chat(), b'"temperature":1e999'), "json"),
    "too_large": ("too_large", pack(said(user("x" * (1024 * 1024)))), "msgpack"),
    "too_large_json": ("too_large", text(said(user("x" * (1024 * 1024)))), "json"),
}

# Good ones that only one coding can have.
RAW_VALID = {
    "binary_in_unknown_field": (pack(chat(x=b"\x00\xff")), "msgpack"),
    "float32": (with_pair(chat(), pack("temperature") + b"\xca" + struct.pack(">f", 0.5)), "msgpack"),
    "wide_heads": (
        b"\xdf\x00\x00\x00\x03\xda\x00\x0arequest_id\xdb\x00\x00\x00\x03r-1\xd9\x0fconversation_id\xd9\x03c-1"
        b"\xa8messages\xdd\x00\x00\x00\x01\xde\x00\x02\xa4role\xd9\x04user\xa7content\xda\x00\x05Hello", "msgpack"),
    "white_space": (b" \n{ \"request_id\" : \"r-1\" ,\r\n\t\"messages\" : [ { \"role\" : \"user\" , \"content\" : \"x\" } ] } \n",
                    "json"),
    "numbers_as_written": (with_text_pair(chat(), b'"temperature":0.70,"top_p":1.0e-1,"provider":{"x":1.000,"y":-0,"z":1E+2}'),
                           "json"),
    "escaped_keys_and_words": (
        b'{"\\u0072equest_id":"r\\u002d1","messages":[{"r\\u006fle":"us\\u0065r","content":"a\\u00e9\\ud83d\\ude00\\/"}]}', "json"),
}

# What decides the coding: name: (bytes, content type or None, reason or None)
CONTENT_TYPES = {
    "none": (GOOD, None, None),
    "blank": (GOOD, " ", None),
    "msgpack_old": (GOOD, "application/msgpack", None),
    "msgpack_older": (GOOD, "application/x-msgpack", None),
    "msgpack_upper_case": (GOOD, "Application/VND.MsgPack", None),
    "json_with_parameter": (GOOD_TEXT, 'application/json; charset="utf-8"', None),
    "json_in_front_of_white_space": (b" " + GOOD_TEXT, " application/json ;x=1", None),
    "json_without_header": (GOOD_TEXT, None, None),
    "json_called_msgpack": (GOOD_TEXT, MSGPACK_TYPE, None),
    "json_called_text": (GOOD_TEXT, "text/plain", None),
    "text": (GOOD, "text/plain", "unsupported_media_type"),
    "json_like": (GOOD, "application/json-seq", "unsupported_media_type"),
    "problem": (GOOD, "application/problem+json", "unsupported_media_type"),
    "prefix_only": (GOOD, "application/", "unsupported_media_type"),
}

# Keys: name: (request, key or None, reason or None)
KEYS = {
    "conversation_from_key": (chat(conversation_id=...), "c-from-key", None),
    "conversation_null_from_key": (chat(conversation_id=None), "c-from-key", None),
    "conversation_and_other_key": (chat(), "another", None),
    "conversation_missing": (chat(conversation_id=...), None, "schema"),
    "conversation_missing_key_empty": (chat(conversation_id=...), "", "schema"),
    "conversation_missing_key_of_129_bytes": (chat(conversation_id=...), "k" * 129, "schema"),
}


def reply(outcome, **fields):
    """A reply as tests/unit/test_chat_response.c asks the C code for."""
    answered = outcome == "answered"
    base = {
        "request_id": "r-1", "conversation_id": "c-1", "outcome": outcome,
        "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop" if answered else None,
        "model": "vendor/model" if answered else None, "provider": "Vendor" if answered else None,
        "generation_id": "gen-1" if answered else None, "usage": None, "error": None, "attempts": 1,
        "timing": {"received_ms": 1700000000000, "replied_ms": 1700000001234, "waited_ms": 5,
                   "upstream_ms": 1200 if answered else None, "first_token_ms": 300 if answered else None},
        "source": {"topic": "chat.requests", "partition": 3, "offset": 42},
    }
    base.update(fields)
    return base


def error(reason, message, retryable, **fields):
    return {"reason": reason, "message": message, "retryable": retryable, **fields}


RESPONSES = {
    "answered": reply("answered", usage={
        "prompt_tokens": 12, "completion_tokens": 34, "total_tokens": 46, "cost": 0.00012, "is_byok": False,
        "cost_details": {"upstream_inference_cost": None}, "x": [1, -1, 2.5, "é", {}, [], 4294967296, -129]}),
    "answered_in_full": reply("answered", finish_reason="tool_calls", message={
        "role": "assistant", "content": "Grüße \U0001f600 \"quoted\"\n", "tool_calls": [CALL], "refusal": "no",
        "reasoning": "because", "annotations": [{"type": "url_citation"}], "images": []}),
    "refused_by_the_model": reply("answered", message={
        "role": "assistant", "content": None, "refusal": "I cannot help with that."}),
    "fallback": reply(
        "fallback", attempts=3, error=error("rate_limited", "The model service limits the rate of requests.", True, http_status=429)),
    "rejected": reply(
        "rejected", attempts=0, request_id=None, conversation_id=None,
        error=error("decode", "There are bytes behind the msgpack value.", False)),
}


class Vectors:
    """The files to be, by their path, and the list of them."""

    def __init__(self):
        self.files = {}
        self.index = {"requests": [], "responses": []}

    def request(self, name, value, coding, reason, content_type=..., key=None):
        path = f"request/{name}.{'json' if coding == 'json' else 'msgpack'}"
        assert path not in self.files, path
        self.files[path] = value
        default = JSON_TYPE if coding == "json" else MSGPACK_TYPE
        self.index["requests"].append({
            "name": name, "file": path, "content_type": default if content_type is ... else content_type, "key": key,
            "reason": reason})

    def twins(self, name, request, reason, key=None):
        self.request(name, pack(request), "msgpack", reason, key=key)
        self.request(name, text(request), "json", reason, key=key)

    def response(self, name, value):
        for coding, code in (("msgpack", pack), ("json", text)):
            path = f"response/{name}.{coding}"
            self.files[path] = code(value)
            self.index["responses"].append({"name": name, "file": path, "content_type":
                                            JSON_TYPE if coding == "json" else MSGPACK_TYPE})


def make():
    vectors = Vectors()
    for name, request in VALID.items():
        vectors.twins(f"valid.{name}", request, None)
    for reason, requests in INVALID.items():
        for name, request in requests.items():
            vectors.twins(f"{reason}.{name}", request, reason)
    for name, (value, coding) in RAW_VALID.items():
        vectors.request(f"valid.{name}", value, coding, None, key="k-1")
    for name, (reason, value, coding) in RAW.items():
        vectors.request(f"{reason}.{name}", value, coding, reason)
    for name, (value, content_type, reason) in CONTENT_TYPES.items():
        coding = "json" if value.lstrip().startswith(b"{") else "msgpack"
        vectors.request(f"content_type.{name}", value, coding, reason, content_type=content_type)
    for name, (request, key, reason) in KEYS.items():
        vectors.twins(f"key.{name}", request, reason, key=key)
    for name, value in RESPONSES.items():
        vectors.response(name, value)
    listing = "".join(f'"{part}":[\n' + ",\n".join("  " + json.dumps(row) for row in rows) + "\n]" +
                      (",\n" if part == "requests" else "\n") for part, rows in vectors.index.items())
    vectors.files["index.json"] = ("{\n" + listing + "}\n").encode()
    return vectors.files


def on_disk():
    paths = [p for folder in ("request", "response") if (HERE / folder).is_dir() for p in (HERE / folder).iterdir()]
    paths.append(HERE / "index.json")
    return {p.relative_to(HERE).as_posix(): p.read_bytes() for p in paths if p.is_file()}


def main():
    wanted, there = make(), on_disk()
    if sys.argv[1:] == ["--check"]:
        wrong = sorted(p for p in wanted.keys() | there.keys() if wanted.get(p) != there.get(p))
        for path in wrong:
            print(f"differs: {path}")
        return 1 if wrong else 0
    for path in there.keys() - wanted.keys():
        (HERE / path).unlink()
    for path, value in wanted.items():
        (HERE / path).parent.mkdir(exist_ok=True)
        (HERE / path).write_bytes(value)
    print(f"{len(wanted)} files")
    return 0


if __name__ == "__main__":
    sys.exit(main())
