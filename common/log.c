/* Lock, rate limit and writing; what a line looks like is common/log_line.h. */
#include "common/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/assertion.h"
#include "common/log_line.h"

enum {
	LOG_KEYS_MAX = 256, /* messages that are limited at the same time */
	LOG_PROBES = 8,     /* places looked at for one message; when all are busy it is not limited */
	LOG_BURST = 20,
	LOG_WINDOW_MS = 10000,
};

struct repeat {
	const char *message; /* static; NULL = free */
	enum log_level level;
	int64_t window_start_ms;
	unsigned written;
	uint64_t suppressed;
};

struct log {
	struct log_options options;
	atomic_uint_fast64_t dropped;
	pthread_mutex_t lock;
	/* under the lock: */
	struct redaction *redaction;
	struct log_line line;
	uint64_t dropped_told;
	struct repeat repeats[LOG_KEYS_MAX];
};

static struct instant read_clock(void *context)
{
	(void)context;
	return clock_now();
}

static enum log_format format_for(const struct log_options *options)
{
	if (options->format != LOG_FORMAT_AUTO) return options->format;
	return isatty(options->fd) == 1 ? LOG_FORMAT_TEXT : LOG_FORMAT_JSON;
}

struct log *log_new(const struct log_options *options)
{
	struct log *log = calloc(1, sizeof *log);
	struct redaction *redaction = redaction_new();
	if (log == NULL || redaction == NULL) goto fail;
	log->options = *options;
	if (log->options.burst == 0) log->options.burst = LOG_BURST;
	if (log->options.window_ms == 0) log->options.window_ms = LOG_WINDOW_MS;
	if (log->options.now == NULL) log->options.now = read_clock;
	log->redaction = redaction;
	log_line_init(&log->line, format_for(options), redaction);
	if (pthread_mutex_init(&log->lock, NULL) != 0) goto fail;
	return log;
fail:
	redaction_free(redaction);
	free(log);
	return NULL;
}

static struct instant log_time(const struct log *log)
{
	return log->options.now(log->options.context);
}

/* Never blocks: a pipe that is ready takes LOG_LINE_MAX bytes at once. */
static bool write_line(int fd, struct bytes line)
{
	struct pollfd ready = { .fd = fd, .events = POLLOUT };
	if (poll(&ready, 1, 0) != 1 || (ready.revents & (POLLERR | POLLNVAL)) != 0) return false;
	ssize_t size;
	do
		size = write(fd, line.data, line.size);
	while (size < 0 && errno == EINTR);
	return size == (ssize_t)line.size;
}

static void finish_line(struct log *log)
{
	uint64_t dropped = atomic_load_explicit(&log->dropped, memory_order_relaxed);
	uint64_t news = dropped - log->dropped_told;
	struct log_field field = log_int("dropped", (int64_t)news);
	if (news > 0) log_line_add(&log->line, &field);
	struct bytes line = log_line_end(&log->line);
	if (bytes_is_given(line) && write_line(log->options.fd, line))
		log->dropped_told = dropped;
	else
		atomic_fetch_add_explicit(&log->dropped, 1, memory_order_relaxed);
}

static void tell_repeat(struct log *log, struct repeat *repeat, int64_t wall_ms)
{
	struct log_field field = log_int("repeated", (int64_t)repeat->suppressed);
	log_line_begin(&log->line, wall_ms, repeat->level, repeat->message);
	log_line_add(&log->line, &field);
	finish_line(log);
	repeat->suppressed = 0;
}

static bool is_over(const struct log *log, const struct repeat *repeat, int64_t mono_ms)
{
	return mono_ms - repeat->window_start_ms >= log->options.window_ms;
}

/* The place of `message` in the table; NULL when there is none. */
static struct repeat *find_repeat(struct log *log, const char *message, int64_t mono_ms)
{
	struct repeat *reusable = NULL;
	size_t start = (size_t)((uintptr_t)message * UINT64_C(0x9E3779B97F4A7C15) >> 40);
	for (size_t i = 0; i < LOG_PROBES; i++) {
		struct repeat *repeat = &log->repeats[(start + i) % LOG_KEYS_MAX];
		if (repeat->message == message) return repeat;
		bool is_idle = repeat->message == NULL || (is_over(log, repeat, mono_ms) && repeat->suppressed == 0);
		if (is_idle && reusable == NULL) reusable = repeat;
	}
	if (reusable != NULL) *reusable = (struct repeat){ .message = message, .window_start_ms = mono_ms };
	return reusable;
}

