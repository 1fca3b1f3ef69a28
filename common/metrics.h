/* Metrics: a registry made from a table of descriptors, written as Prometheus text or OpenMetrics.
 *
 * A metric without (variable) labels is reached by its index in the table: one relaxed atomic addition. A metric with
 * labels is reached by a series, found once by its label values and kept by the caller: the same cost from then on.
 *
 * Values are integers in a base unit chosen by the descriptor; `scale` turns them into the unit of the metric when
 * they are written (milliseconds → seconds: 0.001), so sums stay exact and nothing on the data path is floating
 * point.
 *
 * Bounds: a label has at most `values_max` different values, then `_OTHER`; a metric at most `series_max` series,
 * then one whose labels are all `_OTHER`. So hostile label values cannot take memory.
 *
 * Owner: main. Threads: any; adding, setting and observing take no lock, finding a series takes a short one.
 * Nothing blocks. */
#ifndef COMMON_METRICS_H
#define COMMON_METRICS_H

#include "common/buffer.h"
#include "common/bytes.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

/* TEXT is Prometheus text format 0.0.4, OPENMETRICS is 1.0.0. */
enum metrics_format { METRICS_FORMAT_TEXT, METRICS_FORMAT_OPENMETRICS };

enum {
	METRIC_LABELS_MAX = 4,       /* variable labels of one metric */
	METRIC_LABEL_SIZE_MAX = 200, /* bytes; a longer value counts as `_OTHER` */
	METRIC_BUCKETS_MAX = 24,
};

/* Static data, borrowed for the registry's life. */
struct metric_descriptor {
	const char *name; /* as exposed; counters end in `_total` */
	enum metric_type type;
	const char *unit;                          /* "seconds", "bytes", …; "" = none */
	const char *constant_labels;               /* `a="x",b="y"`, or "" */
	const char *labels[METRIC_LABELS_MAX + 1]; /* names, ended by NULL */
	double scale;                              /* exposed = stored × scale */
	int64_t bucket_first;  /* histograms: upper bound of the first bucket, in stored units, … */
	int64_t bucket_factor; /* … each next bound is this many times the one before, … */
	size_t bucket_count;   /* … this many, then +Inf */
	size_t values_max;     /* different values of one label; 0 = 64 */
	size_t series_max;     /* 0 = 256 */
	const char *help;
};

struct metrics;

/* Values of one metric under one set of label values; valid as long as the registry. */
struct metric_series;

/* NULL when memory is missing. Metrics without labels exist from now on, with value 0. */
NODISCARD struct metrics *metrics_new(const struct metric_descriptor *descriptors, size_t count);

/* No thread may use a series any more. Accepts NULL. */
void metrics_free(struct metrics *metrics);

/* The series of metric `index` with these label values, in the order of the descriptor's labels (missing ones at the
 * end are empty). Made when it is new; never NULL: without memory or beyond the bounds it is the `_OTHER` series.
 * A retired series comes back, with its old value for counters and histograms and 0 for gauges. */
struct metric_series *metrics_series(struct metrics *metrics, size_t index, const struct bytes *values, size_t count);

/* Counters and gauges; `amount` may be negative for gauges only. */
void metric_add(struct metric_series *series, int64_t amount);
/* Gauges. */
void metric_set(struct metric_series *series, int64_t value);
/* Histograms; a negative value counts as 0. */
void metric_observe(struct metric_series *series, int64_t value);
/* Not written from now on, until it is asked for again: the gauges of a partition that has moved away. */
void metric_retire(struct metric_series *series);
/* The stored value, for tests: of a histogram the number of observations. */
int64_t metric_value(const struct metric_series *series);

/* The same for a metric without labels, by its index. */
void metrics_add(struct metrics *metrics, size_t index, int64_t amount);
void metrics_set(struct metrics *metrics, size_t index, int64_t value);
void metrics_observe(struct metrics *metrics, size_t index, int64_t value);

/* For metrics with one label: finds the series and adds. Costs a lookup. */
void metrics_add_labelled(struct metrics *metrics, size_t index, struct bytes value, int64_t amount);

/* Appends the whole exposition (OpenMetrics' closing `# EOF` too). The buffer keeps its own failure. */
void metrics_write(struct metrics *metrics, enum metrics_format format, struct buffer *out_text);

/* Appends the comment lines before the samples of a metric. */
void metrics_write_head(
	const struct metric_descriptor *descriptor, enum metrics_format format, struct buffer *out_text);

/* The `Content-Type` of a format; static. */
const char *metrics_content_type(enum metrics_format format);

#endif
