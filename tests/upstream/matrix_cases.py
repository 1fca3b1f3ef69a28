"""The rows of the matrix that both versions of HTTP have; tests/upstream/matrix_http.py has those of one of them."""

from __future__ import annotations

import dataclasses
import gzip
import json

from matrix_case import HEAVY, Case, answered, both, case, fallback, rejected, spread
from responses import (
    COMMENT,
    DONE,
    FINISH,
    GOOD,
    HOLD,
    LAST_USAGE,
    RESET,
    RETRY_AFTER,
    TEXT,
    Pause,
    Repeat,
    chunk,
    deltas,
    error,
    event,
    failing,
    interim,
    json_body,
    late,
    page,
    redirect,
    respond,
    silent,
    stream,
    trailers,
    typed,
    whole,
    word,
    words,
)  # fmt: skip

MIB = 1 << 20
PIECE = 16 * 1024
PIECES = 64 * MIB // PIECE


def clocks() -> list[Case]:
    too_late = fallback("timeout", (2, 3))
    return [
        *case("answers after 1 s", late(1000, GOOD), answered()),
        *case("answers after 2 s of white space", respond(Repeat(" ", 20, 100), json.dumps(whole())), answered()),
        *case("answers after 1 s of comments", respond(Repeat(COMMENT, 10, 100), stream()), answered()),
        *case("answers after 1 s of bare comments", respond(Repeat(": \n\n", 10, 100), stream()), answered()),
        *both("no header line", silent(), too_late),
        *both("headers, then nothing", respond(then=HOLD), too_late),
        *both("white space without end", respond(Repeat(" ", pause_ms=100)), too_late),
        *both("line ends without end", respond(Repeat("\n", pause_ms=100)), too_late),
        *both("comments without end", respond(Repeat(COMMENT, pause_ms=100)), too_late),
        *both("bare comments without end", respond(Repeat(": \n\n", pause_ms=100)), too_late),
        *both("empty deltas without end", respond(Repeat(word(""), pause_ms=100)), too_late),
        *both("stalls after some words", respond(*words()[:3], then=HOLD), too_late),
        *both("stalls in comments after some words", respond(*words()[:3], Repeat(COMMENT, pause_ms=100)), too_late),
        *both("stalls within a JSON body", respond(json.dumps(whole())[:60], then=HOLD), too_late),
        *case("a word a second, past the deadline", respond(Repeat(word("and "), pause_ms=1000)),
              fallback("timeout", 1)),
        *case("byte by byte", respond(*(Repeat(bytes([each]), 1, 1) for each in stream("Slowly.").encode())),
              answered(message={"content": "Slowly."})),
    ]  # fmt: skip


def cuts() -> list[Case]:
    broken = fallback("stream_broken", (3, 6))
    done = answered()
    return [
        *both("reset within the answer", respond(*words()[:5], then=RESET), broken),
        *both("reset after the headers", respond(then=RESET), broken),
        *both("reset before the headers", silent(then=RESET), broken, answered((2, 3))),
        *both("reset within a JSON body", respond(json.dumps(whole())[:80], then=RESET), broken),
        *case("reset after the finish reason", respond("".join(words()) + FINISH, Pause(50), then=RESET), done),
        *case("reset after [DONE]", respond(stream(), Pause(50), then=RESET), done),
        *both("a length that is not reached",
              respond(json.dumps(whole())[:80], headers=[("content-length", "5000")]),
              fallback(("stream_broken", "timeout"), 3)),
        *both("ends without finish reason and [DONE]", respond(*words()[:5]), fallback("stream_broken", 3)),
        *case("ends without [DONE]", respond(*words(), FINISH), done),
        *case("ends without finish reason", respond(*words(), DONE), done),
        *both("nothing but [DONE]", respond(DONE), fallback("empty_answer", 3)),
    ]  # fmt: skip


