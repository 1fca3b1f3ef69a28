/* What every Prometheus client exposes about its process: CPU seconds, memory, descriptors, start time, threads.
 *
 * Read from /proc at the moment of writing; what cannot be read is left out. Threads: any. Blocks no longer than
 * reading a few small files of /proc does. */
#ifndef COMMON_PROCESS_METRICS_H
#define COMMON_PROCESS_METRICS_H

#include "common/buffer.h"
#include "common/metrics.h"

/* One metric of this kind, for the reference page. */
struct process_metric {
	const char *name;
	enum metric_type type;
	const char *unit;
	const char *help;
};

/* The table, in the order of writing; static, `*out_count` rows. */
const struct process_metric *process_metrics_table(size_t *out_count);

/* Appends the exposition (to stand before metrics_write(), whose OpenMetrics form ends the text). */
void process_metrics_write(enum metrics_format format, struct buffer *out_text);

#endif
