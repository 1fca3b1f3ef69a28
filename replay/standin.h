/* The stand-in OpenRouter: an HTTP server with OpenRouter's endpoints, shapes and failures, for the sandbox and tests.
 *
 *     POST /api/v1/chat/completions   answers and failures, see standin_script.h; 401 without `Authorization: Bearer`
 *     GET  /api/v1/key                limits of the key
 *     GET  /api/v1/models             two models
 *     GET  /healthz                   200
 *
 * One thread serves everything: libmicrohttpd over epoll, connections that wait are suspended, and a heap of due times
 * says who goes on. It holds STANDIN_CONNECTIONS_MAX requests at once. Waiting connections wake in common ticks that
 * grow with their number (1 ms and 1 ms more for each 512), because waking costs a walk over all that wait. */
#ifndef REPLAY_STANDIN_H
#define REPLAY_STANDIN_H

#include "common/buffer.h"
#include "replay/standin_plan.h"

enum { STANDIN_CONNECTIONS_MAX = 16384, STANDIN_REQUEST_MAX = 8 << 20, STANDIN_SEEN_MAX = 65536 };

struct standin_options {
	const char *listen; /* "ADDRESS:PORT"; port 0 takes a free one */
	struct standin_timing timing;
	int64_t jitter_ms;    /* each answer is late by up to so much */
	int64_t keepalive_ms; /* 0 = none */
	struct fail_spec fail;
	uint64_t seed;       /* of jitter and failures by chance */
	const char *key;     /* the only key that is let in; NULL = any */
	const char *journal; /* file; NULL = none */
};

struct standin_counts {
	uint64_t requests; /* chat requests, whatever they were served */
	uint64_t answers;  /* 200 with a complete body, sent to the end */
	uint64_t waiting;  /* connections that wait for their time */
};

struct standin;

/* Without delays or failures, on a free port of 127.0.0.1. */
struct standin_options standin_options_default(void);

/* Listens and starts the thread. What is given is borrowed for the call, `key` and `journal` too.
 * STATUS_INVALID: `listen` is no address. STATUS_IO: the address cannot be bound, or the journal not opened; errno
 * says why. STATUS_NO_MEMORY. Stop with standin_stop(). */
NODISCARD enum status standin_start(const struct standin_options *options, struct standin **out_standin);

/* Closes all connections and joins the thread. Accepts NULL. */
void standin_stop(struct standin *standin);

/* "http://ADDRESS:PORT/api/v1", borrowed from the stand-in. */
const char *standin_url(const struct standin *standin);

/* Any thread. */
struct standin_counts standin_counts(const struct standin *standin);

#endif