/* May this event be written? `out_repeated` counts those that were not, before it. */
static bool is_within_limit(
	struct log *log, enum log_level level, const char *message, int64_t mono_ms, uint64_t *out_repeated)
{
	*out_repeated = 0;
	if (level == LOG_LEVEL_DEBUG) return true;
	struct repeat *repeat = find_repeat(log, message, mono_ms);
	if (repeat == NULL) return true;
	repeat->level = level;
	if (is_over(log, repeat, mono_ms)) {
		repeat->window_start_ms = mono_ms;
		repeat->written = 0;
	}
	if (repeat->written >= log->options.burst) {
		repeat->suppressed++;
		return false;
	}
	repeat->written++;
	*out_repeated = repeat->suppressed;
	repeat->suppressed = 0;
	return true;
}

static void write_event(
	struct log *log, enum log_level level, const char *message, const struct log_field *fields, size_t count)
{
	struct instant now = log_time(log);
	uint64_t repeated;
	if (!is_within_limit(log, level, message, now.mono_ms, &repeated)) return;
	log_line_begin(&log->line, now.wall_ms, level, message);
	for (size_t i = 0; i < count; i++)
		log_line_add(&log->line, &fields[i]);
	struct log_field field = log_int("repeated", (int64_t)repeated);
	if (repeated > 0) log_line_add(&log->line, &field);
	finish_line(log);
}

void log_event(struct log *log, enum log_level level, const char *message, const struct log_field *fields, size_t count)
{
	if (!log_is_on(log, level)) return;
	ASSERT(message != NULL);
	pthread_mutex_lock(&log->lock);
	write_event(log, level, message, fields, count);
	pthread_mutex_unlock(&log->lock);
}

void log_tell_repeats(struct log *log)
{
	if (log == NULL) return;
	pthread_mutex_lock(&log->lock);
	struct instant now = log_time(log);
	for (size_t i = 0; i < LOG_KEYS_MAX; i++) {
		struct repeat *repeat = &log->repeats[i];
		if (repeat->suppressed > 0 && is_over(log, repeat, now.mono_ms)) tell_repeat(log, repeat, now.wall_ms);
	}
	pthread_mutex_unlock(&log->lock);
}

void log_free(struct log *log)
{
	if (log == NULL) return;
	int64_t wall_ms = log_time(log).wall_ms;
	for (size_t i = 0; i < LOG_KEYS_MAX; i++) {
		if (log->repeats[i].suppressed > 0) tell_repeat(log, &log->repeats[i], wall_ms);
	}
	log_line_deinit(&log->line);
	redaction_free(log->redaction);
	pthread_mutex_destroy(&log->lock);
	free(log);
}

enum status log_redact(struct log *log, struct bytes secret)
{
	pthread_mutex_lock(&log->lock);
	enum status status = redaction_add(log->redaction, secret);
	pthread_mutex_unlock(&log->lock);
	return status;
}

void log_forget(struct log *log, struct bytes secret)
{
	pthread_mutex_lock(&log->lock);
	redaction_forget(log->redaction, secret);
	pthread_mutex_unlock(&log->lock);
}

bool log_is_on(const struct log *log, enum log_level level)
{
	return log != NULL && level <= log->options.level;
}

uint64_t log_dropped(const struct log *log)
{
	return atomic_load_explicit(&log->dropped, memory_order_relaxed);
}

const char *log_level_word(enum log_level level)
{
	static const char *const words[] = {
#define LOG_LEVEL_WORD(member, word) [member] = word,
		LOG_LEVEL_TABLE(LOG_LEVEL_WORD)
#undef LOG_LEVEL_WORD
	};
	ASSERT((size_t)level < sizeof words / sizeof words[0]);
	return words[level];
}
