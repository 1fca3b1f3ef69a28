/* Reports. Places are written topic-partition@offset. */
#include "replay/audit_report.h"

#include <inttypes.h>

static void add_place(struct buffer *out, const struct audit_place *place)
{
	buffer_append_format(out, "%s-%" PRId32 "@%" PRId64, place->topic, place->partition, place->offset);
}

static void add_example(struct buffer *out, const struct audit_example *example)
{
	bool has_both = example->record.topic != NULL && example->request.topic != NULL;
	buffer_append_text(out, "    ");
	if (example->record.topic != NULL) add_place(out, &example->record);
	if (has_both) buffer_append_text(out, " to ");
	if (example->request.topic != NULL) add_place(out, &example->request);
	if (example->after_ms >= 0) buffer_append_format(out, " after %" PRId64 " ms", example->after_ms);
	buffer_append_char(out, '\n');
}

static bool is_of_interest(const struct audit_judge *judge, const struct audit_subject *subject, size_t i)
{
	return i < AUDIT_LETTER_DUPLICATE || subject->dead_letters != NULL ||
	       audit_judge_found(judge, (enum audit_finding)i) > 0;
}

static void add_row(struct buffer *out, const char *label, size_t count, const char *note)
{
	buffer_append_format(out, "%-30s%12zu%s%s\n", label, count, note[0] != 0 ? "   " : "", note);
}

static void add_findings(const struct audit_judge *judge, const struct audit_subject *subject, struct buffer *out)
{
	for (size_t i = 0; i < AUDIT_FINDING_COUNT; i++) {
		enum audit_finding finding = (enum audit_finding)i;
		size_t count = 0;
		const struct audit_example *examples = audit_judge_examples(judge, finding, &count);
		if (!is_of_interest(judge, subject, i)) continue;
		add_row(out, audit_finding_label(finding), audit_judge_found(judge, finding), "");
		for (size_t j = 0; j < count; j++)
			add_example(out, &examples[j]);
	}
}

void audit_report_text(const struct audit_judge *judge, const struct audit_subject *subject, struct buffer *out)
{
	const struct audit_counts *counts = audit_judge_counts(judge);
	add_row(out, "requests", counts->requests, subject->requests);
	add_row(out, "replied to", counts->answered, "");
	buffer_append_format(out, "    %zu answered, %zu fallback, %zu rejected", counts->outcomes[AUDIT_ANSWERED],
		counts->outcomes[AUDIT_FALLBACK], counts->outcomes[AUDIT_REJECTED]);
	if (counts->slowest_ms >= 0)
		buffer_append_format(out, "; the slowest after %" PRId64 " ms", counts->slowest_ms);
	buffer_append_char(out, '\n');
	add_row(out, "pending", counts->pending, "younger than the deadline");
	if (subject->group != NULL) add_row(out, "open", counts->open, "not finished by the group");
	if (counts->outside > 0) add_row(out, "outside of the time given", counts->outside, "");
	if (counts->others > 0) add_row(out, "replies to other requests", counts->others, "not judged");
	if (subject->dead_letters != NULL) {
		add_row(out, "dead letters", counts->letters, subject->dead_letters);
		add_row(out, "rejected without one", counts->unlettered, "not judged");
	}
	add_findings(judge, subject, out);
	buffer_append_text(out, audit_judge_is_clean(judge) ? "clean\n" : "NOT clean\n");
}

static void add_key(struct buffer *out, const char *key)
{
	buffer_append_format(out, ",\"%s\":", key);
}

static void add_number(struct buffer *out, const char *key, int64_t number)
{
	add_key(out, key);
	buffer_append_int(out, number);
}

static void add_json_place(struct buffer *out, const char *key, const struct audit_place *place)
{
	buffer_append_format(out, "\"%s\":", key);
	if (place->topic == NULL) {
		buffer_append_text(out, "null");
		return;
	}
	buffer_append_text(out, "{\"topic\":");
	buffer_append_json_string(out, bytes_of(place->topic));
	add_number(out, "partition", place->partition);
	add_number(out, "offset", place->offset);
	buffer_append_char(out, '}');
}

static void add_json_finding(struct buffer *out, const struct audit_judge *judge, enum audit_finding finding)
{
	size_t count = 0;
	const struct audit_example *examples = audit_judge_examples(judge, finding, &count);
	add_key(out, audit_finding_key(finding));
	buffer_append_format(out, "{\"count\":%zu,\"examples\":[", audit_judge_found(judge, finding));
	for (size_t i = 0; i < count; i++) {
		buffer_append_text(out, i > 0 ? ",{" : "{");
		add_json_place(out, "request", &examples[i].request);
		buffer_append_char(out, ',');
		add_json_place(out, "record", &examples[i].record);
		if (examples[i].after_ms >= 0) add_number(out, "after_ms", examples[i].after_ms);
		buffer_append_char(out, '}');
	}
	buffer_append_text(out, "]}");
}

void audit_report_json(const struct audit_judge *judge, const struct audit_subject *subject, struct buffer *out)
{
	const struct audit_counts *counts = audit_judge_counts(judge);
	buffer_append_format(out, "{\"clean\":%s", audit_judge_is_clean(judge) ? "true" : "false");
	add_number(out, "deadline_ms", subject->deadline_ms);
	add_number(out, "requests", (int64_t)counts->requests);
	add_number(out, "replied", (int64_t)counts->answered);
	add_number(out, "answered", (int64_t)counts->outcomes[AUDIT_ANSWERED]);
	add_number(out, "fallback", (int64_t)counts->outcomes[AUDIT_FALLBACK]);
	add_number(out, "rejected", (int64_t)counts->outcomes[AUDIT_REJECTED]);
	add_number(out, "pending", (int64_t)counts->pending);
	add_number(out, "open", (int64_t)counts->open);
	add_number(out, "outside", (int64_t)counts->outside);
	add_number(out, "replies", (int64_t)counts->replies);
	add_number(out, "other_replies", (int64_t)counts->others);
	add_number(out, "dead_letters", (int64_t)counts->letters);
	add_number(out, "rejected_without_dead_letter", (int64_t)counts->unlettered);
	add_number(out, "slowest_ms", counts->slowest_ms);
	add_number(out, "memory_bytes", (int64_t)counts->bytes);
	for (size_t i = 0; i < AUDIT_FINDING_COUNT; i++)
		add_json_finding(out, judge, (enum audit_finding)i);
	buffer_append_text(out, "}\n");
}
