/* The loop between Kafka, the model service and the flow: see the header. */
#include "worker/worker.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/assertion.h"
#include "common/clock.h"
#include "common/random.h"
#include "common/watchdog.h"
#include "worker/edge/admin.h"
#include "worker/edge/publisher.h"
#include "worker/edge/signals.h"
#include "worker/edge/source.h"
#include "worker/edge/upstream.h"
#include "worker/metrics_table.h"
#include "worker/worker_events.h"
#include "worker/worker_key.h"
#include "worker/worker_options.h"
#include "worker/worker_threads.h"

enum {
	TURN_MAX_MS = 500, /* a turn at least so often, whatever the descriptors say */
	BLOCKED_MS = 20,   /* looks again so often while replies cannot be published */
	GAUGES_INTERVAL_MS = 1000,
	EVENTS_PER_TAKE = 256,       /* results taken from the mailbox at once */
	RECORDS_PER_PARTITION = 512, /* taken in one turn, so that no partition keeps the loop to itself */
	REVOKE_WAIT_MS = 2000,       /* for the batches of a partition that is given up */
	CLOSE_WAIT_MS = 1500,        /* for the producer, and again for the consumer */
	STUCK_LOOKS = 30,            /* of the watchdog, within worker.stuck_ms */
	DRAIN_TAIL_MS = 5000,        /* of drain_ms, kept for publishing, closing and leaving the group */
};

struct worker {
	const struct settings *settings;
	struct log *log;
	struct metrics *metrics;
	struct worker_options options;
	struct worker_events events;
	struct admin_health health;
	struct signals signals;
	struct worker_key key;
	int epoll_fd;

	struct flow *flow;
	struct source *source;
	struct publisher *publisher;
	struct upstream *upstream;
	struct admin *admin;
	struct watchdog *watchdog;    /* NULL = off */
	struct watchdog_pulse *pulse; /* of this loop */

	bool is_blocked;    /* a batch is due, but there is nobody to take it, or no identity to commit it with */
	bool has_unread;    /* a partition was left with records that may be waiting */
	bool has_more;      /* one was left only because it had its share of the turn */
	size_t first_taken; /* the partition a turn begins with, one further each time: scarce room goes to all alike */
	int64_t revoke_end_ms; /* monotonic: partitions that are asked for go by then; 0 = none are */
	int revoke_batches;    /* what was finished when they were asked for is in these */
	bool is_fatal;         /* the consumer cannot go on */
	int64_t drain_end_ms;  /* monotonic: closing begins by then; 0 = not draining */
	int64_t gauges_due_ms;
};

static void take_batch(struct worker *worker, struct instant now)
{
	struct batch *batch;
	if (publisher_take(worker->publisher, &batch) != STATUS_OK) return;
	flow_batch_done(worker->flow, batch, now);
	if (worker->revoke_batches > 0) worker->revoke_batches--;
}

/* Hands the next batch over, if there is one and the group identity to commit it with. */
static bool put_batch(struct worker *worker, struct instant now)
{
	struct bytes group = source_group(worker->source);
	worker->is_blocked = !bytes_is_given(group) || !publisher_is_ready(worker->publisher);
	if (worker->is_blocked) return false;
	char *copy = malloc(group.size);
	/* Else the loop would spin until there is memory. */
	worker->is_blocked = copy == NULL;
	if (copy == NULL) return false;
	struct batch *batch;
	if (flow_next_batch(worker->flow, now, &batch) != STATUS_OK) {
		free(copy);
		return false;
	}
	memcpy(copy, group.data, group.size);
	batch->group = bytes_at(copy, group.size);
	enum status status = publisher_put(worker->publisher, batch);
	/* The flow makes one batch at a time, so the publisher has room. */
	ASSERT(status == STATUS_OK);
	return true;
}

/* Before the process ends: what is finished is published, so that nobody pays for it again. Bounded. */
static void publish_last(struct worker *worker)
{
	int64_t end_ms = clock_now().mono_ms + REVOKE_WAIT_MS;
	for (;;) {
		int64_t left_ms = end_ms - clock_now().mono_ms;
		if (left_ms <= 0) return;
		if (publisher_wait(worker->publisher, (int)left_ms) != STATUS_OK) return;
		take_batch(worker, clock_now());
		flow_hurry(worker->flow);
		if (!put_batch(worker, clock_now())) return;
	}
}

