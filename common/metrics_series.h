/* What a registry holds, shared by common/metrics.c and common/metrics_text.c and nobody else.
 *
 * Series are made under the registry's lock and never freed before the registry; their values are atomics, so whoever
 * has a pointer needs no lock. Lists are walked under the lock. */
#ifndef COMMON_METRICS_SERIES_H
#define COMMON_METRICS_SERIES_H

#include <stdatomic.h>

#include <pthread.h>

#include "common/hash.h"
#include "common/metrics.h"

/* One allocation: the struct, the cells of a histogram, the bytes of the labels. Labels never change; the values are
 * written by any thread and read by the exposition, both relaxed: a scrape is no barrier. */
struct metric_series {
	const struct metric_descriptor *descriptor;
	struct metric_series *next;      /* in the metric's order of making */
	struct metric_series *next_hash; /* in its bucket of the metric's table */
	uint64_t hash;
	struct bytes labels[METRIC_LABELS_MAX]; /* owned copies, behind the struct */
	size_t label_count;
	atomic_bool is_retired;
	atomic_int_fast64_t value;     /* counter, gauge; sum of a histogram */
	atomic_uint_fast64_t counts[]; /* histogram: observations per bucket, the last one is +Inf */
};

enum { METRICS_HASH_SIZE = 64 };

/* All but `single` and `descriptor` is under the registry's lock. */
struct metric {
	const struct metric_descriptor *descriptor;
	size_t label_count;
	size_t series_count;
	struct bytes *values[METRIC_LABELS_MAX]; /* owned: different values of each label, borrowed from series */
	size_t value_counts[METRIC_LABELS_MAX];
	size_t values_max;
	struct metric_series *first;
	struct metric_series **end;   /* where the next one is linked */
	struct metric_series *single; /* without labels; with labels the `_OTHER` one */
	struct metric_series *table[METRICS_HASH_SIZE];
};

/* The keyed hash keeps label values from outside from colliding on purpose. */
struct metrics {
	pthread_mutex_t lock;
	struct hash_key key;
	size_t count;
	struct metric metrics[];
};

#endif
