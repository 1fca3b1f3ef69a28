/* The registry and its values; the exposition is in common/metrics_text.c. */
#include "common/metrics.h"

#include <stdlib.h>
#include <string.h>

#include "common/assertion.h"
#include "common/metrics_series.h"
#include "common/random.h"

enum { METRICS_VALUES_MAX = 64, METRICS_SERIES_MAX = 256 };

static const struct bytes other = { .data = "_OTHER", .size = 6 };

static size_t count_labels(const struct metric_descriptor *descriptor)
{
	size_t count = 0;
	while (count < METRIC_LABELS_MAX && descriptor->labels[count] != NULL)
		count++;
	return count;
}

static size_t count_cells(const struct metric_descriptor *descriptor)
{
	return descriptor->type == METRIC_HISTOGRAM ? descriptor->bucket_count + 1 : 0;
}

static struct metric_series *series_new(const struct metric *metric, const struct bytes *values)
{
	size_t cells_size = count_cells(metric->descriptor) * sizeof(atomic_uint_fast64_t);
	size_t size = sizeof(struct metric_series) + cells_size;
	for (size_t i = 0; i < metric->label_count; i++)
		size += values[i].size;
	struct metric_series *series = calloc(1, size);
	if (series == NULL) return NULL;
	series->descriptor = metric->descriptor;
	series->label_count = metric->label_count;
	char *place = (char *)series + sizeof *series + cells_size;
	for (size_t i = 0; i < metric->label_count; i++) {
		if (values[i].size > 0) memcpy(place, values[i].data, values[i].size);
		series->labels[i] = bytes_at(place, values[i].size);
		place += values[i].size;
	}
	return series;
}

static void link_series(struct metric *metric, struct metric_series *series)
{
	*metric->end = series;
	metric->end = &series->next;
	struct metric_series **bucket = &metric->table[series->hash % METRICS_HASH_SIZE];
	series->next_hash = *bucket;
	*bucket = series;
	metric->series_count++;
}

static void check(const struct metric_descriptor *descriptor)
{
	ASSERT(descriptor->name != NULL);
	ASSERT(descriptor->help != NULL);
	ASSERT(descriptor->scale > 0);
	ASSERT(descriptor->bucket_count <= METRIC_BUCKETS_MAX);
	ASSERT((descriptor->bucket_count > 0) == (descriptor->type == METRIC_HISTOGRAM));
}

/* The single series of a metric without labels is visible at once; the `_OTHER` one of a metric with labels is kept
 * in reserve, so that there is always a series to give. */
static enum status metric_init(struct metric *metric, const struct metric_descriptor *descriptor)
{
	check(descriptor);
	metric->descriptor = descriptor;
	metric->label_count = count_labels(descriptor);
	metric->end = &metric->first;
	metric->values_max = descriptor->values_max == 0 ? METRICS_VALUES_MAX : descriptor->values_max;
	for (size_t i = 0; i < metric->label_count; i++) {
		metric->values[i] = calloc(metric->values_max, sizeof(struct bytes));
		if (metric->values[i] == NULL) return STATUS_NO_MEMORY;
	}
	const struct bytes values[METRIC_LABELS_MAX] = { other, other, other, other };
	metric->single = series_new(metric, values);
	if (metric->single == NULL) return STATUS_NO_MEMORY;
	*metric->end = metric->single;
	metric->end = &metric->single->next;
	atomic_store(&metric->single->is_retired, metric->label_count > 0);
	return STATUS_OK;
}

struct metrics *metrics_new(const struct metric_descriptor *descriptors, size_t count)
{
	struct metrics *metrics = calloc(1, sizeof *metrics + count * sizeof metrics->metrics[0]);
	if (metrics == NULL) return NULL;
	pthread_mutex_init(&metrics->lock, NULL);
	metrics->key = (struct hash_key){ .k0 = random_system_seed(), .k1 = random_system_seed() };
	metrics->count = count;
	for (size_t i = 0; i < count; i++) {
		if (metric_init(&metrics->metrics[i], &descriptors[i]) == STATUS_OK) continue;
		metrics_free(metrics);
		return NULL;
	}
	return metrics;
}

static void metric_deinit(struct metric *metric)
{
	struct metric_series *series = metric->first;
	while (series != NULL) {
		struct metric_series *next = series->next;
		free(series);
		series = next;
	}
	for (size_t i = 0; i < metric->label_count; i++)
		free(metric->values[i]);
}

void metrics_free(struct metrics *metrics)
{
	if (metrics == NULL) return;
	for (size_t i = 0; i < metrics->count; i++)
		metric_deinit(&metrics->metrics[i]);
	pthread_mutex_destroy(&metrics->lock);
	free(metrics);
}

static uint64_t hash_values(struct hash_key key, const struct bytes *values, size_t count)
{
	uint64_t hash = 0;
	for (size_t i = 0; i < count; i++)
		hash = hash * 31 + hash_keyed(key, values[i]);
	return hash;
}

static struct metric_series *find(const struct metric *metric, uint64_t hash, const struct bytes *values)
{
	struct metric_series *series = metric->table[hash % METRICS_HASH_SIZE];
	for (; series != NULL; series = series->next_hash) {
		size_t same = 0;
		while (same < metric->label_count && bytes_equal(series->labels[same], values[same]))
			same++;
		if (series->hash == hash && same == metric->label_count) return series;
	}
	return NULL;
}

