/* One thread of the pool: see the header. */
#include "worker/edge/upstream_thread.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/assertion.h"
#include "worker/edge/upstream_multi.h"
#include "worker/edge/upstream_outbox.h"
#include "worker/edge/upstream_sockets.h"
#include "worker/edge/upstream_transfers.h"
#include "worker/edge/upstream_waiting.h"

enum {
	EVENTS_MAX = 256,
	ORDERS_MAX = 256,
	/* Transfers beyond the calls: those whose call has gone back already. When they run out, the oldest is ended. */
	DRAINING_SHARE = 8,
	DRAINING_MIN = 8,
	ASIDES_MIN = 64, /* beyond one for each call; more are of no interest, the calls end by their clocks */
};

struct upstream_order {
	enum upstream_order_kind kind;
	struct call *call;                /* owned */
	struct upstream_headers *headers; /* owned */
	uint64_t id;
};

struct upstream_thread {
	/* Shared. */
	atomic_size_t asides; /* orders without a call in the mailbox, so that they leave room for the calls */
	size_t asides_max;
	struct mailbox *orders;

	/* The owner's. */
	pthread_t id;
	bool is_started;

	/* Owned by the thread while it runs. */
	struct instant now;
	struct watchdog_pulse *pulse;
	const struct upstream_setup *setup;
	struct upstream_headers *headers; /* owned; those of calls that begin now */
	CURLSH *share;                    /* names and TLS sessions, for all multi handles */
	struct upstream_sockets sockets;
	struct upstream_multis multis;
	struct upstream_transfers transfers;
	struct upstream_waiting waiting;
	struct upstream_turn lists;
	struct list draining; /* the oldest first */
	struct upstream_outbox outbox;
	bool is_stopping;
};

static void thread_give_back(struct upstream_thread *thread, struct call *call)
{
	upstream_outbox_put(&thread->outbox, &call->end);
}

/* A call that never became a transfer. */
static void thread_refuse(struct upstream_thread *thread, struct call *call, enum transport_end end)
{
	call->started_ms = thread->now.mono_ms;
	call->ended_ms = thread->now.mono_ms;
	call->result = (struct openrouter_result){ .failure = failure_of_transport(end, false) };
	thread_give_back(thread, call);
}

static void thread_end_call(struct upstream_thread *thread, struct upstream_transfer *transfer, enum transport_end end)
{
	struct call *call = upstream_transfer_end(transfer, end);
	upstream_transfers_forget(transfer);
	list_unlink(&transfer->news);
	thread_give_back(thread, call);
}

static void thread_release(struct upstream_thread *thread, struct upstream_transfer *transfer)
{
	if (transfer->multi != NULL) {
		upstream_multi_remove(transfer->multi, transfer->easy, &transfer->place);
		upstream_waiting_note_room(&thread->waiting);
	}
	list_unlink(&transfer->place);
	list_unlink(&transfer->turn);
	upstream_transfer_release(transfer);
	upstream_transfers_put(&thread->transfers, transfer);
}

/* Ends a transfer at any point: the call goes back if it has not yet. */
static void thread_finish(struct upstream_thread *thread, struct upstream_transfer *transfer, enum transport_end end)
{
	if (transfer->call != NULL) thread_end_call(thread, transfer, end);
	thread_release(thread, transfer);
}

static struct upstream_transfer *thread_take_transfer(struct upstream_thread *thread)
{
	struct upstream_transfer *transfer = upstream_transfers_take(&thread->transfers);
	if (transfer != NULL) return transfer;
	if (upstream_transfers_may_grow(&thread->transfers)) {
		transfer = upstream_transfer_new(thread->setup, thread->share, &thread->now, &thread->lists);
		if (transfer == NULL) return NULL;
		if (upstream_multis_adopt(&thread->multis, transfer->easy, &transfer->multi) == STATUS_OK) {
			thread->transfers.count++;
			return transfer;
		}
		upstream_transfer_free(transfer);
		return NULL;
	}
	struct list *oldest = list_first(&thread->draining);
	if (oldest == NULL) return NULL;
	thread_release(thread, LIST_ELEMENT(oldest, struct upstream_transfer, turn));
	return upstream_transfers_take(&thread->transfers);
}

