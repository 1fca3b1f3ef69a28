/* `chat-replay audit`: reads requests and replies whole, and says what is lost, duplicate, out of order or late. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/random.h"
#include "replay/audit_facts.h"
#include "replay/audit_report.h"
#include "replay/command.h"
#include "replay/kafka_reader.h"
#include "replay/moment.h"
#include "replay/options.h"
#include "replay/sandbox.h"

enum {
	CONNECT_MS = 5000,
	EXAMPLES_DEFAULT = 10,
	LIMIT_DEFAULT = 50 * 1000 * 1000,
	REPORT_MAX = 8 << 20,
	/* Replies are looked for from so long before --from on: clocks differ. */
	CLOCKS_DIFFER_MS = 60 * 1000
};

struct audit_arguments {
	const char *brokers;
	const char *requests;
	struct option_list responses;
	const char *dead_letters;
	const char *group;
	const char *from;
	const char *to;
	int64_t deadline_ms;
	int64_t examples;
	int64_t limit;
	bool as_json;
	struct option_list properties;
};

#define MEMBER(name) offsetof(struct audit_arguments, name)

static const struct option_row ROWS[] = {
	{ "brokers", 'b', OPTION_TEXT, MEMBER(brokers), "LIST",
		"brokers (KAFKA_BOOTSTRAP_SERVERS, else 127.0.0.1:9092)" },
	{ "requests", 0, OPTION_TEXT, MEMBER(requests), "TOPIC", "topic of the requests (" SANDBOX_REQUESTS_TOPIC ")" },
	{ "responses", 0, OPTION_LIST, MEMBER(responses), "TOPIC",
		"topic of the replies (" SANDBOX_RESPONSES_TOPIC "); may be repeated" },
	{ "dead-letters", 0, OPTION_TEXT, MEMBER(dead_letters), "TOPIC", "look at the dead letters, too" },
	{ "group", 'g', OPTION_TEXT, MEMBER(group), "GROUP",
		"the workers' group: what it has not finished is open, not lost" },
	{ "deadline", 'd', OPTION_SECONDS, MEMBER(deadline_ms), "TIME",
		"later replies are late, younger requests pending; 0: neither (10s)" },
	{ "from", 0, OPTION_TEXT, MEMBER(from), "WHEN", "judge requests from then on: -1h, @2026-01-31T12:00Z" },
	{ "to", 0, OPTION_TEXT, MEMBER(to), "WHEN", "judge requests before then" },
	{ "examples", 'n', OPTION_NUMBER, MEMBER(examples), "N", "places to name of each finding, up to 100 (10)" },
	{ "limit", 0, OPTION_NUMBER, MEMBER(limit), "N", "requests to remember at most, 24 bytes each (50000000)" },
	{ "json", 'j', OPTION_FLAG, MEMBER(as_json), NULL, "print the verdict as one JSON object" },
	{ "property", 'X', OPTION_LIST, MEMBER(properties), "NAME=VALUE",
		"any property of librdkafka; may be repeated" },
};

#undef MEMBER

static const struct option_table TABLE = {
	.command = "audit",
	.operands = "",
	.purpose =
		"Reads requests and replies as a reader of committed records sees them, and says whether each request\n"
		"has exactly one reply, in order, in time, under the right key. Joins no group and writes nothing.",
	.epilogue = "Memory: 24 bytes a request, and up to 43 for each conversation of one response topic.\n"
		    "Exit codes: 0 clean, 1 too many requests or no output, 2 usage, 3 cannot read, 5 not clean,\n"
		    "78 a property that librdkafka refuses.",
	.rows = ROWS,
	.count = sizeof ROWS / sizeof ROWS[0],
	.operands_max = 0,
};

/* Everything that one run holds. */
struct auditing {
	const struct audit_arguments *arguments;
	int64_t from_ms; /* INT64_MIN = from the beginning */
	int64_t to_ms;   /* INT64_MAX = to the end */
	struct kafka_reader *reader;
	struct audit_judge *judge;
	const char *topic;  /* being read */
	int64_t *committed; /* of each partition of the requests; NULL = not asked for */
	char problem[KAFKA_READER_PROBLEM_MAX];
};

static enum exit_code tell(enum exit_code code, const char *what, const char *why)
{
	fprintf(stderr, "chat-replay audit: %s%s%s\n", what, why[0] != 0 ? ": " : "", why);
	return code;
}

static enum exit_code explain(const struct auditing *auditing, enum status status)
{
	if (status == STATUS_OK) return EXIT_CODE_OK;
	if (status == STATUS_FULL)
		return tell(
			EXIT_CODE_FAILED, "more requests than --limit allows", "narrow them down by --from and --to");
	if (status == STATUS_NO_MEMORY)
		return tell(EXIT_CODE_FAILED, "out of memory", "narrow down by --from and --to");
	if (status == STATUS_INVALID) return tell(EXIT_CODE_CONFIG, auditing->arguments->brokers, auditing->problem);
	return tell(EXIT_CODE_CONNECT, auditing->arguments->brokers, auditing->problem);
}