def errors_within() -> list[Case]:
    failed, limited = fallback("upstream_error", 3), fallback("rate_limited", 3)
    in_choice = {**whole(), "choices": [{**whole()["choices"][0], "finish_reason": "error", "error": {"code": 502}}]}
    part = event(chunk({"content": "SECRET-OF-THE-UPSTREAM"}, "error", error={"code": 502, "message": "no"}))
    late_error = {"id": "gen-matrix", "choices": [], **error(502)}
    return [
        *both("200 with an error, 502", json_body(error(502)), failed),
        *both("200 with an error, 429", json_body(error(429)), limited),
        *both("200 with an error, 503", json_body(error(503)), fallback("overloaded", 3)),
        *both("200 with an error, a word as code", json_body(error("server_error")), failed),
        *both("200 with an error, a number in quotes", json_body(error("429")), limited),
        *both("200 with an error without code", json_body(error(None)), failed),
        *both("200 with an error, 400", json_body(error(400)), rejected("bad_request"), rejected("bad_request")),
        *both("200 with white space, then an error", respond(Repeat(" ", 5, 50), json.dumps(error(502))), failed),
        *both("an error as first event", respond(event(error(502))), failed),
        *both("an error after some words", respond(*words()[:4], event(late_error), DONE), failed),
        *both("an error after some words, no finish", respond(*words()[:4], event({**late_error, "usage": {}})),
              failed),
        *both("an error in the choice, partial text", json_body(in_choice), failed),
        *both("an error in a chunk's choice", respond(*words()[:4], part), failed),
        *both("finish reason error", respond(*words()[:4], event(chunk({}, "error")), DONE), failed),
    ]  # fmt: skip


def types_of_errors() -> list[Case]:
    rows = {
        "rate_limit_exceeded": (429, fallback("rate_limited", 3), None),
        "provider_overloaded": (503, fallback("overloaded", 3), None),
        "provider_unavailable": (502, fallback("upstream_error", 3), None),
        "timeout": (408, fallback("timeout", 3), None),
        "unmapped": (500, fallback("upstream_error", 3), None),
        "context_length_exceeded": (400, rejected("context_length"), rejected("context_length")),
        "payload_too_large": (413, rejected("context_length"), rejected("context_length")),
        "max_tokens_exceeded": (400, fallback("empty_answer", 2), None),
        "invalid_prompt": (400, rejected("bad_request"), rejected("bad_request")),
        "permission_denied": (403, fallback("no_provider", 2), None),
        "not_found": (404, fallback("no_provider", 2), None),
        "content_policy_violation": (400, fallback("refused", 2), None),
        "refusal": (400, fallback("refused", 2), None),
        "of_the_future": (500, fallback("upstream_error", 3), None),
    }
    cases = [
        each
        for word_of, (status, always, once) in rows.items()
        for each in both(f"type {word_of}", json_body(typed(word_of, status), status), always, once)
    ]
    unavailable = {
        "model_not_found": (400, "model_unavailable"),
        "no_endpoints": (404, "no_provider"),
        "region_restricted": (403, "no_provider"),
    }
    for code, (status, reason) in unavailable.items():
        body = error(status, availability={"code": code, "retryable": False})
        cases += both(f"availability {code}", json_body(body, status), fallback(reason, 2))
    busy = error(503, availability={"code": "temporarily_unavailable", "retryable": True, "retry_after": 1})
    cases += both("availability, retry after 1 s", json_body(busy, 503), fallback("overloaded", 3),
                  answered(2, not_before_ms=1000, models="aa"))  # fmt: skip
    moderated = error(403, metadata={"reasons": ["x"], "flagged_input": "SECRET-OF-THE-UPSTREAM"})
    cases += both("moderation", json_body(moderated, 403), fallback("moderated", 2))
    guarded = error(403, metadata={"patterns": ["SECRET-OF-THE-UPSTREAM"]})
    cases += both("a guardrail", json_body(guarded, 403), fallback("moderated", 1), fallback("moderated", 1))
    return cases