static void on_assign(void *context, struct source_partition *partitions, size_t count)
{
	struct worker *worker = context;
	for (size_t i = 0; i < count; i++) {
		struct flow_assignment assignment = {
			.partition = partitions[i].partition,
			.committed = partitions[i].committed,
			.metadata = partitions[i].metadata,
			.log_start = partitions[i].log_start,
			.log_end = partitions[i].log_end,
		};
		enum status status = flow_assign(worker->flow, &assignment, &partitions[i].start);
		/* Only memory can be missing; see flow_reply.c on why that ends the process. */
		ASSERT(status == STATUS_OK);
	}
	worker->has_unread = true;
}

/* Partitions are asked for. What is finished goes out first, in the batch under way and one after it, while the loop goes
 * on; bounded, since the whole group waits. */
static bool may_revoke(void *context)
{
	struct worker *worker = context;
	int64_t now_ms = clock_now().mono_ms;
	struct flow_gauges gauges;
	flow_gauges(worker->flow, &gauges);
	if (worker->revoke_end_ms == 0) {
		worker->revoke_end_ms = now_ms + REVOKE_WAIT_MS;
		worker->revoke_batches = gauges.is_publishing ? 2 : 1;
	}
	bool is_out = worker->revoke_batches == 0 || (!gauges.is_publishing && gauges.replies == 0);
	bool has_hope = gauges.is_publishing || !worker->is_blocked;
	if (!is_out && has_hope && now_ms < worker->revoke_end_ms) return false;
	worker->revoke_batches = 0;
	return true;
}

static void on_revoke(void *context, const int32_t *partitions, size_t count, bool lost)
{
	struct worker *worker = context;
	(void)lost;
	worker->revoke_end_ms = 0;
	struct instant now = clock_now();
	for (size_t i = 0; i < count; i++) {
		flow_revoke(worker->flow, partitions[i], now);
		worker_events_forget_partition(&worker->events, partitions[i]);
	}
}

static void pass_to_end(struct worker *worker, int32_t partition, struct instant now)
{
	int64_t end;
	if (source_take_end(worker->source, partition, &end)) flow_pass(worker->flow, partition, end, now);
}

/* Takes what the partition has and the flow wants. */
static void take_partition(struct worker *worker, int32_t partition, struct instant now)
{
	for (int i = 0; i < RECORDS_PER_PARTITION; i++) {
		if (!flow_wants(worker->flow, partition)) {
			worker->has_unread = true;
			return;
		}
		struct record *record;
		if (source_take(worker->source, partition, &record) != STATUS_OK) {
			pass_to_end(worker, partition, now);
			return;
		}
		enum status status = flow_take(worker->flow, record, now);
		ASSERT(status == STATUS_OK);
	}
	worker->has_unread = true;
	worker->has_more = true;
}

static void take_records(struct worker *worker, struct instant now)
{
	worker->has_unread = false;
	worker->has_more = false;
	size_t count;
	const int32_t *partitions = source_partitions(worker->source, &count);
	worker->first_taken++;
	for (size_t i = 0; i < count; i++)
		take_partition(worker, partitions[(worker->first_taken + i) % count], now);
}

static void take_results(struct worker *worker, struct instant now)
{
	struct upstream_event events[EVENTS_PER_TAKE];
	size_t count;
	do {
		count = upstream_take(worker->upstream, events, EVENTS_PER_TAKE);
		for (size_t i = 0; i < count; i++) {
			if (events[i].call == NULL)
				flow_content_begun(worker->flow, events[i].id, now);
			else
				flow_call_done(worker->flow, events[i].call, now);
		}
	} while (count == EVENTS_PER_TAKE);
}

static void start_calls(struct worker *worker, struct instant now)
{
	uint64_t id;
	int64_t deadline_ms;
	if (flow_next_probe(worker->flow, now, &id, &deadline_ms) == STATUS_OK &&
		upstream_probe_key(worker->upstream, id, deadline_ms) != STATUS_OK)
		flow_probe_refused(worker->flow, now);
	struct call *call;
	while (flow_next_call(worker->flow, now, &call) == STATUS_OK)
		if (upstream_put(worker->upstream, call) != STATUS_OK) flow_call_refused(worker->flow, call, now);
	/* Last, because chats that found no slot make kept calls give up theirs. */
	while (flow_next_cancel(worker->flow, &id) == STATUS_OK)
		upstream_cancel(worker->upstream, id);
}

