/* A trial of threads: see the header. */
#include "worker/worker_threads.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/assertion.h"

enum {
	OURS = 4,      /* watchdog, admin, publisher, look-up */
	CLIENTS = 2,   /* consumer and producer */
	OF_CLIENT = 3, /* librdkafka's main one, one inside, one for the coordinator; and one for each broker */
};

size_t worker_threads_needed(const struct settings *settings)
{
	ASSERT(settings->worker.threads > 0);
	size_t brokers = 1;
	for (const char *at = settings->kafka.bootstrap_servers; *at != '\0'; at++)
		if (*at == ',') brokers++;
	return OURS + (size_t)settings->worker.threads + CLIENTS * (OF_CLIENT + brokers);
}

static void *stay(void *argument)
{
	pthread_mutex_t *gate = argument;
	(void)pthread_mutex_lock(gate);
	(void)pthread_mutex_unlock(gate);
	return NULL;
}

/* How many of so many there can be at once. */
static size_t make_and_end(pthread_t *threads, size_t wanted)
{
	pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
	(void)pthread_mutex_lock(&gate);
	size_t made = 0;
	while (made < wanted && pthread_create(&threads[made], NULL, stay, &gate) == 0)
		made++;
	(void)pthread_mutex_unlock(&gate);
	for (size_t i = 0; i < made; i++)
		(void)pthread_join(threads[i], NULL);
	(void)pthread_mutex_destroy(&gate);
	return made;
}

enum status worker_threads_probe(const struct settings *settings, struct log *log)
{
	size_t wanted = worker_threads_needed(settings);
	pthread_t *threads = calloc(wanted, sizeof(*threads));
	if (threads == NULL) return STATUS_NO_MEMORY;
	size_t made = make_and_end(threads, wanted);
	free(threads);
	if (made == wanted) return STATUS_OK;
	log_event(log, LOG_LEVEL_ERROR, "too few threads may be made: is there a limit of processes or of memory?",
		LOG_FIELDS(log_int("needed", (int64_t)wanted), log_int("possible", (int64_t)made)));
	return STATUS_IO;
}
