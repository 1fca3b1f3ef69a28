/* The pool of upstream threads: see the header.
 *
 * A call goes to the thread that its id names, so that a cancellation finds it without a table, and consecutive ids
 * spread evenly. The way back is one mailbox for all threads, with room for all that may be said of as many calls as there
 * may be, and with its memory taken at the start: giving a call back never fails. */
#include "worker/edge/upstream.h"

#include <stdlib.h>
#include <sys/resource.h>

#include "common/assertion.h"
#include "common/mailbox.h"
#include "worker/edge/upstream_setup.h"
#include "worker/edge/upstream_thread.h"

enum {
	THREADS_MAX = 256,
	PROBES_MAX = 8,           /* under way at once, beside the calls */
	PROBE_ARENA_SIZE = 65536, /* for the error a refused key brings */
	PROBE_BODY_MAX = 16384,   /* of what is told of a good one */
	TAKE_MAX = 64,
	OTHER_DESCRIPTORS = 128, /* at most half of all: threads, brokers, admin connections, libcurl's own */
};

struct upstream {
	struct upstream_setup setup;
	struct mailbox *done;
	struct upstream_thread **threads; /* owned */
	size_t thread_count;
	size_t in_flight; /* calls, without the probes */
	size_t in_flight_max;
	uint64_t probes[PROBES_MAX]; /* ids of those under way */
	size_t probe_count;
};

/* Makes the mailbox take all the memory it may ever need. */
static enum status mailbox_fill_once(struct mailbox *mailbox, size_t count)
{
	enum status status = STATUS_OK;
	for (size_t i = 0; i < count && status == STATUS_OK; i++)
		status = mailbox_put(mailbox, mailbox);
	void *messages[TAKE_MAX];
	while (mailbox_take(mailbox, messages, TAKE_MAX) > 0)
		continue;
	return status;
}

static enum status upstream_open_done(struct upstream *upstream)
{
	size_t messages = 2 * (upstream->in_flight_max + PROBES_MAX);
	upstream->done = mailbox_new(messages);
	if (upstream->done == NULL) return STATUS_NO_MEMORY;
	return mailbox_fill_once(upstream->done, messages);
}

/* Of each thread, so that none can use up what the others need. */
static size_t connections_of_thread(size_t threads)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return SIZE_MAX;
	size_t all = (size_t)limit.rlim_cur;
	size_t others = all / 2 < OTHER_DESCRIPTORS ? all / 2 : OTHER_DESCRIPTORS;
	size_t share = (all - others) / threads;
	return share == 0 ? 1 : share;
}

static enum status upstream_start_thread(struct upstream *upstream, const struct upstream_options *options)
{
	struct upstream_thread_options given = {
		.setup = &upstream->setup,
		.done = upstream->done,
		.in_flight_max = upstream->in_flight_max + PROBES_MAX,
		.connection_max = connections_of_thread((size_t)options->threads),
		.id_step = (size_t)options->threads,
	};
	enum status status = upstream_headers_new(&upstream->setup, bytes_of(options->bearer), &given.headers);
	if (status != STATUS_OK) return status;
	given.pulse = watchdog_add(options->watchdog, "upstream");
	status = upstream_thread_start(&given, &upstream->threads[upstream->thread_count]);
	if (status == STATUS_OK)
		upstream->thread_count++;
	else
		upstream_headers_free(given.headers);
	return status;
}

static enum status upstream_start_threads(struct upstream *upstream, const struct upstream_options *options)
{
	upstream->threads = calloc((size_t)options->threads, sizeof(struct upstream_thread *));
	if (upstream->threads == NULL) return STATUS_NO_MEMORY;
	enum status status = STATUS_OK;
	while (upstream->thread_count < (size_t)options->threads && status == STATUS_OK)
		status = upstream_start_thread(upstream, options);
	if (status == STATUS_INVALID)
		log_event(upstream->setup.log, LOG_LEVEL_ERROR, "upstream option refused",
			LOG_FIELDS(log_string("option", "key")));
	return status;
}

enum status upstream_start(const struct upstream_options *options, struct upstream **out_upstream)
{
	ASSERT(options->threads > 0 && options->threads <= THREADS_MAX);
	ASSERT(options->in_flight_max > 0);
	/* libcurl would write the keys of TLS sessions where this says. */
	unsetenv("SSLKEYLOGFILE");
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return STATUS_NO_MEMORY;
	struct upstream *upstream = calloc(1, sizeof(*upstream));
	if (upstream == NULL) {
		curl_global_cleanup();
		return STATUS_NO_MEMORY;
	}
	upstream->in_flight_max = (size_t)options->in_flight_max;
	enum status status = upstream_setup_open(options, &upstream->setup);
	if (status == STATUS_OK) status = upstream_open_done(upstream);
	if (status == STATUS_OK) status = upstream_start_threads(upstream, options);
	if (status == STATUS_OK)
		*out_upstream = upstream;
	else
		upstream_stop(upstream);
	return status;
}