def no_answers() -> list[Case]:
    empty, invalid = fallback("empty_answer", 3), fallback("upstream_invalid", 3)
    cases: list[Case] = []
    for name, body in {"[]": {"choices": []}, "missing": {"id": "gen-1"}, "null": {"choices": None}}.items():
        cases += both(f"choices {name}", json_body(body), empty)
        cases += both(f"choices {name} in a stream", respond(event(body), DONE), empty)
    for name, content in {"null": None, "blank": "", "white space": " \n\u2003"}.items():
        cases += both(f"content {name}", json_body(whole({"role": "assistant", "content": content})), empty)
        cases += both(f"content {name} in a stream", respond(deltas({"content": content})), empty)
    thoughts = respond(deltas({"reasoning": "Let me think."}, finish="length"))
    filtered = respond(deltas({"content": ""}, finish="content_filter"))
    return [
        *cases,
        *both("nothing but reasoning", thoughts, fallback("empty_answer", 2)),
        *both("content_filter without text", filtered, fallback("refused", 2)),
        *both("an HTML page", page("<html>Sorry!</html>"), invalid),
        *both("an HTML page as event stream", respond("<html>Sorry!</html>"), invalid),
        *both("an empty body", json_body_of(""), invalid),
        *both("only white space", json_body_of("  \n "), invalid),
        *both("JSON cut short, ended properly", json_body_of(json.dumps(whole())[:-20]), invalid),
        *both("a JSON list", json_body([whole()]), invalid),
        *both("a number", json_body(17), invalid),
        *both("choices of a wrong type", json_body({"choices": "all"}), invalid),
        *both("content of a wrong type", json_body(whole({"content": 17})), invalid),
        *both("an event that is not JSON", respond(word("Well "), event("{oops"), DONE), invalid),
        *both("invalid UTF-8", respond(b'data: {"choices":[{"delta":{"content":"\xff\xfe"}}]}\n\n', DONE), invalid),
        *both("JSON 100,000 levels deep", json_body_of("[" * 100_000 + "]" * 100_000), invalid),
        *both("an event 100,000 levels deep", respond("data: " + '{"a":' * 100_000 + "1" + "}" * 100_000 + "\n\n"),
              invalid),
        *both("gzip that nobody asked for", json_body_of(gzip.compress(json.dumps(whole()).encode()), "gzip"), invalid),
    ]  # fmt: skip


def json_body_of(text: str | bytes, coding: str = ""):
    return respond(text, kind="application/json", headers=[("content-encoding", coding)] if coding else ())