static enum status visit_request(void *context, const struct record *record)
{
	struct auditing *auditing = context;
	struct audit_request request;
	struct arena *arena = arena_new(AUDIT_FACTS_ARENA_MAX);
	enum status status = arena != NULL ? audit_facts_request(record, arena, &request) : STATUS_NO_MEMORY;
	if (status == STATUS_OK) status = audit_judge_request(auditing->judge, &request);
	arena_free(arena);
	return status;
}

static enum status visit_reply(void *context, const struct record *record)
{
	struct auditing *auditing = context;
	struct audit_reply reply;
	struct arena *arena = arena_new(AUDIT_FACTS_ARENA_MAX);
	enum status status =
		arena != NULL ? audit_facts_reply(record, auditing->topic, arena, &reply) : STATUS_NO_MEMORY;
	if (status == STATUS_OK) status = audit_judge_reply(auditing->judge, &reply);
	arena_free(arena);
	return status;
}

static enum status visit_letter(void *context, const struct record *record)
{
	struct auditing *auditing = context;
	struct audit_letter letter;
	audit_facts_letter(record, auditing->topic, &letter);
	audit_judge_letter(auditing->judge, &letter);
	return STATUS_OK;
}

/* Requests end where the span of time does. */
static enum status cut_ranges(struct auditing *auditing, struct kafka_range *ranges, size_t count)
{
	struct kafka_range *later = NULL;
	size_t later_count = 0;
	if (auditing->to_ms == INT64_MAX) return STATUS_OK;
	enum status status = kafka_reader_ranges(auditing->reader, auditing->arguments->requests, auditing->to_ms,
		auditing->problem, &later, &later_count);
	if (status != STATUS_OK) return status;
	for (size_t i = 0; i < count && i < later_count; i++)
		if (later[i].start < ranges[i].end) ranges[i].end = later[i].start;
	free(later);
	return STATUS_OK;
}

static enum status read_committed(struct auditing *auditing, size_t count)
{
	if (auditing->arguments->group == NULL) return STATUS_OK;
	auditing->committed = calloc(count, sizeof *auditing->committed);
	if (auditing->committed == NULL) return STATUS_NO_MEMORY;
	return kafka_reader_committed(
		auditing->reader, auditing->arguments->requests, count, auditing->problem, auditing->committed);
}

static enum status read_requests(struct auditing *auditing)
{
	struct kafka_range *ranges = NULL;
	size_t count = 0;
	const char *topic = auditing->arguments->requests;
	int64_t from_ms = auditing->from_ms > 0 ? auditing->from_ms : 0;
	const struct kafka_visitor visitor = { auditing, visit_request };
	enum status status = kafka_reader_ranges(auditing->reader, topic, from_ms, auditing->problem, &ranges, &count);
	if (status == STATUS_OK) status = cut_ranges(auditing, ranges, count);
	if (status == STATUS_OK) status = read_committed(auditing, count);
	for (size_t i = 0; i < count && status == STATUS_OK; i++)
		status = audit_judge_partition(auditing->judge, ranges[i].start, ranges[i].end);
	if (status == STATUS_OK)
		status = kafka_reader_read(auditing->reader, topic, ranges, count, &visitor, auditing->problem);
	free(ranges);
	return status;
}

/* Reads what was written to `topic` since shortly before the span of time. */
static enum status read_later(struct auditing *auditing, const char *topic, bool is_response)
{
	struct kafka_range *ranges = NULL;
	size_t count = 0;
	const struct kafka_visitor visitor = { auditing, is_response ? visit_reply : visit_letter };
	int64_t from_ms = auditing->from_ms > CLOCKS_DIFFER_MS ? auditing->from_ms - CLOCKS_DIFFER_MS : 0;
	enum status status = kafka_reader_ranges(auditing->reader, topic, from_ms, auditing->problem, &ranges, &count);
	auditing->topic = topic;
	if (status == STATUS_OK && is_response) audit_judge_topic(auditing->judge, (int32_t)count);
	if (status == STATUS_OK)
		status = kafka_reader_read(auditing->reader, topic, ranges, count, &visitor, auditing->problem);
	free(ranges);
	return status;
}

/* The requests as they are at the start; after that the replies up to their end of then, so that whatever was replied to in
 * the meantime has its reply. */
static enum status read_all(struct auditing *auditing)
{
	const struct audit_arguments *arguments = auditing->arguments;
	enum status status = read_requests(auditing);
	int64_t now_ms = clock_now().wall_ms;
	for (size_t i = 0; i < arguments->responses.count && status == STATUS_OK; i++)
		status = read_later(auditing, arguments->responses.items[i], true);
	if (status == STATUS_OK && arguments->dead_letters != NULL)
		status = read_later(auditing, arguments->dead_letters, false);
	if (status == STATUS_OK) audit_judge_finish(auditing->judge, now_ms, auditing->committed);
	return status;
}