static void upstream_drop_done(struct upstream *upstream)
{
	struct upstream_event events[TAKE_MAX];
	for (size_t count; (count = upstream_take(upstream, events, TAKE_MAX)) > 0;)
		for (size_t i = 0; i < count; i++)
			call_free(events[i].call);
}

void upstream_stop(struct upstream *upstream)
{
	if (upstream == NULL) return;
	for (size_t i = 0; i < upstream->thread_count; i++)
		upstream_thread_stop(upstream->threads[i]);
	if (upstream->done != NULL) upstream_drop_done(upstream);
	mailbox_free(upstream->done);
	free(upstream->threads);
	upstream_setup_close(&upstream->setup);
	free(upstream);
	curl_global_cleanup();
}

static struct upstream_thread *upstream_thread_of(const struct upstream *upstream, uint64_t id)
{
	return upstream->threads[id % upstream->thread_count];
}

enum status upstream_put(struct upstream *upstream, struct call *call)
{
	ASSERT(call != NULL);
	ASSERT(call->id != 0);
	if (upstream->in_flight >= upstream->in_flight_max) return STATUS_FULL;
	enum status status =
		upstream_thread_put(upstream_thread_of(upstream, call->id), UPSTREAM_ORDER_CHAT, call, call->id);
	if (status == STATUS_OK) upstream->in_flight++;
	return status;
}

void upstream_cancel(struct upstream *upstream, uint64_t id)
{
	/* Without memory or room for the order the call ends by its own deadline. */
	enum status ignored = upstream_thread_put(upstream_thread_of(upstream, id), UPSTREAM_ORDER_CANCEL, NULL, id);
	(void)ignored;
}

int upstream_fd(const struct upstream *upstream)
{
	return mailbox_fd(upstream->done);
}

static void upstream_count_out(struct upstream *upstream, uint64_t id)
{
	for (size_t i = 0; i < upstream->probe_count; i++) {
		if (upstream->probes[i] != id) continue;
		upstream->probes[i] = upstream->probes[--upstream->probe_count];
		return;
	}
	ASSERT(upstream->in_flight > 0);
	upstream->in_flight--;
}

static struct upstream_event upstream_read(struct upstream *upstream, const struct call_message *message)
{
	struct upstream_event event = { .id = message->call->id, .call = message->is_end ? message->call : NULL };
	if (event.call != NULL) upstream_count_out(upstream, event.id);
	return event;
}

size_t upstream_take(struct upstream *upstream, struct upstream_event *out_events, size_t count_max)
{
	void *messages[TAKE_MAX];
	size_t taken = 0;
	while (taken < count_max) {
		size_t wanted = count_max - taken < TAKE_MAX ? count_max - taken : TAKE_MAX;
		size_t count = mailbox_take(upstream->done, messages, wanted);
		for (size_t i = 0; i < count; i++)
			out_events[taken++] = upstream_read(upstream, messages[i]);
		if (count < wanted) break;
	}
	return taken;
}

enum status upstream_set_key(struct upstream *upstream, struct bytes key)
{
	for (size_t i = 0; i < upstream->thread_count; i++) {
		struct upstream_headers *headers;
		enum status status = upstream_headers_new(&upstream->setup, key, &headers);
		if (status != STATUS_OK) return status;
		status = upstream_thread_put_headers(upstream->threads[i], headers);
		if (status == STATUS_OK) continue;
		upstream_headers_free(headers);
		return status;
	}
	return STATUS_OK;
}

enum status upstream_probe_key(struct upstream *upstream, uint64_t id, int64_t deadline_ms)
{
	if (upstream->probe_count == PROBES_MAX) return STATUS_FULL;
	struct call *call = call_new(id, PROBE_BODY_MAX, PROBE_ARENA_SIZE);
	if (call == NULL) return STATUS_NO_MEMORY;
	call->deadline_ms = deadline_ms;
	call->first_content_due_ms = deadline_ms;
	enum status status = upstream_thread_put(upstream_thread_of(upstream, id), UPSTREAM_ORDER_KEY, call, id);
	if (status == STATUS_OK)
		upstream->probes[upstream->probe_count++] = id;
	else
		call_free(call);
	return status;
}