def good_shapes() -> list[Case]:
    call = {"index": 0, "id": "call-1", "type": "function", "function": {"name": "weather", "arguments": ""}}
    more = [{"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in ('{"to', 'wn":"Bo', 'nn"}')]
    called = [{**call, "function": {"name": "weather", "arguments": '{"town":"Bonn"}'}}]
    called = [{name: value for name, value in called[0].items() if name != "index"}]
    picture = {"type": "image_url", "image_url": {}}
    parts = [{"type": "text", "text": "One, "}, picture, {"type": "text", "text": "two."}]
    fit = answered()
    choice = b'{"choices":[{"delta":{"content":"' + TEXT.encode() + b'"},"finish_reason":"stop"}]}'
    raw_text = b"data: " + choice + b"\n\n" + DONE.encode()
    at = raw_text.index("—".encode()) + 1
    both_lines = b"data: " + choice.replace(b'"delta":', b'"delta":\ndata: ') + b"\n\n" + DONE.encode()
    return [
        *case("a good stream", GOOD, fit),
        *case("a good JSON answer", json_body(whole()), fit),
        *case("a JSON answer, content in parts", json_body(whole({"content": parts})),
              answered(message={"content": "One, two."})),
        *case("usage on the finishing chunk", respond(*words(), event(chunk({}, "stop", usage={"cost": 1})), DONE),
              fit),
        *case("finish reason length", respond(deltas({"content": TEXT}, finish="length")), fit),
        *case("content_filter with text", respond(deltas({"content": TEXT}, finish="content_filter")), fit),
        *case("refusal", respond(deltas({"refusal": "I would rather not."})),
              answered(message={"refusal": "I would rather not."})),
        *case("tool calls in fragments", respond(deltas({"tool_calls": [call]}, *more, finish="tool_calls")),
              answered(message={"tool_calls": called})),
        *case("reasoning, then text", respond(deltas({"reasoning": "Hm."}, {"content": TEXT})), fit),
        *case("line ends CR LF", respond(stream(end="\r\n")), fit),
        *case("line ends CR", respond(stream(end="\r")), fit),
        *case("line ends mixed",
              respond(*words(end="\r\n")[:5], *words(end="\n")[5:8], *words(end="\r")[8:], FINISH, DONE), fit),
        *case("data in two lines", respond(both_lines), fit),
        *case("no blank after the colon", respond(stream().replace("data: ", "data:")), fit),
        *case("other fields of events", respond("id: 1\nevent: message\nretry: 10\n" + stream()), fit),
        *case("a byte-order mark", respond("\ufeff" + stream()), fit),
        *case("a character split between packets", respond(raw_text[:at], Pause(50), raw_text[at:]), fit),
        *case("a stream called JSON", respond(stream(), kind="application/json"), fit),
        *case("JSON called a stream", respond(json.dumps(whole())), fit),
        *case("no content type", respond(stream(), kind=""), fit),
        *case("comments between the words", respond(COMMENT, *(part + COMMENT for part in words()), FINISH, DONE), fit),
        *case("more after [DONE]", respond(stream(), word("SECRET-OF-THE-UPSTREAM")), fit),
        *case("never ends after [DONE]", respond(stream(), then=HOLD), fit),
        *case("last usage missing", respond(*words(), FINISH, DONE), fit),
        *case("usage before the finish", respond(*words(), LAST_USAGE, FINISH, DONE), fit),
        *case("interim 103", interim(103, GOOD, [("retry-after", "99")]), fit),
        *case("trailers", trailers(stream(), [("x-trailer", "1"), ("retry-after", "99")]), fit),
        *case("Retry-After with a good answer", respond(stream(), headers=[("retry-after", "60")]), fit),
        *case("status 206 with a whole answer", respond(stream(), status=206), fit),
    ]  # fmt: skip


def statuses() -> list[Case]:
    """Every status, always and once; and once with Retry-After in each of its forms."""
    thrice, twice = {"always": 3, "once": 2}, {"always": 2, "once": 2}
    rows: dict[tuple[int, ...], tuple[str, dict[str, int]]] = {
        (403, 404): ("no_provider", twice),
        (408, 504, 524): ("timeout", thrice),
        (429,): ("rate_limited", thrice),
        (503, 529): ("overloaded", thrice),
        (500, 501, 502, 505, 507, 520, 521, 522, 523, 525, 526, 527, 530, 599): ("upstream_error", thrice),
    }
    cases: list[Case] = []
    for group, (reason, attempts) in rows.items():
        for status in group:
            cases += both(f"status {status}", failing(status), fallback(reason, attempts["always"]))
            cases += forms_of_retry_after(status, answered(2))
    cases += both("status 409", failing(409), rejected("bad_request", 3))
    cases += forms_of_retry_after(409, answered(2))
    for status, reason in {400: "bad_request", 405: "bad_request", 410: "bad_request", 412: "bad_request",
                           413: "context_length", 415: "bad_request", 418: "bad_request", 422: "bad_request",
                           425: "bad_request", 451: "bad_request"}.items():  # fmt: skip
        cases += case(f"status {status}, always", failing(status), rejected(reason))
        cases += forms_of_retry_after(status, rejected(reason))
    for status in (300, 301, 302, 303, 304, 305, 307, 308):
        cases += case(f"status {status}, always", respond(status=status), fallback("upstream_invalid", 1))
        targets = ("{there}", "http://localhost:{port}/", "file:///etc/passwd", "/api/v1/chat/completions", "//[", "")
        leads = [redirect(status, target) for target in targets]
        name = f"status {status}, redirects of {len(leads)} kinds"
        cases += spread(name, leads, fallback("upstream_invalid", 1), then=None)
    for status in (204, 205):
        empty = respond(status=status, headers=[("content-length", "0")] if status == 205 else ())
        cases += both(f"status {status}", empty, fallback(("upstream_invalid", "stream_broken"), 3))
    long = [{"role": "user" if at % 2 == 0 else "assistant", "content": "Long ago. " * 50} for at in range(20)]
    too_long = failing(400, body=typed("context_length_exceeded", 400))
    trimmed_once = rejected("context_length", 2)
    cases += both("too long for the model, a long history", too_long, trimmed_once, request={"history": long})
    return cases


def forms_of_retry_after(status: int, expect) -> list[Case]:
    forms = [form for form in RETRY_AFTER if form != "none"]
    return spread(f"status {status} once, Retry-After in {len(forms)} forms", [failing(status, form) for form in forms],
                  expect)  # fmt: skip


def waits() -> list[Case]:
    """How long a Retry-After is waited for, and who is asked then."""
    same, other = answered(2, models="aa"), answered(2, models="ab")
    rows = {
        "1": answered(2, models="aa", not_before_ms=1000), "in ms": answered(2, models="aa", not_before_ms=300),
        "0": same, "-5": same, "0.3": same, "junk": same, "blank": same, "1e9": other,
        "IMF date": same, "RFC 850 date": same, "asctime date": same, "past date": same,
    }  # fmt: skip
    return [
        each
        for form, expect in rows.items()
        for each in case(f"status 429 once, Retry-After {form}", (failing(429, form), GOOD), expect)
    ]


def sizes() -> list[Case]:
    huge = fallback("upstream_invalid", 3)
    bomb = gzip.compress(b" " * (64 * MIB))
    rows = [
        *both("64 MiB of words", respond(Repeat(word("x" * PIECE), PIECES)), huge),
        *both("64 MiB in one line", respond("data: ", Repeat("x" * PIECE, PIECES)), huge),
        *both("64 MiB of JSON", respond('{"x":"', Repeat("x" * PIECE, PIECES), kind="application/json"), huge),
        *both("64 MiB of white space", respond(Repeat(" " * PIECE, PIECES)), huge),
        *both("64 MiB of comments", respond(Repeat(":" + "x" * PIECE + "\n", PIECES)), huge),
        *both("a gzip bomb of 64 MiB", json_body_of(bomb, "gzip"), huge),
        *both("10,000 tool calls", respond(*many_tool_calls()), huge),
    ]
    return [dataclasses.replace(each, lane=HEAVY) for each in rows]


def many_tool_calls() -> list[str]:
    return [event(chunk({"tool_calls": [{"index": at, "function": {"arguments": "x"}}]})) for at in range(10_000)]


def secrets() -> list[Case]:
    """The upstream says the key, and what is nobody's business, wherever it can."""
    key = "sk-or-v1-0123456789abcdef-canary"
    said = error(502, f"Bad key {key}", metadata={"raw": key, "provider_name": key})
    return [
        *both("an error that names the key", json_body(said, 502), fallback("upstream_error", 3)),
        *both("an error event that names the key", respond(word("Well "), event(said)), fallback("upstream_error", 3)),
    ]


SHARED: list[Case] = [
    *clocks(), *cuts(), *errors_within(), *types_of_errors(), *no_answers(), *good_shapes(), *statuses(), *waits(),
    *sizes(), *secrets(),
]  # fmt: skip
