/* The pool of threads that talk to the model service.
 *
 * Each thread owns several libcurl multi handles of bounded size in one epoll; a call stays on its thread. A thread runs
 * *one attempt* at a time for each call: sends the body, watches the clocks (first content, stall, deadline: counted in
 * content, not bytes; own heap, since libcurl's timers restart after its hidden repeats), reassembles the stream with
 * openrouter_answer, masks the key in the answer, and gives the call back with its verdict. It decides nothing.
 *
 * What is sent: POST to base_url + "/chat/completions" with Authorization, Content-Type, Accept: text/event-stream,
 * User-Agent, HTTP-Referer and X-OpenRouter-Title; X-OpenRouter-Cache with its TTL when cache_ttl_s asks for it, on
 * chats only. No redirects, no proxy or netrc from the environment, HTTPS only unless insecure_http, connections reused,
 * libcurl never queues and never repeats a POST on its own. When there are fewer descriptors than calls, calls wait for
 * one another inside; the limit is looked at when the pool starts.
 *
 * Threads: upstream_start/stop and upstream_put/cancel/take from one owner (the flow's loop). Only put and cancel cross
 * into the pool, through mailboxes. */
#ifndef WORKER_EDGE_UPSTREAM_H
#define WORKER_EDGE_UPSTREAM_H

#include "common/bytes.h"
#include "common/log.h"
#include "common/watchdog.h"
#include "worker/core/call.h"

struct upstream;

enum upstream_http { UPSTREAM_HTTP_AUTO, UPSTREAM_HTTP_1_1, UPSTREAM_HTTP_2 };

/* Borrowed for upstream_start() only. Texts are C strings; NULL or empty = not set. */
struct upstream_options {
	const char *base_url;  /* without a trailing slash */
	const char *bearer;    /* the key; copied into each thread's header lines, wiped at upstream_stop() */
	const char *app_url;   /* HTTP-Referer */
	const char *app_title; /* X-OpenRouter-Title */
	const char *ca_file;
	const char *proxy;
	enum upstream_http http;
	bool insecure_http; /* plain HTTP to other hosts than loopback is allowed */
	int threads;
	int in_flight_max; /* of the whole pool; sizes mailboxes and handles */
	int streams_per_connection;
	int connect_timeout_ms;
	int cache_ttl_s; /* answers may be cached by the service for so long; 0 = no */
	struct openrouter_limits limits;
	struct log *log;           /* outlives the pool */
	struct watchdog *watchdog; /* likewise; NULL = nobody watches the threads */
};

/* Starts the threads. STATUS_NO_MEMORY, STATUS_INVALID (an option libcurl does not take), STATUS_IO (threads or
 * descriptors). Nothing is left behind on failure. */
NODISCARD enum status upstream_start(const struct upstream_options *options, struct upstream **out_upstream);

/* Calls and probes that are put from now on carry this key; those before go on with theirs. The key is copied; former
 * copies are wiped as soon as their last call has ended. STATUS_INVALID: not printable ASCII without blanks. STATUS_FULL,
 * STATUS_NO_MEMORY: some calls may carry it and others not; ask again. */
NODISCARD enum status upstream_set_key(struct upstream *upstream, struct bytes key);

/* Ends all transfers without waiting for answers, joins the threads, frees calls that were still inside (theirs are not
 * given back). Accepts NULL. */
void upstream_stop(struct upstream *upstream);

/* Hands a call over; on STATUS_OK the pool owns it until it comes back through upstream_take(). STATUS_FULL: more than
 * in_flight_max. Never blocks. */
NODISCARD enum status upstream_put(struct upstream *upstream, struct call *call);

/* Asks for the call with this id to end soon with TRANSPORT_CANCELLED; it may still come back with its own end. Unknown
 * ids are ignored. Never blocks. */
void upstream_cancel(struct upstream *upstream, uint64_t id);

/* What the pool says of a call. */
struct upstream_event {
	uint64_t id;
	struct call *call; /* it has come back; NULL = its content has begun to come (of calls with tells_content) */
};

/* Readable when there is something to take. */
int upstream_fd(const struct upstream *upstream);

/* Takes up to `count_max` events in their order; the caller owns the calls that have come back. That content has begun
 * is said before the call comes back, or not at all when both are in one turn of the thread. */
size_t upstream_take(struct upstream *upstream, struct upstream_event *out_events, size_t count_max);

/* GET base_url + "/key" with the same credentials on the pool: what the account latch polls. The verdict arrives as a
 * call with this id through upstream_take(): result.failure.reason REASON_NONE = the key is good, and the call's body is what was told of it. */
NODISCARD enum status upstream_probe_key(struct upstream *upstream, uint64_t id, int64_t deadline_ms);

#endif