/* Into a multi handle; on failure it is in none. */
static enum status thread_run(struct upstream_thread *thread, struct upstream_transfer *transfer)
{
	enum status status = upstream_multis_pick(&thread->multis, &transfer->multi);
	if (status == STATUS_OK) status = upstream_multi_add(transfer->multi, transfer->easy, &transfer->place);
	if (status != STATUS_OK) transfer->multi = NULL;
	return status;
}

/* From begun to running, or to waiting behind others; on failure it is as it was before it began, but for its call. */
static enum status thread_launch(struct upstream_thread *thread, struct upstream_transfer *transfer)
{
	enum status status = upstream_transfers_enter(&thread->transfers, transfer);
	if (status != STATUS_OK) return status;
	if (upstream_waiting_is_empty(&thread->waiting)) return thread_run(thread, transfer);
	upstream_waiting_put(&thread->waiting, transfer, false, thread->now.mono_ms);
	upstream_transfers_watch(&thread->transfers, transfer);
	return STATUS_OK;
}

/* It got no descriptor. */
static void thread_wait(struct upstream_thread *thread, struct upstream_transfer *transfer)
{
	upstream_multi_remove(transfer->multi, transfer->easy, &transfer->place);
	transfer->multi = NULL;
	upstream_waiting_put(&thread->waiting, transfer, true, thread->now.mono_ms);
	upstream_transfers_watch(&thread->transfers, transfer);
}

static void thread_run_waiting(struct upstream_thread *thread)
{
	bool is_stuck;
	size_t tries = upstream_waiting_tries(&thread->waiting, thread->now.mono_ms, &is_stuck);
	if (is_stuck) upstream_multis_close_unused(&thread->multis);
	struct upstream_transfer *transfer;
	for (; tries > 0 && (transfer = upstream_waiting_take(&thread->waiting)) != NULL; tries--) {
		upstream_transfers_watch(&thread->transfers, transfer);
		if (thread_run(thread, transfer) != STATUS_OK) thread_finish(thread, transfer, TRANSPORT_INTERNAL);
	}
}

static void thread_start_call(struct upstream_thread *thread, struct call *call, enum upstream_aim aim)
{
	if (call->deadline_ms <= thread->now.mono_ms) {
		thread_refuse(thread, call, TRANSPORT_TIMEOUT);
		return;
	}
	struct upstream_transfer *transfer = thread_take_transfer(thread);
	if (transfer == NULL) {
		thread_refuse(thread, call, TRANSPORT_INTERNAL);
		return;
	}
	if (upstream_transfer_begin(transfer, call, aim, thread->headers) != STATUS_OK) {
		upstream_transfers_put(&thread->transfers, transfer);
		thread_refuse(thread, call, TRANSPORT_INTERNAL);
		return;
	}
	if (thread_launch(thread, transfer) != STATUS_OK) {
		thread_end_call(thread, transfer, TRANSPORT_INTERNAL);
		upstream_transfer_release(transfer);
		upstream_transfers_put(&thread->transfers, transfer);
	}
}

static void thread_cancel(struct upstream_thread *thread, uint64_t id)
{
	struct upstream_transfer *transfer = upstream_transfers_find(&thread->transfers, id);
	if (transfer != NULL) thread_finish(thread, transfer, TRANSPORT_CANCELLED);
}

static void thread_obey(struct upstream_thread *thread, const struct upstream_order *order)
{
	switch (order->kind) {
	case UPSTREAM_ORDER_CHAT:
		thread_start_call(thread, order->call, UPSTREAM_AIM_CHAT);
		return;
	case UPSTREAM_ORDER_KEY:
		thread_start_call(thread, order->call, UPSTREAM_AIM_KEY);
		return;
	case UPSTREAM_ORDER_CANCEL:
		atomic_fetch_sub(&thread->asides, 1);
		thread_cancel(thread, order->id);
		return;
	case UPSTREAM_ORDER_HEADERS:
		atomic_fetch_sub(&thread->asides, 1);
		upstream_headers_retire(thread->headers);
		thread->headers = order->headers;
		return;
	}
	ASSERT_UNREACHABLE();
}