static bool has_value(const struct metric *metric, size_t label, struct bytes value)
{
	for (size_t i = 0; i < metric->value_counts[label]; i++) {
		if (bytes_equal(metric->values[label][i], value)) return true;
	}
	return false;
}

static void note_values(struct metric *metric, const struct metric_series *series)
{
	for (size_t i = 0; i < metric->label_count; i++) {
		bool is_known = has_value(metric, i, series->labels[i]) || bytes_equal(series->labels[i], other);
		if (is_known) continue;
		ASSERT(metric->value_counts[i] < metric->values_max);
		metric->values[i][metric->value_counts[i]++] = series->labels[i];
	}
}

static struct metric_series *make(struct metrics *metrics, struct metric *metric, struct bytes *values)
{
	for (size_t i = 0; i < metric->label_count; i++) {
		bool is_full = metric->value_counts[i] == metric->values_max;
		if (is_full && !has_value(metric, i, values[i])) values[i] = other;
	}
	uint64_t hash = hash_values(metrics->key, values, metric->label_count);
	struct metric_series *series = find(metric, hash, values);
	if (series != NULL) return series;
	size_t series_max = metric->descriptor->series_max == 0 ? METRICS_SERIES_MAX : metric->descriptor->series_max;
	if (metric->series_count >= series_max) return metric->single;
	bool is_all_other = true;
	for (size_t i = 0; i < metric->label_count; i++)
		is_all_other = is_all_other && bytes_equal(values[i], other);
	if (is_all_other) return metric->single;
	series = series_new(metric, values);
	if (series == NULL) return metric->single;
	series->hash = hash;
	link_series(metric, series);
	note_values(metric, series);
	return series;
}

/* A gauge that comes back begins at 0: what it said was about another time. */
static void revive(struct metric_series *series)
{
	if (!atomic_load_explicit(&series->is_retired, memory_order_relaxed)) return;
	if (series->descriptor->type == METRIC_GAUGE) atomic_store_explicit(&series->value, 0, memory_order_relaxed);
	atomic_store_explicit(&series->is_retired, false, memory_order_relaxed);
}

struct metric_series *metrics_series(struct metrics *metrics, size_t index, const struct bytes *values, size_t count)
{
	ASSERT(index < metrics->count);
	struct metric *metric = &metrics->metrics[index];
	ASSERT(count <= metric->label_count);
	if (metric->label_count == 0) return metric->single;
	struct bytes wanted[METRIC_LABELS_MAX];
	for (size_t i = 0; i < metric->label_count; i++) {
		wanted[i] = i < count ? values[i] : BYTES_LITERAL("");
		if (wanted[i].size > METRIC_LABEL_SIZE_MAX || !bytes_is_utf8(wanted[i])) wanted[i] = other;
	}
	uint64_t hash = hash_values(metrics->key, wanted, metric->label_count);
	pthread_mutex_lock(&metrics->lock);
	struct metric_series *series = find(metric, hash, wanted);
	if (series == NULL) series = make(metrics, metric, wanted);
	revive(series);
	pthread_mutex_unlock(&metrics->lock);
	return series;
}

void metric_add(struct metric_series *series, int64_t amount)
{
	ASSERT(series->descriptor->type == METRIC_GAUGE || amount >= 0);
	ASSERT(series->descriptor->type != METRIC_HISTOGRAM);
	atomic_fetch_add_explicit(&series->value, amount, memory_order_relaxed);
}

void metric_set(struct metric_series *series, int64_t value)
{
	ASSERT(series->descriptor->type == METRIC_GAUGE);
	atomic_store_explicit(&series->value, value, memory_order_relaxed);
}

void metric_observe(struct metric_series *series, int64_t value)
{
	const struct metric_descriptor *descriptor = series->descriptor;
	ASSERT(descriptor->type == METRIC_HISTOGRAM);
	if (value < 0) value = 0;
	int64_t bound = descriptor->bucket_first;
	size_t bucket = 0;
	for (; bucket < descriptor->bucket_count && value > bound; bucket++)
		bound *= descriptor->bucket_factor;
	atomic_fetch_add_explicit(&series->counts[bucket], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&series->value, value, memory_order_relaxed);
}

void metric_retire(struct metric_series *series)
{
	if (series->label_count > 0) atomic_store_explicit(&series->is_retired, true, memory_order_relaxed);
}

int64_t metric_value(const struct metric_series *series)
{
	if (series->descriptor->type != METRIC_HISTOGRAM)
		return atomic_load_explicit(&series->value, memory_order_relaxed);
	uint64_t total = 0;
	for (size_t i = 0; i <= series->descriptor->bucket_count; i++)
		total += atomic_load_explicit(&series->counts[i], memory_order_relaxed);
	return (int64_t)total;
}

static struct metric_series *single(struct metrics *metrics, size_t index)
{
	ASSERT(index < metrics->count);
	ASSERT(metrics->metrics[index].label_count == 0);
	return metrics->metrics[index].single;
}

void metrics_add(struct metrics *metrics, size_t index, int64_t amount)
{
	metric_add(single(metrics, index), amount);
}

void metrics_set(struct metrics *metrics, size_t index, int64_t value)
{
	metric_set(single(metrics, index), value);
}

void metrics_observe(struct metrics *metrics, size_t index, int64_t value)
{
	metric_observe(single(metrics, index), value);
}

void metrics_add_labelled(struct metrics *metrics, size_t index, struct bytes value, int64_t amount)
{
	metric_add(metrics_series(metrics, index, &value, 1), amount);
}
