/* One attempt: an easy handle that is used again and again, the reader of its response, and its clocks.
 *
 * A handle keeps its options between calls; only what a call brings changes (body, time limit, the key's header lines,
 * seldom the URL), which is far cheaper than setting up a new one. States, changed by the functions below only:
 *
 *     FREE → RUNNING → FREE                        the transfer ended, or was ended, before its verdict
 *                    ↔ WAITING → FREE              it had no descriptor (upstream_waiting.h), and tries again or is ended
 *                    → ANSWERED → FREE             the verdict is known ([DONE], an error) and the transfer ended too
 *                               → DRAINING → FREE  the call went back; the rest of the response may still come
 *
 * The last chunk of a response often comes in a packet of its own after [DONE], and a transfer that is dropped before it
 * costs its connection. So the call of an ANSWERED transfer waits a moment for the end, which is nearly always there
 * at once: then the connection is free again before the next call looks for one. When the moment is over the call goes
 * back, and the transfer, now DRAINING, has some more time for its end, bounded in bytes as well.
 *
 * libcurl's callbacks run inside its own calls; they note what happened and never call libcurl. Time is read from the
 * thread's `now`, refreshed once a turn.
 *
 * Owner and thread: the upstream thread. Nothing blocks. */
#ifndef WORKER_EDGE_UPSTREAM_TRANSFER_H
#define WORKER_EDGE_UPSTREAM_TRANSFER_H

#include <curl/curl.h>

#include "common/clock.h"
#include "common/heap.h"
#include "common/list.h"
#include "worker/core/call.h"
#include "worker/edge/upstream_headers.h"

enum {
	UPSTREAM_ANSWERED_MS = 3,         /* a call waits so long for the end of its response after the verdict */
	UPSTREAM_DRAIN_MS = 100,          /* the transfer then waits so long without its call */
	UPSTREAM_DRAIN_BYTES_MAX = 65536, /* likewise */
	UPSTREAM_HEADER_BYTES_MAX = 65536,
	UPSTREAM_REPEAT_MS = 250,   /* a repeat so soon after the first send is a race with an idle connection's end */
	UPSTREAM_BACKSTOP_MS = 200, /* libcurl's own limit comes so long after ours */
	UPSTREAM_SILENCE_MS = 500,  /* a shorter wait says nothing about the connection */
};

enum upstream_transfer_state {
	UPSTREAM_TRANSFER_FREE,
	UPSTREAM_TRANSFER_RUNNING,
	UPSTREAM_TRANSFER_WAITING,
	UPSTREAM_TRANSFER_ANSWERED,
	UPSTREAM_TRANSFER_DRAINING,
};

struct upstream_multi;

/* What happened to transfers in one turn of their thread; it empties both. */
struct upstream_turn {
	struct list answered; /* their verdict is known; by `turn` */
	struct list begun;    /* their calls want to know that content has begun; by `news` */
};

struct upstream_transfer {
	struct list place;            /* in the table's free list, its multi handle's list, or that of the waiting */
	struct list turn;             /* in the thread's list of the answered or of the draining */
	struct list news;             /* in the thread's list of those whose content has begun */
	struct heap_node watchdog;    /* in the thread's heap when not FREE */
	struct list bucket;           /* in the table, by the call's id */
	struct upstream_multi *multi; /* borrowed; whose it is; NULL while it is FREE or WAITING */

	const struct upstream_setup *setup; /* borrowed, like the two below */
	const struct instant *now;
	struct upstream_turn *lists; /* where it enters itself */
	CURL *easy;                  /* owned */
	enum upstream_aim aim;
	enum upstream_transfer_state state;

	/* Of the present call. */
	struct upstream_headers *headers; /* borrowed, counted; NULL when FREE */
	struct call *call;                /* owned; NULL when FREE or DRAINING */
	struct openrouter_reader *reader; /* owned; as `call` */
	enum transport_end own_end;       /* why a callback stopped it; TRANSPORT_WHOLE = it did not */
	int http_status;                  /* 0 = no final status line yet */
	bool has_headers;                 /* all of them: the empty line has come */
	bool has_body;                    /* a piece of it has come; later header lines are trailers */
	size_t header_bytes;
	size_t surplus_bytes; /* of the body, that nobody reads */
	uint64_t content;     /* as the reader last told */
	int64_t content_ms;   /* when it last grew */
	int64_t waiting_ms;   /* since when it is WAITING */
	int64_t sent_ms;
	int64_t heard_ms; /* when a piece of the response last came; 0 = none yet */
	int socket_fd;    /* over HTTP/2: of its connection; -1 = not known, or HTTP/1.1, where it has one of its own */
	int64_t verdict_ms; /* when it was ANSWERED, then when it began DRAINING */
};

/* Everything but the sockets' options. NULL when memory is missing or libcurl refuses. */
NODISCARD struct upstream_transfer *upstream_transfer_new(
	const struct upstream_setup *setup, CURLSH *share, const struct instant *now, struct upstream_turn *lists);

/* Accepts NULL. Not in a multi handle any more. Frees the call, too. */
void upstream_transfer_free(struct upstream_transfer *transfer);

/* FREE → RUNNING: takes the call and sets its options; the caller adds the handle to a multi handle. On failure, the
 * caller keeps the call: STATUS_NO_MEMORY. */
NODISCARD enum status upstream_transfer_begin(
	struct upstream_transfer *transfer, struct call *call, enum upstream_aim aim, struct upstream_headers *headers);

/* RUNNING → WAITING: it is in no multi handle. */
void upstream_transfer_wait(struct upstream_transfer *transfer);

/* WAITING → RUNNING: its clocks begin anew, but for the deadline. */
void upstream_transfer_go_on(struct upstream_transfer *transfer);

/* RUNNING, WAITING or ANSWERED: writes the verdict into the call, the key masked in it, and gives it to the caller. The
 * transfer is DRAINING when the verdict came before the end (`end` is not looked at then), else still to be released. */
NODISCARD struct call *upstream_transfer_end(struct upstream_transfer *transfer, enum transport_end end);

/* → FREE. It has been removed from its multi handle, and its call has gone back. */
void upstream_transfer_release(struct upstream_transfer *transfer);

/* libcurl's end of this transfer in our words. */
enum transport_end upstream_transfer_end_of(const struct upstream_transfer *transfer, CURLcode code);

/* It ended so because no descriptor was to be had: to be tried again. */
bool upstream_transfer_lacks_descriptor(const struct upstream_transfer *transfer, CURLcode code);

/* When its first clock runs out, as things stand: the later of this and the heap's entry counts, since content does
 * not move the entry. */
int64_t upstream_transfer_due(const struct upstream_transfer *transfer);

/* RUNNING, and its time is over. When nothing at all came over its connection in the meantime, for no call, it is broken,
 * for all its calls; and when it was used before and went silent, the idle ones of the thread are not trusted either: what
 * drops one on the way drops all. */
void upstream_transfer_doubt_connection(const struct upstream_transfer *transfer);

/* ANSWERED: libcurl has no more use for the body of the call, which may go back before the transfer ends. */
bool upstream_transfer_is_sent(const struct upstream_transfer *transfer);

#endif