static enum exit_code print_report(const struct auditing *auditing)
{
	const struct audit_arguments *arguments = auditing->arguments;
	const struct audit_subject subject = { .requests = arguments->requests,
		.dead_letters = arguments->dead_letters,
		.group = arguments->group,
		.deadline_ms = arguments->deadline_ms };
	struct buffer text;
	buffer_init(&text, REPORT_MAX);
	if (arguments->as_json)
		audit_report_json(auditing->judge, &subject, &text);
	else
		audit_report_text(auditing->judge, &subject, &text);
	bool is_whole = buffer_status(&text) == STATUS_OK;
	if (is_whole) fwrite(text.data, 1, text.size, stdout);
	buffer_deinit(&text);
	if (!is_whole) return tell(EXIT_CODE_FAILED, "out of memory", "");
	return audit_judge_is_clean(auditing->judge) ? EXIT_CODE_OK : EXIT_CODE_MISMATCH;
}

static enum status open_all(struct auditing *auditing)
{
	const struct audit_arguments *arguments = auditing->arguments;
	const struct audit_options options = { .requests_topic = arguments->requests,
		.deadline_ms = arguments->deadline_ms,
		.from_ms = auditing->from_ms,
		.to_ms = auditing->to_ms,
		.requests_max = (size_t)arguments->limit,
		.examples_max = (size_t)arguments->examples,
		.seed = random_system_seed() };
	const struct kafka_reader_options access = { .brokers = arguments->brokers,
		.properties = arguments->properties.items,
		.property_count = arguments->properties.count,
		.group = arguments->group,
		.connect_ms = CONNECT_MS };
	auditing->judge = audit_judge_new(&options);
	if (auditing->judge == NULL) return STATUS_NO_MEMORY;
	return kafka_reader_open(&access, auditing->problem, &auditing->reader);
}

static enum exit_code run(struct auditing *auditing)
{
	enum status status = open_all(auditing);
	if (status == STATUS_OK) status = read_all(auditing);
	enum exit_code code = explain(auditing, status);
	if (code == EXIT_CODE_OK) code = print_report(auditing);
	kafka_reader_close(auditing->reader);
	audit_judge_free(auditing->judge);
	free(auditing->committed);
	return code;
}

static bool read_moment(const char *text, int64_t now_ms, int64_t *out_ms)
{
	if (text == NULL || moment_parse(bytes_of(text), now_ms, out_ms) == STATUS_OK) return true;
	fprintf(stderr, "chat-replay audit: '%.100s' is no point in time such as -1h or @2026-01-31T12:00Z\n", text);
	return false;
}

static enum exit_code check(const struct audit_arguments *arguments, struct auditing *auditing)
{
	int64_t now_ms = clock_now().wall_ms;
	if (!read_moment(arguments->from, now_ms, &auditing->from_ms)) return EXIT_CODE_USAGE;
	if (!read_moment(arguments->to, now_ms, &auditing->to_ms)) return EXIT_CODE_USAGE;
	if (auditing->from_ms >= auditing->to_ms) return tell(EXIT_CODE_USAGE, "--to is not after --from", "");
	if (arguments->examples > AUDIT_EXAMPLES_MAX) return tell(EXIT_CODE_USAGE, "--examples is at most 100", "");
	for (size_t i = 0; i < arguments->responses.count; i++)
		if (strcmp(arguments->responses.items[i], arguments->requests) == 0)
			return tell(EXIT_CODE_USAGE, "--requests and --responses name the same topic", "");
	return EXIT_CODE_OK;
}

enum exit_code command_audit(int argc, char **argv)
{
	const char *brokers = getenv("KAFKA_BOOTSTRAP_SERVERS");
	struct audit_arguments arguments = { .brokers = brokers != NULL ? brokers : "127.0.0.1:9092",
		.requests = SANDBOX_REQUESTS_TOPIC,
		.deadline_ms = 10 * 1000,
		.examples = EXAMPLES_DEFAULT,
		.limit = LIMIT_DEFAULT };
	size_t operands = 0;
	enum status status = options_parse(&TABLE, argc, argv, &arguments, &operands);
	if (status == STATUS_CLOSED) return EXIT_CODE_OK;
	if (status != STATUS_OK) return EXIT_CODE_USAGE;
	if (arguments.responses.count == 0)
		arguments.responses.items[arguments.responses.count++] = SANDBOX_RESPONSES_TOPIC;
	struct auditing auditing = { .arguments = &arguments, .from_ms = INT64_MIN, .to_ms = INT64_MAX };
	enum exit_code code = check(&arguments, &auditing);
	return code == EXIT_CODE_OK ? run(&auditing) : code;
}
