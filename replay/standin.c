/* The stand-in's life: socket, daemon, thread, loop. */
#include "replay/standin.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/assertion.h"
#include "replay/listener.h"
#include "replay/standin_exchange.h"

enum { CONNECTION_MEMORY = 16 << 10, URL_MAX = 300 };

struct standin {
	struct standin_desk desk;  /* the loop's, but for its counters */
	struct MHD_Daemon *daemon; /* owned, run by the loop */
	int stop_fd;               /* owned: eventfd, readable when the loop shall end */
	pthread_t thread;
	char *key; /* owned, NULL = any */
	char url[URL_MAX];
};

struct standin_options standin_options_default(void)
{
	return (struct standin_options){ .listen = "127.0.0.1:0",
		.timing = { .ttft_ms = -1, .latency_ms = -1, .tps = 0, .deltas = 20 },
		.keepalive_ms = 700,
		.seed = 1 };
}

/* Thousands of connections need thousands of descriptors; as many as the system lets us. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

static void wake_due(struct standin_desk *desk, int64_t until_ms)
{
	struct heap_node *node;
	while ((node = heap_take_due(&desk->waiting, until_ms)) != NULL)
		exchange_wake(desk, node);
}

/* How long the loop may sleep, in the unit of poll(); -1 = until something happens. */
static int sleep_ms(struct standin *standin)
{
	MHD_UNSIGNED_LONG_LONG daemon_ms = 0;
	int64_t wait_ms = -1;
	const struct heap_node *first = heap_first(&standin->desk.waiting);
	if (MHD_get_timeout(standin->daemon, &daemon_ms) == MHD_YES) wait_ms = (int64_t)daemon_ms;
	if (first != NULL) {
		int64_t due_ms = first->due - clock_now().mono_ms;
		if (due_ms < 0) due_ms = 0;
		if (wait_ms < 0 || due_ms < wait_ms) wait_ms = due_ms;
	}
	return wait_ms > 1000 ? 1000 : (int)wait_ms;
}

static void close_all(struct standin *standin)
{
	standin->desk.is_closing = true;
	wake_due(&standin->desk, INT64_MAX);
	(void)MHD_run(standin->daemon);
	wake_due(&standin->desk, INT64_MAX);
	(void)MHD_run(standin->daemon);
	ASSERT(standin->desk.waiting.count == 0);
}

static void *run_loop(void *context)
{
	struct standin *standin = context;
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(standin->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	struct pollfd fds[] = { { .fd = info->epoll_fd, .events = POLLIN },
		{ .fd = standin->stop_fd, .events = POLLIN } };
	for (;;) {
		standin->desk.now = clock_now();
		wake_due(&standin->desk, standin->desk.now.mono_ms);
		(void)MHD_run(standin->daemon);
		if ((fds[1].revents & POLLIN) != 0) break;
		int timeout_ms = sleep_ms(standin);
		if (timeout_ms != 0) standin_journal_flush(standin->desk.journal);
		(void)poll(fds, 2, timeout_ms);
	}
	close_all(standin);
	return NULL;
}

static void standin_free(struct standin *standin)
{
	if (standin->daemon != NULL) MHD_stop_daemon(standin->daemon);
	standin_journal_close(standin->desk.journal);
	standin_seen_free(standin->desk.seen);
	heap_deinit(&standin->desk.waiting);
	if (standin->stop_fd >= 0) close(standin->stop_fd);
	free(standin->key);
	free(standin);
}

static enum status desk_init(struct standin *standin, const struct standin_options *options)
{
	struct standin_desk *desk = &standin->desk;
	desk->options = *options;
	if (options->key != NULL) {
		standin->key = strdup(options->key);
		if (standin->key == NULL) return STATUS_NO_MEMORY;
		desk->options.key = standin->key;
	}
	random_init(&desk->random, options->seed);
	desk->now = clock_now();
	desk->seen = standin_seen_new(STANDIN_SEEN_MAX);
	if (desk->seen == NULL) return STATUS_NO_MEMORY;
	return options->journal != NULL ? standin_journal_open(options->journal, &desk->journal) : STATUS_OK;
}

/* "http://", what was asked to listen on, with the port that it became. */
static void write_url(struct standin *standin, const char *listen, uint16_t port)
{
	int host_size = (int)(strrchr(listen, ':') - listen);
	snprintf(standin->url, sizeof standin->url, "http://%.*s:%u/api/v1", host_size, listen, (unsigned)port);
}

static enum status open_daemon(struct standin *standin, const char *listen)
{
	int fd = -1;
	uint16_t port = 0;
	enum status status = listener_open(listen, &fd, &port);
	if (status != STATUS_OK) return status;
	write_url(standin, listen, port);
	const unsigned int flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME;
	standin->daemon = MHD_start_daemon(flags, port, NULL, NULL, exchange_handle, &standin->desk,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED, exchange_completed, &standin->desk,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned int)STANDIN_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)CONNECTION_MEMORY, MHD_OPTION_END);
	if (standin->daemon != NULL) return STATUS_OK;
	close(fd);
	return STATUS_IO;
}

/* The loop takes no signals: they are for the main thread, and a broken connection shall not end the process. */
static enum status start_thread(struct standin *standin)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int error = pthread_create(&standin->thread, NULL, run_loop, standin);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = error;
	return error == 0 ? STATUS_OK : STATUS_IO;
}

enum status standin_start(const struct standin_options *options, struct standin **out_standin)
{
	struct standin *standin = calloc(1, sizeof *standin);
	if (standin == NULL) return STATUS_NO_MEMORY;
	raise_descriptor_limit();
	heap_init(&standin->desk.waiting, STANDIN_CONNECTIONS_MAX);
	standin->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	enum status status = standin->stop_fd >= 0 ? desk_init(standin, options) : STATUS_IO;
	if (status == STATUS_OK) status = open_daemon(standin, options->listen);
	if (status == STATUS_OK) status = start_thread(standin);
	if (status == STATUS_OK) {
		*out_standin = standin;
		return STATUS_OK;
	}
	int error = errno;
	standin_free(standin);
	errno = error;
	return status;
}

void standin_stop(struct standin *standin)
{
	const uint64_t one = 1;
	if (standin == NULL) return;
	ssize_t written = write(standin->stop_fd, &one, sizeof one);
	ASSERT(written == (ssize_t)sizeof one);
	pthread_join(standin->thread, NULL);
	standin_free(standin);
}

const char *standin_url(const struct standin *standin)
{
	return standin->url;
}

struct standin_counts standin_counts(const struct standin *standin)
{
	const struct standin_desk *desk = &standin->desk;
	return (struct standin_counts){ .requests = atomic_load(&desk->requests),
		.answers = atomic_load(&desk->answers),
		.waiting = atomic_load(&desk->waiting_count) };
}
