/* What a failed attempt means: one table from the sign that was seen to the reason that is told and the action that
 * may help.
 *
 * Signs come from three places, looked at in this order: the transport, the HTTP status, and an `error` object in the
 * body (as the whole body, as a stream event, or inside the first choice). An error object's `error_type` or `code`
 * replaces the HTTP status. Unknown signs are judged by their class.
 *
 * Pure: no state, no I/O, any thread. Texts of the upstream never pass through here. */
#ifndef WORKER_CORE_FAILURE_H
#define WORKER_CORE_FAILURE_H

#include "common/bytes.h"
#include "schemas/reason.h"

/* What may help. The flow decides whether it is done: attempts, time, budget and breakers are its business. */
enum failure_action {
	FAILURE_ACTION_END,       /* nothing helps: fallback or rejection now */
	FAILURE_ACTION_SAME,      /* the same model again, after a back-off */
	FAILURE_ACTION_SAME_ONCE, /* the same model once more, then the next one */
	FAILURE_ACTION_NEXT,      /* the next model, at once; without one the same again, after a back-off */
	FAILURE_ACTION_NEXT_ONLY, /* the next model, at once; never the same one, which would fail in the same way */
	FAILURE_ACTION_NEXT_ONCE, /* the same, but once a chat: a second model that says no is believed */
	FAILURE_ACTION_TRIM,      /* half the history, the same model; once a chat, then END */
	FAILURE_ACTION_FEWER, /* the same model, asked for no more tokens than can be paid; once a chat, then LATCH */
	FAILURE_ACTION_LATCH, /* the account is the trouble: END for this chat, and for all until it is cured */
};

/* An answer of fewer tokens is none that a person could use. */
enum { FAILURE_TOKENS_MIN = 64 };

/* A daily cap ends at some time of the day that is not always told. */
enum { FAILURE_DAILY_CAP_MS = 600000 };

/* How the transport of an attempt ended. */
enum transport_end {
	TRANSPORT_WHOLE, /* a whole HTTP response arrived */
	TRANSPORT_DNS,   /* nothing was sent from here … */
	TRANSPORT_CONNECT,
	TRANSPORT_TLS,         /* handshake failed */
	TRANSPORT_CERTIFICATE, /* … to here: the peer is not trusted */
	TRANSPORT_TIMEOUT,     /* no content in time, no more content in time, or the deadline */
	TRANSPORT_CLOSED,      /* closed or reset before or after the request, without a whole response */
	TRANSPORT_CUT,         /* the body ended before its end */
	TRANSPORT_TOO_LARGE,   /* a cap on body, event or headers */
	TRANSPORT_REPEATED,    /* libcurl was about to send the request a second time by itself; stopped */
	TRANSPORT_CANCELLED,   /* the flow asked for it */
	TRANSPORT_INTERNAL,    /* out of memory and the like */
};

struct failure {
	enum reason reason; /* REASON_NONE = no failure */
	enum failure_action action;
	int http_status;        /* as told by the error object, else by the response; 0 = none */
	int64_t retry_after_ms; /* the upstream asked to wait so long, at most a day, or FAILURE_DAILY_CAP_MS when it only
	                           told that there is a daily cap; -1 = did not say */
	int64_t tokens_max;     /* for FEWER: what can be paid, at least FAILURE_TOKENS_MIN; else 0 */
	bool maybe_sent;        /* false: surely nothing reached the upstream, a repeat costs nothing */
	bool breaks_edge;       /* counts against the whole upstream, not one model */
};

/* The place a sign was found decides nothing; what is known of an error object is filled in, the rest left at its
 * zero: BYTES_NONE, 0, -1. Views are borrowed for the call. */
struct failure_sign {
	int http_status;           /* of the response */
	struct bytes error_type;   /* error.metadata.error_type, error.error_type or a string error.code */
	int code;                  /* integer error.code; 0 = none */
	struct bytes availability; /* error.availability.code */
	int retryable;             /* error.availability.retryable: 1, 0, -1 = not said */
	int64_t retry_after_ms;    /* Retry-After header or error.availability.retry_after; -1 = none */
	int64_t reset_after_ms; /* until X-RateLimit-Reset, of the headers or error.metadata.headers; -1 = none. Counts
	                              for a 429 that asks for no wait by itself */
	bool has_reasons;       /* error.metadata.reasons: moderation */
	bool has_patterns;      /* error.metadata.patterns: a guardrail */
	bool names_context;     /* the message speaks of the context length (some providers give no type) */
	bool names_model;       /* the message says that there is no such model */
	int64_t tokens_affordable; /* the message says that only so many tokens of output can be paid; 0 = it does not */
	bool names_daily_cap;      /* the message speaks of a daily cap: waiting does not help today */
};

/* An error the upstream told us in HTTP or in an error object. Never REASON_NONE. */
struct failure failure_of_sign(const struct failure_sign *sign);

/* The transport failed; never called with TRANSPORT_WHOLE. `sent`: the request had begun to be sent. A cancelled call
 * is told as TIMEOUT with END: whoever cancelled it knows better. */
struct failure failure_of_transport(enum transport_end end, bool sent);

/* Whom a failed attempt speaks against. */
enum failure_blame {
	FAILURE_BLAME_NOBODY, /* the caller's request, the account, or the worker itself */
	FAILURE_BLAME_MODEL,
	FAILURE_BLAME_EDGE, /* the way to the upstream, whatever the model */
};

/* Never asked about REASON_NONE. */
enum failure_blame failure_blame(const struct failure *failure);

/* A whole, well-formed response that is not an answer. */
enum answer_defect {
	ANSWER_DEFECT_INVALID,    /* not JSON, HTML, truncated JSON, wrong types */
	ANSWER_DEFECT_NO_CHOICES, /* `choices` missing, null or empty */
	ANSWER_DEFECT_BLANK,      /* no text, no tool calls, no refusal */
	ANSWER_DEFECT_REASONING,  /* reasoning only: the same request ends the same way */
	ANSWER_DEFECT_FILTERED,   /* content_filter without text */
	ANSWER_DEFECT_BROKEN,     /* the stream ended without finish_reason and without [DONE] */
};
struct failure failure_of_defect(enum answer_defect defect);

/* The `Retry-After` header (RFC 9110 §10.2.3): seconds, also with decimals, or an HTTP date in one of its three forms,
 * read at wall time `now_ms`; plain milliseconds as in `Retry-After-Ms` when `in_ms`. Negative or past → 0; over a day →
 * a day; junk → -1. */
int64_t failure_retry_after(struct bytes value, bool in_ms, int64_t now_ms);

/* The time until an `X-RateLimit-Reset`: Unix milliseconds, as OpenRouter writes them, Unix seconds, or seconds from now,
 * which are told apart by their size. Past → 0; over a day → a day; junk → -1. */
int64_t failure_rate_limit_reset(struct bytes value, int64_t now_ms);

#endif
