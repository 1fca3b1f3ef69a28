/* Notices stuck threads: see the header. */
#include "common/watchdog.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/assertion.h"

struct watchdog {
	struct watchdog_options options;
	struct watchdog_pulse pulses[WATCHDOG_PULSES_MAX];
	atomic_size_t count;
	int stop_fd; /* readable when the thread shall end */
	bool is_started;
	pthread_t thread;
};

static void look_at(const struct watchdog_options *options, struct watchdog_pulse *pulse)
{
	unsigned beats = atomic_load(&pulse->beats);
	if (atomic_load(&pulse->is_resting) || beats != pulse->seen) {
		pulse->seen = beats;
		pulse->silent = 0;
		return;
	}
	if (pulse->silent == options->looks_max) return; /* told already */
	pulse->silent++;
	if (pulse->silent == options->looks_max)
		options->on_stuck(options->context, pulse->name, options->looks_max * options->look_ms);
}

void watchdog_look(struct watchdog *watchdog)
{
	size_t count = atomic_load(&watchdog->count);
	ASSERT(count <= WATCHDOG_PULSES_MAX);
	for (size_t i = 0; i < count; i++)
		look_at(&watchdog->options, &watchdog->pulses[i]);
}

static void *run(void *argument)
{
	struct watchdog *watchdog = argument;
	struct pollfd stop = { .fd = watchdog->stop_fd, .events = POLLIN };
	while (poll(&stop, 1, watchdog->options.look_ms) == 0)
		watchdog_look(watchdog);
	return NULL;
}

/* Signals are for the main thread. */
static enum status create_thread(struct watchdog *watchdog)
{
	sigset_t all, before;
	sigfillset(&all);
	int result = pthread_sigmask(SIG_SETMASK, &all, &before);
	ASSERT(result == 0);
	watchdog->is_started = pthread_create(&watchdog->thread, NULL, run, watchdog) == 0;
	result = pthread_sigmask(SIG_SETMASK, &before, NULL);
	ASSERT(result == 0);
	return watchdog->is_started ? STATUS_OK : STATUS_IO;
}

enum status watchdog_start(const struct watchdog_options *options, struct watchdog **out_watchdog)
{
	ASSERT(options->look_ms > 0);
	ASSERT(options->looks_max >= 2);
	ASSERT(options->on_stuck != NULL);
	struct watchdog *watchdog = calloc(1, sizeof(*watchdog));
	if (watchdog == NULL) return STATUS_NO_MEMORY;
	watchdog->options = *options;
	watchdog->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	enum status status = watchdog->stop_fd < 0 ? STATUS_IO : create_thread(watchdog);
	if (status == STATUS_OK)
		*out_watchdog = watchdog;
	else
		watchdog_stop(watchdog);
	return status;
}

void watchdog_stop(struct watchdog *watchdog)
{
	if (watchdog == NULL) return;
	if (watchdog->is_started) {
		int result = eventfd_write(watchdog->stop_fd, 1);
		ASSERT(result == 0);
		result = pthread_join(watchdog->thread, NULL);
		ASSERT(result == 0);
	}
	if (watchdog->stop_fd >= 0) close(watchdog->stop_fd);
	free(watchdog);
}

struct watchdog_pulse *watchdog_add(struct watchdog *watchdog, const char *name)
{
	ASSERT(name != NULL);
	if (watchdog == NULL) return NULL;
	size_t count = atomic_load(&watchdog->count);
	if (count == WATCHDOG_PULSES_MAX) return NULL;
	struct watchdog_pulse *pulse = &watchdog->pulses[count];
	pulse->name = name;
	atomic_store(&pulse->is_resting, true);
	atomic_store(&watchdog->count, count + 1);
	return pulse;
}

void watchdog_beat(struct watchdog_pulse *pulse)
{
	if (pulse == NULL) return;
	atomic_fetch_add_explicit(&pulse->beats, 1, memory_order_relaxed);
	if (atomic_load_explicit(&pulse->is_resting, memory_order_relaxed)) atomic_store(&pulse->is_resting, false);
}

void watchdog_rest(struct watchdog_pulse *pulse)
{
	if (pulse != NULL) atomic_store(&pulse->is_resting, true);
}