static void thread_take_orders(struct upstream_thread *thread)
{
	void *orders[ORDERS_MAX];
	thread->is_stopping = mailbox_is_closed(thread->orders);
	if (thread->is_stopping) return;
	size_t count = mailbox_take(thread->orders, orders, ORDERS_MAX);
	for (size_t i = 0; i < count; i++) {
		thread_obey(thread, orders[i]);
		free(orders[i]);
	}
}

/* A multi handle that libcurl has given up: its transfers cannot go on. */
static void thread_clear_broken(struct upstream_thread *thread, struct upstream_multi *multi)
{
	log_event(thread->setup->log, LOG_LEVEL_WARN, "upstream connections lost to an error of libcurl",
		LOG_FIELDS(log_int("calls", (int64_t)multi->transfer_count)));
	for (struct list *place; (place = list_first(&multi->transfers)) != NULL;)
		thread_finish(thread, LIST_ELEMENT(place, struct upstream_transfer, place), TRANSPORT_INTERNAL);
}

static void thread_collect_multi(struct upstream_thread *thread, struct upstream_multi *multi)
{
	CURLcode code;
	for (CURL *easy; (easy = upstream_multi_finished(multi, &code)) != NULL;) {
		char *context = NULL;
		CURLcode got = curl_easy_getinfo(easy, CURLINFO_PRIVATE, &context);
		ASSERT(got == CURLE_OK);
		struct upstream_transfer *transfer = (struct upstream_transfer *)(void *)context;
		ASSERT(transfer->easy == easy);
		if (upstream_transfer_lacks_descriptor(transfer, code))
			thread_wait(thread, transfer);
		else
			thread_finish(thread, transfer, upstream_transfer_end_of(transfer, code));
	}
	multi->lacks_descriptor = false;
	if (multi->is_broken) thread_clear_broken(thread, multi);
	upstream_multi_renew(multi);
}

static void thread_collect(struct upstream_thread *thread)
{
	for (struct list *turn; (turn = list_pop_front(&thread->multis.touched)) != NULL;)
		thread_collect_multi(thread, LIST_ELEMENT(turn, struct upstream_multi, turn));
}

/* The call goes back before its transfer has ended. */
static void thread_drain(struct upstream_thread *thread, struct upstream_transfer *transfer)
{
	bool is_sent = upstream_transfer_is_sent(transfer);
	thread_end_call(thread, transfer, TRANSPORT_WHOLE);
	if (!is_sent) {
		thread_release(thread, transfer);
		return;
	}
	list_push_back(&thread->draining, &transfer->turn);
	upstream_transfers_watch(&thread->transfers, transfer);
}

/* Those that got their verdict in this turn, and have not ended in it, are watched by another clock now. */
static void thread_watch_answered(struct upstream_thread *thread)
{
	for (struct list *turn; (turn = list_pop_front(&thread->lists.answered)) != NULL;)
		upstream_transfers_watch(&thread->transfers, LIST_ELEMENT(turn, struct upstream_transfer, turn));
}

/* Those that go on; of a call that is back by now nothing is left to be said. */
static void thread_tell_begun(struct upstream_thread *thread)
{
	for (struct list *news; (news = list_pop_front(&thread->lists.begun)) != NULL;)
		upstream_outbox_put(
			&thread->outbox, &LIST_ELEMENT(news, struct upstream_transfer, news)->call->content_begun);
}

static void thread_end_overdue(struct upstream_thread *thread)
{
	for (struct upstream_transfer *transfer;
		(transfer = upstream_transfers_overdue(&thread->transfers, thread->now.mono_ms)) != NULL;) {
		if (transfer->state == UPSTREAM_TRANSFER_ANSWERED) {
			thread_drain(thread, transfer);
			continue;
		}
		if (transfer->state == UPSTREAM_TRANSFER_RUNNING) upstream_transfer_doubt_connection(transfer);
		bool has_waited = transfer->state == UPSTREAM_TRANSFER_WAITING;
		thread_finish(thread, transfer, has_waited ? TRANSPORT_INTERNAL : TRANSPORT_TIMEOUT);
	}
}

