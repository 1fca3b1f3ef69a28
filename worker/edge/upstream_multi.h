/* The multi handles of one upstream thread: each of bounded size, all on the thread's one epoll.
 *
 * libcurl finds an idle connection by walking a list of all of a multi handle's connections, so many small handles are
 * cheaper than a large one. A transfer is added to the first handle that has room: so the first ones are always well
 * filled and their connections used again, and those at the end are left alone after a burst. libcurl ends connections
 * only on the way to another transfer, so a handle that has been left alone for a while is closed here, with all it has:
 * memory and descriptors come back also when the peer keeps its connections for hours.
 *
 * libcurl tells through callbacks which sockets and when; the callbacks only write that down (sockets, timer heap) and
 * never call libcurl. upstream_multis_run_timers() and upstream_multis_ready() call it, from the thread's loop.
 *
 * Owner and thread: the upstream thread. Nothing blocks. */
#ifndef WORKER_EDGE_UPSTREAM_MULTI_H
#define WORKER_EDGE_UPSTREAM_MULTI_H

#include <curl/curl.h>

#include "common/clock.h"
#include "common/heap.h"
#include "common/list.h"
#include "worker/edge/upstream_setup.h"
#include "worker/edge/upstream_sockets.h"

/* Measured with 1,000 and 5,000 calls in flight: 64 to 256 differ by a few microseconds a call, the smallest is best.
 * A handle takes some 35 KiB, hence not smaller still. It is also the number of connections it keeps. */
enum { UPSTREAM_MULTI_TRANSFERS_MAX = 64 };

/* How long a handle without transfers is kept, as long as libcurl trusts an idle connection; and how often that is asked. */
enum { UPSTREAM_MULTI_UNUSED_MS = 60000, UPSTREAM_MULTI_LOOK_MS = 10000 };

struct upstream_multis;

struct upstream_multi {
	struct upstream_multis *set;
	CURLM *handle;          /* owned */
	struct heap_node timer; /* when libcurl wants to be called; always in the set's heap, HEAP_NEVER when never */
	struct list transfers;  /* of struct upstream_transfer, by `place` */
	struct list turn;       /* in the set's `touched` */
	size_t index;
	size_t transfer_count;
	int64_t unused_ms; /* since when there is none */
	size_t connection_count;
	bool lacks_descriptor; /* libcurl asked for a connection since the last look, and there was none to be had */
	size_t dead_count;     /* idle connections that the peer has closed since the last transfer was added */
	bool is_broken;        /* libcurl has returned an error: of no use until it is made anew */
};

struct upstream_multis {
	const struct upstream_setup *setup; /* borrowed, like the two below */
	struct upstream_sockets *sockets;
	const struct instant *now;
	struct upstream_multi **all; /* owned, made as they are needed */
	size_t count;
	size_t count_max;
	size_t first_free; /* none before it has room */
	size_t connection_count;
	size_t connection_max;
	int64_t look_ms; /* for handles that were left alone, the next time */
	struct heap timers;
	struct list touched; /* have called back or finished something in this turn */
};

#define HEAP_NEVER INT64_MAX

/* Room for `transfers_max` transfers; `setup`, `sockets`, `now` and `connection_max` have been set. Handles are made later,
 * as they are needed. STATUS_NO_MEMORY. */
NODISCARD enum status upstream_multis_init(struct upstream_multis *set, size_t transfers_max);

/* All transfers have been removed. Closes all connections. */
void upstream_multis_deinit(struct upstream_multis *set);

/* The first handle with room, to be used with upstream_multi_add() at once; borrowed from the set. STATUS_NO_MEMORY;
 * STATUS_FULL: all are full, or broken and not yet renewed. */
NODISCARD enum status upstream_multis_pick(struct upstream_multis *set, struct upstream_multi **out_multi);

/* Starts the transfer of `easy`; the node enters the handle's list. STATUS_FATAL when libcurl refuses. */
NODISCARD enum status upstream_multi_add(struct upstream_multi *multi, CURL *easy, struct list *place);

/* Ends it, at whatever point it is; a connection in the middle of something is closed. */
void upstream_multi_remove(struct upstream_multi *multi, CURL *easy, struct list *place);

/* Sets the options of an easy handle by which the set hears of its sockets. `multi` is where the transfer notes its
 * present handle; both outlive the easy handle. STATUS_INVALID when libcurl refuses. */
NODISCARD enum status upstream_multis_adopt(struct upstream_multis *set, CURL *easy, struct upstream_multi **multi);

/* Passes one event of the sockets on to libcurl. An error of libcurl marks the handle as broken. */
void upstream_multis_ready(struct upstream_multis *set, const struct epoll_event *event);

/* Calls libcurl for the handles whose time has come, a bounded number of times. */
void upstream_multis_run_timers(struct upstream_multis *set);

/* When libcurl wants to be called, or handles are to be looked at; HEAP_NEVER when there is nothing to do. */
int64_t upstream_multis_due(const struct upstream_multis *set);

/* The next finished transfer of a touched handle, which has to be removed by the caller; NULL when there is none. */
CURL *upstream_multi_finished(struct upstream_multi *multi, CURLcode *out_code);

/* Whether a transfer that ended with this code, before anything was sent, ended for want of a descriptor. */
bool upstream_multi_lacks_descriptor(const struct upstream_multi *multi, CURLcode code);

/* Closes the idle connections of handles that have no transfers. */
void upstream_multis_close_unused(struct upstream_multis *set);

/* Closes the handles that have been left alone for UPSTREAM_MULTI_UNUSED_MS, when it is time to look for them. */
void upstream_multis_close_left(struct upstream_multis *set);

/* Makes a broken handle without transfers anew, or one of which all connections are dead. */
void upstream_multi_renew(struct upstream_multi *multi);

#endif