static void begin_drain(struct worker *worker, struct instant now)
{
	if (worker->drain_end_ms != 0) return;
	int64_t drain_ms = worker->settings->worker.drain_ms;
	int64_t tail_ms = drain_ms / 2 < DRAIN_TAIL_MS ? drain_ms / 2 : DRAIN_TAIL_MS;
	int64_t close_ms = tail_ms < 2 * CLOSE_WAIT_MS ? tail_ms : 2 * CLOSE_WAIT_MS;
	worker->drain_end_ms = now.mono_ms + drain_ms - close_ms;
	flow_drain(worker->flow, now.mono_ms + drain_ms - tail_ms);
	worker->health.draining = true;
	metrics_set(worker->metrics, METRIC_DRAINING, 1);
	log_event(worker->log, LOG_LEVEL_INFO, "draining", LOG_FIELDS(log_int("at_most_ms", drain_ms)));
}

static void tell_health(struct worker *worker, struct instant now)
{
	worker->health.progress_mono_ms = now.mono_ms;
	worker->health.account_refused = flow_account_is_refused(worker->flow);
	if (now.mono_ms < worker->gauges_due_ms) return;
	worker->gauges_due_ms = now.mono_ms + GAUGES_INTERVAL_MS;
	struct flow_gauges gauges;
	flow_gauges(worker->flow, &gauges);
	int64_t late_ms = gauges.oldest_overdue_ms < now.mono_ms ? now.mono_ms - gauges.oldest_overdue_ms : 0;
	worker->health.oldest_past_deadline_ms = late_ms;
	worker->health.broker_reached = source_is_connected(worker->source);
	worker->health.group_joined = source_is_joined(worker->source);
	worker_events_gauges(&worker->events, worker->flow, worker->source, now.mono_ms);
	log_tell_repeats(worker->log);
}

static int wait_ms(const struct worker *worker)
{
	if (worker->has_more) return 0;
	/* What else is left unread may be taken as soon as something moved; that something wakes the loop. */
	int64_t due_ms = flow_due(worker->flow);
	if (worker->revoke_end_ms != 0 && worker->revoke_end_ms < due_ms) due_ms = worker->revoke_end_ms;
	int64_t left_ms = due_ms - clock_now().mono_ms;
	/* Deadlines were served in this turn, so what is overdue is a batch; it must not make the loop spin. */
	if (left_ms < BLOCKED_MS && worker->is_blocked) return BLOCKED_MS;
	if (left_ms < 0) return 0;
	return left_ms < TURN_MAX_MS ? (int)left_ms : TURN_MAX_MS;
}

static void turn(struct worker *worker)
{
	struct epoll_event ready[8];
	watchdog_beat(worker->pulse);
	int count = epoll_wait(worker->epoll_fd, ready, 8, wait_ms(worker));
	bool has_input = worker->has_unread;
	for (int i = 0; i < count; i++)
		if (ready[i].data.fd == source_fd(worker->source)) has_input = true;

	struct instant now = clock_now();
	if (signals_take(&worker->signals)) begin_drain(worker, now);
	if (signals_take_hangup(&worker->signals)) worker_key_read(&worker->key, now);
	take_results(worker, now);
	take_batch(worker, now); /* before the group is served: partitions that are asked for may wait for it */
	uint64_t heartbeats = source_heartbeats(worker->source);
	if (source_serve(worker->source) != STATUS_OK) worker->is_fatal = true;
	/* A rebalance has looked at the clock itself; time must not run backwards for the flow. */
	now = clock_now();
	flow_tick(worker->flow, now);
	tell_health(worker, now); /* here, where every deadline that has passed was served */
	if (has_input || count <= 0) take_records(worker, now);
	worker_key_tick(&worker->key, now);
	/* As late as can be: it may have stood still a moment ago. */
	flow_turn(worker->flow, clock_boot_ms(), heartbeats);
	start_calls(worker, now);
	if (worker->revoke_end_ms != 0) flow_hurry(worker->flow);
	put_batch(worker, now);
}