static int thread_timeout_ms(struct upstream_thread *thread)
{
	int64_t due = upstream_transfers_due(&thread->transfers);
	due = clock_earlier(due, upstream_multis_due(&thread->multis));
	due = clock_earlier(due, upstream_waiting_due(&thread->waiting));
	if (due == INT64_MAX) return -1;
	if (due == INT64_MIN) return 0;
	int64_t left_ms = due - clock_now().mono_ms;
	if (left_ms < 0) return 0;
	return left_ms > INT_MAX ? INT_MAX : (int)left_ms;
}

static void thread_turn(struct upstream_thread *thread)
{
	struct epoll_event events[EVENTS_MAX];
	watchdog_rest(thread->pulse); /* perhaps without a time limit */
	size_t count = upstream_sockets_wait(&thread->sockets, events, EVENTS_MAX, thread_timeout_ms(thread));
	watchdog_beat(thread->pulse);
	thread->now = clock_now();
	bool has_orders = false;
	for (size_t i = 0; i < count; i++) {
		if (events[i].data.fd == mailbox_fd(thread->orders))
			has_orders = true;
		else
			upstream_multis_ready(&thread->multis, &events[i]);
	}
	thread_run_waiting(thread);
	if (has_orders) thread_take_orders(thread);
	upstream_multis_run_timers(&thread->multis);
	thread_collect(thread);
	upstream_multis_close_left(&thread->multis);
	thread_watch_answered(thread);
	thread_end_overdue(thread);
	thread_tell_begun(thread);
	upstream_outbox_flush(&thread->outbox);
}

static void *thread_main(void *context)
{
	struct upstream_thread *thread = context;
	while (!thread->is_stopping)
		thread_turn(thread);
	watchdog_rest(thread->pulse);
	return NULL;
}

