#include "worker/metrics_table.h"

#include "common/process_metrics.h"

#define METRICS_ROW(member, name, type, unit, scale, constant, labels, buckets, bounds, help) \
	[member] = { name, METRIC_##type, unit, constant, labels, scale, buckets, bounds, help },

const struct metric_descriptor *metrics_table_descriptors(void)
{
	static const struct metric_descriptor descriptors[METRIC_INDEX_COUNT] = { METRICS_TABLE(METRICS_ROW) };
	return descriptors;
}

static const char *type_word(enum metric_type type)
{
	static const char *const words[] = { "counter", "gauge", "histogram" };
	return words[type];
}

/* Variable labels by name, constant ones with their value. */
static void append_labels(const struct metric_descriptor *descriptor, const char *quote, struct buffer *out_text)
{
	const char *gap = "";
	if (descriptor->constant_labels[0] != '\0') {
		buffer_append_format(out_text, "%s%s%s", quote, descriptor->constant_labels, quote);
		gap = ", ";
	}
	for (size_t i = 0; i < METRIC_LABELS_MAX && descriptor->labels[i] != NULL; i++) {
		buffer_append_format(out_text, "%s%s%s%s", gap, quote, descriptor->labels[i], quote);
		gap = ", ";
	}
}

static void append_markdown_row(const struct metric_descriptor *descriptor, struct buffer *out_text)
{
	buffer_append_format(out_text, "| `%s` | %s | ", descriptor->name, type_word(descriptor->type));
	append_labels(descriptor, "`", out_text);
	buffer_append_format(out_text, " | %s | ", descriptor->unit);
	if (descriptor->bucket_count > 0) {
		double first = (double)descriptor->bucket_first * descriptor->scale, last = first;
		for (size_t i = 1; i < descriptor->bucket_count; i++)
			last *= (double)descriptor->bucket_factor;
		buffer_append_format(out_text, "%g … %.10g, ×%d", first, last, (int)descriptor->bucket_factor);
	}
	buffer_append_format(out_text, " | %s |\n", descriptor->help);
}

void metrics_table_write_markdown(struct buffer *out_text)
{
	buffer_append_text(out_text, "# Metrics\n\n"
				     "Printed by `chat-worker metrics --format=md`. `GET /metrics` on `admin.listen` "
				     "gives them as Prometheus\n"
				     "text 0.0.4, or as OpenMetrics when the client asks for it. The label "
				     "`gen_ai_request_model` has at most 32\n"
				     "different values, then `_OTHER`. `error_type` is empty when there was none. The "
				     "version of the running\n"
				     "program is a label of `chat_worker_build_info`.\n\n"
				     "| name | type | labels | unit | buckets | what |\n|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < METRIC_INDEX_COUNT; i++) {
		struct metric_descriptor descriptor = metrics_table_descriptors()[i];
		if (i == METRIC_BUILD_INFO) descriptor.constant_labels = "version";
		append_markdown_row(&descriptor, out_text);
	}
	size_t count;
	const struct process_metric *process = process_metrics_table(&count);
	for (size_t i = 0; i < count; i++)
		buffer_append_format(out_text, "| `%s` | %s |  | %s |  | %s |\n", process[i].name,
			type_word(process[i].type), process[i].unit, process[i].help);
}

void metrics_table_write_text(struct buffer *out_text)
{
	for (size_t i = 0; i < METRIC_INDEX_COUNT; i++) {
		const struct metric_descriptor *descriptor = &metrics_table_descriptors()[i];
		buffer_append_format(
			out_text, "%-54s %-9s %-7s {", descriptor->name, type_word(descriptor->type), descriptor->unit);
		append_labels(descriptor, "", out_text);
		buffer_append_format(out_text, "}\n    %s\n", descriptor->help);
	}
	size_t count;
	const struct process_metric *process = process_metrics_table(&count);
	for (size_t i = 0; i < count; i++)
		buffer_append_format(out_text, "%-54s %-9s %-7s {}\n    %s\n", process[i].name,
			type_word(process[i].type), process[i].unit, process[i].help);
}