static bool is_over(const struct worker *worker)
{
	if (worker->is_fatal) return true;
	if (worker->drain_end_ms == 0) return false;
	return flow_is_idle(worker->flow) || clock_now().mono_ms >= worker->drain_end_ms;
}

static enum status watch(const struct worker *worker, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
	return epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? STATUS_OK : STATUS_IO;
}

static enum status open_flow(struct worker *worker)
{
	enum status status = worker_options_init(&worker->options, worker->settings);
	if (status != STATUS_OK) return status;
	worker->metrics = metrics_new(metrics_table_descriptors(), METRIC_INDEX_COUNT);
	if (worker->metrics == NULL) return STATUS_NO_MEMORY;
	worker_events_init(&worker->events, worker->settings, worker->log, worker->metrics);
	worker->options.flow.events = worker_events_table(&worker->events);
	worker->options.flow.seed = random_system_seed();
	worker->flow = flow_new(&worker->options.flow);
	return worker->flow == NULL ? STATUS_NO_MEMORY : STATUS_OK;
}

/* Not by way of the loop or the callers: one of them may be what is stuck. */
static void on_stuck(void *context, const char *name, int silent_ms)
{
	const struct worker *worker = context;
	log_event(worker->log, LOG_LEVEL_ERROR, "a thread is stuck, ending",
		LOG_FIELDS(log_string("thread", name), log_int("silent_ms", silent_ms)));
	_exit(WORKER_EXIT_INTERNAL);
}

static enum status open_watchdog(struct worker *worker)
{
	int stuck_ms = (int)worker->settings->worker.stuck_ms;
	if (stuck_ms == 0) return STATUS_OK;
	const struct watchdog_options options = {
		.look_ms = stuck_ms < STUCK_LOOKS ? 1 : stuck_ms / STUCK_LOOKS,
		.looks_max = STUCK_LOOKS,
		.on_stuck = on_stuck,
		.context = worker,
	};
	enum status status = watchdog_start(&options, &worker->watchdog);
	if (status == STATUS_OK) worker->pulse = watchdog_add(worker->watchdog, "flow");
	return status;
}

static enum status open_upstream(struct worker *worker, const struct secret *secret)
{
	struct buffer bearer;
	buffer_init(&bearer, SECRET_SIZE_MAX + 1);
	buffer_append(&bearer, secret_bytes(secret));
	buffer_append_char(&bearer, '\0');
	enum status status = buffer_status(&bearer);
	if (status == STATUS_OK) {
		worker->options.upstream.bearer = bearer.data;
		worker->options.upstream.log = worker->log;
		worker->options.upstream.watchdog = worker->watchdog;
		status = upstream_start(&worker->options.upstream, &worker->upstream);
		worker->options.upstream.bearer = NULL;
	}
	if (bearer.data != NULL) explicit_bzero(bearer.data, bearer.capacity);
	buffer_deinit(&bearer);
	return status;
}

static enum status open_kafka(struct worker *worker)
{
	struct source_options source = {
		.settings = worker->settings,
		.log = worker->log,
		.metrics = worker->metrics,
		.events = { .context = worker,
			.on_assign = on_assign,
			.may_revoke = may_revoke,
			.on_revoke = on_revoke },
	};
	enum status status = source_open(&source, &worker->source);
	if (status != STATUS_OK) return status;
	struct publisher_options publisher = {
		.settings = worker->settings,
		.source = worker->source,
		.log = worker->log,
		.metrics = worker->metrics,
		.watchdog = worker->watchdog,
	};
	return publisher_start(&publisher, &worker->publisher);
}

static enum status open_admin(struct worker *worker)
{
	const char *listen = worker->settings->admin.listen;
	if (listen[0] == '\0') return STATUS_OK;
	struct admin_options options = {
		.listen = listen,
		.health = &worker->health,
		.metrics = worker->metrics,
	};
	enum status status = admin_start(&options, &worker->admin);
	if (status == STATUS_OK)
		log_event(worker->log, LOG_LEVEL_INFO, "admin endpoints",
			LOG_FIELDS(log_int("port", (int64_t)admin_port(worker->admin))));
	else
		log_event(worker->log, LOG_LEVEL_ERROR, "admin.listen cannot be used: is the port taken?",
			LOG_FIELDS(log_string("address", listen)));
	return status;
}