static enum status thread_share(struct upstream_thread *thread)
{
	thread->share = curl_share_init();
	if (thread->share == NULL) return STATUS_NO_MEMORY;
	/* One thread uses it, so it needs no locks. */
	CURLSHcode code = curl_share_setopt(thread->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
	if (code == CURLSHE_OK) code = curl_share_setopt(thread->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
	return code == CURLSHE_OK ? STATUS_OK : STATUS_NO_MEMORY;
}

static enum status thread_prepare(struct upstream_thread *thread, const struct upstream_thread_options *options)
{
	size_t calls = options->in_flight_max;
	size_t transfers_max = calls + calls / DRAINING_SHARE + DRAINING_MIN;
	thread->asides_max = calls + ASIDES_MIN;
	thread->orders = mailbox_new(calls + thread->asides_max);
	if (thread->orders == NULL) return STATUS_NO_MEMORY;
	enum status status = upstream_transfers_init(&thread->transfers, transfers_max, options->id_step);
	if (status == STATUS_OK) status = upstream_multis_init(&thread->multis, transfers_max);
	if (status == STATUS_OK) status = thread_share(thread);
	if (status == STATUS_OK) status = upstream_sockets_open(&thread->sockets);
	if (status == STATUS_OK) status = upstream_sockets_watch(&thread->sockets, mailbox_fd(thread->orders));
	return status;
}

/* Signals are for the main thread. */
static enum status thread_create(struct upstream_thread *thread)
{
	sigset_t all, before;
	sigfillset(&all);
	int result = pthread_sigmask(SIG_SETMASK, &all, &before);
	ASSERT(result == 0);
	thread->is_started = pthread_create(&thread->id, NULL, thread_main, thread) == 0;
	result = pthread_sigmask(SIG_SETMASK, &before, NULL);
	ASSERT(result == 0);
	return thread->is_started ? STATUS_OK : STATUS_IO;
}

enum status upstream_thread_start(const struct upstream_thread_options *options, struct upstream_thread **out_thread)
{
	struct upstream_thread *thread = calloc(1, sizeof(*thread));
	if (thread == NULL) return STATUS_NO_MEMORY;
	thread->setup = options->setup;
	thread->outbox.done = options->done;
	thread->pulse = options->pulse;
	thread->sockets.epoll_fd = -1;
	thread->now = clock_now();
	thread->multis.setup = options->setup;
	thread->multis.sockets = &thread->sockets;
	thread->multis.now = &thread->now;
	thread->multis.connection_max = options->connection_max;
	upstream_waiting_init(&thread->waiting);
	list_init(&thread->lists.answered);
	list_init(&thread->lists.begun);
	list_init(&thread->draining);
	thread->headers = options->headers;
	enum status status = thread_prepare(thread, options);
	if (status == STATUS_OK) status = thread_create(thread);
	if (status == STATUS_OK) {
		*out_thread = thread;
		return STATUS_OK;
	}
	thread->headers = NULL; /* the caller's again */
	upstream_thread_stop(thread);
	return status;
}

static void thread_drop_orders(struct upstream_thread *thread)
{
	void *message;
	while (thread->orders != NULL && mailbox_take(thread->orders, &message, 1) == 1) {
		struct upstream_order *order = message;
		call_free(order->call);
		upstream_headers_free(order->headers);
		free(order);
	}
}

static void thread_drop_transfers(struct upstream_thread *thread)
{
	for (size_t i = 0; i < thread->multis.count; i++) {
		struct upstream_multi *multi = thread->multis.all[i];
		for (struct list *place; (place = list_first(&multi->transfers)) != NULL;)
			thread_finish(
				thread, LIST_ELEMENT(place, struct upstream_transfer, place), TRANSPORT_CANCELLED);
	}
	for (struct upstream_transfer *transfer; (transfer = upstream_waiting_take(&thread->waiting)) != NULL;)
		thread_finish(thread, transfer, TRANSPORT_CANCELLED);
	upstream_outbox_flush(&thread->outbox);
}

void upstream_thread_stop(struct upstream_thread *thread)
{
	if (thread == NULL) return;
	if (thread->is_started) {
		mailbox_close(thread->orders);
		int result = pthread_join(thread->id, NULL);
		ASSERT(result == 0);
		thread_drop_transfers(thread);
	}
	thread_drop_orders(thread);
	upstream_transfers_deinit(&thread->transfers);
	upstream_multis_deinit(&thread->multis);
	if (thread->share != NULL) curl_share_cleanup(thread->share);
	upstream_sockets_close(&thread->sockets);
	mailbox_free(thread->orders);
	upstream_headers_free(thread->headers);
	free(thread);
}

/* One sender only, so nobody else adds between the look and the addition. */
static bool thread_may_put_aside(struct upstream_thread *thread)
{
	if (atomic_load(&thread->asides) >= thread->asides_max) return false;
	atomic_fetch_add(&thread->asides, 1);
	return true;
}

static enum status thread_put_order(struct upstream_thread *thread, const struct upstream_order *given)
{
	struct upstream_order *order = malloc(sizeof(*order));
	if (order == NULL) return STATUS_NO_MEMORY;
	*order = *given;
	bool is_aside = order->call == NULL;
	if (is_aside && !thread_may_put_aside(thread)) {
		free(order);
		return STATUS_FULL;
	}
	enum status status = mailbox_put(thread->orders, order);
	if (status == STATUS_OK) return STATUS_OK;
	if (is_aside) atomic_fetch_sub(&thread->asides, 1);
	free(order);
	return status;
}

enum status upstream_thread_put(
	struct upstream_thread *thread, enum upstream_order_kind kind, struct call *call, uint64_t id)
{
	const struct upstream_order order = { .kind = kind, .call = call, .id = id };
	return thread_put_order(thread, &order);
}

enum status upstream_thread_put_headers(struct upstream_thread *thread, struct upstream_headers *headers)
{
	const struct upstream_order order = { .kind = UPSTREAM_ORDER_HEADERS, .headers = headers };
	return thread_put_order(thread, &order);
}
