/* Prometheus text and OpenMetrics: how a registry is written. */
#include <math.h>
#include <string.h>

#include "common/assertion.h"
#include "common/metrics_series.h"

static void append_number(struct buffer *text, double number, bool is_float)
{
	if (number == floor(number) && fabs(number) < 1e15)
		buffer_append_format(text, "%.*f", is_float ? 1 : 0, number);
	else
		buffer_append_format(text, "%.12g", number);
}

static void append_escaped(struct buffer *text, struct bytes value)
{
	for (size_t i = 0; i < value.size; i++) {
		char one = value.data[i];
		if (one == '\n')
			buffer_append_text(text, "\\n");
		else if (one == '"' || one == '\\')
			buffer_append_format(text, "\\%c", one);
		else
			buffer_append_char(text, one);
	}
}

/* `{a="x",b="y"`, without the closing brace; true when anything was written. */
static bool append_labels(struct buffer *text, const struct metric_series *series)
{
	const struct metric_descriptor *descriptor = series->descriptor;
	bool any = descriptor->constant_labels[0] != '\0';
	if (any) buffer_append_format(text, "{%s", descriptor->constant_labels);
	for (size_t i = 0; i < series->label_count; i++) {
		buffer_append_format(text, "%s%s=\"", any ? "," : "{", descriptor->labels[i]);
		append_escaped(text, series->labels[i]);
		buffer_append_char(text, '"');
		any = true;
	}
	return any;
}

static void append_sample(struct buffer *text, const struct metric_series *series, const char *suffix, double number)
{
	buffer_append_format(text, "%s%s", series->descriptor->name, suffix);
	if (append_labels(text, series)) buffer_append_char(text, '}');
	buffer_append_char(text, ' ');
	append_number(text, number, false);
	buffer_append_char(text, '\n');
}

static void append_bucket(struct buffer *text, const struct metric_series *series, double bound, uint64_t count)
{
	buffer_append_format(text, "%s_bucket", series->descriptor->name);
	buffer_append_text(text, append_labels(text, series) ? ",le=\"" : "{le=\"");
	if (isinf(bound))
		buffer_append_text(text, "+Inf");
	else
		append_number(text, bound, true);
	buffer_append_format(text, "\"} %llu\n", (unsigned long long)count);
}

/* The count is the sum of the buckets as read here, so both agree whatever is observed meanwhile. */
static void append_histogram(struct buffer *text, const struct metric_series *series)
{
	const struct metric_descriptor *descriptor = series->descriptor;
	uint64_t count = 0;
	int64_t bound = descriptor->bucket_first;
	for (size_t i = 0; i < descriptor->bucket_count; i++, bound *= descriptor->bucket_factor) {
		count += atomic_load_explicit(&series->counts[i], memory_order_relaxed);
		append_bucket(text, series, (double)bound * descriptor->scale, count);
	}
	count += atomic_load_explicit(&series->counts[descriptor->bucket_count], memory_order_relaxed);
	append_bucket(text, series, INFINITY, count);
	int64_t sum = atomic_load_explicit(&series->value, memory_order_relaxed);
	append_sample(text, series, "_sum", (double)sum * descriptor->scale);
	append_sample(text, series, "_count", (double)count);
}

static bool ends_with(struct bytes name, const char *end)
{
	size_t size = strlen(end);
	return name.size >= size && bytes_equal_text(bytes_at(name.data + name.size - size, size), end);
}

/* In OpenMetrics a counter's family has no `_total`, and a unit must be the end of the family's name. */
void metrics_write_head(const struct metric_descriptor *descriptor, enum metrics_format format, struct buffer *out_text)
{
	static const char *const types[] = { "counter", "gauge", "histogram" };
	struct bytes family = bytes_of(descriptor->name);
	bool is_open = format == METRICS_FORMAT_OPENMETRICS;
	if (is_open && ends_with(family, "_total")) family.size -= strlen("_total");
	int size = (int)family.size;
	const char *name = family.data;
	buffer_append_format(out_text, "# HELP %.*s %s\n", size, name, descriptor->help);
	buffer_append_format(out_text, "# TYPE %.*s %s\n", size, name, types[descriptor->type]);
	bool has_unit = descriptor->unit[0] != '\0' && ends_with(family, descriptor->unit);
	if (is_open && has_unit) buffer_append_format(out_text, "# UNIT %.*s %s\n", size, name, descriptor->unit);
}

static void append_metric(struct buffer *text, const struct metric *metric, enum metrics_format format)
{
	bool has_head = false;
	for (const struct metric_series *series = metric->first; series != NULL; series = series->next) {
		if (atomic_load_explicit(&series->is_retired, memory_order_relaxed)) continue;
		if (!has_head) metrics_write_head(metric->descriptor, format, text);
		has_head = true;
		if (metric->descriptor->type == METRIC_HISTOGRAM) {
			append_histogram(text, series);
			continue;
		}
		int64_t value = atomic_load_explicit(&series->value, memory_order_relaxed);
		append_sample(text, series, "", (double)value * metric->descriptor->scale);
	}
}

void metrics_write(struct metrics *metrics, enum metrics_format format, struct buffer *out_text)
{
	pthread_mutex_lock(&metrics->lock);
	for (size_t i = 0; i < metrics->count; i++)
		append_metric(out_text, &metrics->metrics[i], format);
	pthread_mutex_unlock(&metrics->lock);
	if (format == METRICS_FORMAT_OPENMETRICS) buffer_append_text(out_text, "# EOF\n");
}

const char *metrics_content_type(enum metrics_format format)
{
	switch (format) {
	case METRICS_FORMAT_TEXT:
		return "text/plain; version=0.0.4; charset=utf-8";
	case METRICS_FORMAT_OPENMETRICS:
		return "application/openmetrics-text; version=1.0.0; charset=utf-8";
	}
	ASSERT_UNREACHABLE();
}