/* What wakes the loop. */
static enum status open_epoll(struct worker *worker)
{
	const int fds[] = {
		worker->signals.fd,
		source_fd(worker->source),
		publisher_fd(worker->publisher),
		upstream_fd(worker->upstream),
	};
	worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (worker->epoll_fd < 0) return STATUS_IO;
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (watch(worker, fds[i]) != STATUS_OK) return STATUS_IO;
	return STATUS_OK;
}

/* Tells of a part that could not be opened. */
static enum status opened(const struct worker *worker, const char *part, enum status status)
{
	if (status != STATUS_OK)
		log_event(worker->log, LOG_LEVEL_ERROR, "cannot start",
			LOG_FIELDS(log_string("part", part), log_string("why", status_text(status))));
	return status;
}

/* Opens one thing after the other; the first failure ends it. */
static enum status open_all(struct worker *worker, const struct secret *secret)
{
	worker->health.settings_loaded = true;
	enum status status = opened(worker, "signals", signals_open(&worker->signals, secret_has_file(secret)));
	if (status == STATUS_OK)
		status = opened(worker, "threads", worker_threads_probe(worker->settings, worker->log));
	if (status == STATUS_OK) status = opened(worker, "flow", open_flow(worker));
	if (status == STATUS_OK) status = opened(worker, "worker.stuck_ms", open_watchdog(worker));
	if (status == STATUS_OK) status = opened(worker, "admin.listen", open_admin(worker));
	if (status == STATUS_OK) status = opened(worker, "openrouter", open_upstream(worker, secret));
	if (status == STATUS_OK) status = opened(worker, "kafka", open_kafka(worker));
	if (status == STATUS_OK) status = opened(worker, "loop", open_epoll(worker));
	return status;
}

/* What is finished goes out while this is still a member; the publisher asks the source, so it ends before it. False when
 * a thread of librdkafka had to be left behind: it may still use all of this, so nothing is freed. */
static bool close_all(struct worker *worker)
{
	bool has_time = worker->drain_end_ms == 0 || clock_now().mono_ms < worker->drain_end_ms;
	if (worker->publisher != NULL && !worker->is_fatal && has_time) publish_last(worker);
	enum status publisher = publisher_stop(worker->publisher, CLOSE_WAIT_MS);
	worker->publisher = NULL;
	enum status source = publisher == STATUS_OK ? source_close(worker->source, CLOSE_WAIT_MS) : STATUS_TIMEOUT;
	upstream_stop(worker->upstream);
	admin_stop(worker->admin);
	if (publisher != STATUS_OK || source != STATUS_OK) return false;
	watchdog_stop(worker->watchdog);
	flow_free(worker->flow);
	metrics_free(worker->metrics);
	worker_options_deinit(&worker->options);
	if (worker->epoll_fd >= 0) close(worker->epoll_fd);
	if (worker->signals.fd >= 0) signals_close(&worker->signals);
	return true;
}

static enum worker_exit exit_of(const struct worker *worker, enum status status)
{
	if (status == STATUS_INVALID) return WORKER_EXIT_CONFIG;
	return status != STATUS_OK || worker->is_fatal ? WORKER_EXIT_FAILED : WORKER_EXIT_OK;
}

enum worker_exit worker_run(const struct settings *settings, struct secret *secret, struct log *log)
{
	struct worker worker = { .settings = settings, .log = log, .epoll_fd = -1, .signals = { .fd = -1 } };
	enum status status = open_all(&worker, secret);
	if (status == STATUS_OK) {
		worker.key = (struct worker_key){
			.secret = secret, .log = log, .flow = worker.flow, .upstream = worker.upstream
		};
		log_event(log, LOG_LEVEL_INFO, "started", LOG_FIELDS(log_string("version", CHAT_WORKER_VERSION)));
		while (!is_over(&worker))
			turn(&worker);
	}
	bool is_closed = close_all(&worker);
	enum worker_exit code = exit_of(&worker, status);
	if (code == WORKER_EXIT_OK) log_event(log, LOG_LEVEL_INFO, "stopped", LOG_NO_FIELDS);
	/* Without the callers' cleaning up, which what was left behind would notice. */
	if (!is_closed) _exit((int)code);
	return code;
}
