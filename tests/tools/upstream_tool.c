/* Drives the upstream pool from the command line, for the tests and for measuring.
 *
 *     upstream_tool --url http://127.0.0.1:8080/api/v1 --calls 10 --concurrency 2 --body '{"behaviour":"normal"}'
 *
 * Call number i sends body number i modulo their count. Prints one JSON line a result in the order of arrival, and at
 * the end one line about the whole run. The key is taken from UPSTREAM_TOOL_KEY. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/assertion.h"
#include "common/clock.h"
#include "worker/edge/upstream.h"

enum { BODIES_MAX = 2048, TAKE_MAX = 256, ARENA_SIZE = 8 << 20, BODY_MAX = 16 << 20, BODY_SIZE_PAD = 64 };

struct tool {
	struct upstream_options options;
	struct upstream *upstream;
	const char *bodies[BODIES_MAX];
	size_t body_count;
	long body_size; /* pads bodies with blanks up to this size */
	long calls;
	long concurrency;
	long first_ms, stall_ms, deadline_ms;
	long cancel_ms;  /* -1 = never */
	long stop_after; /* results; the rest is left to upstream_stop() */
	bool probes;     /* GET /key instead of chats */
	bool is_bench;   /* no line for each result */
	bool shows_text;
	bool tells; /* calls want to be told when their content begins */

	long put, taken, failed, refused;
	int64_t *put_ms; /* by id */
	int *told;       /* by id: how often its content was told to have begun */
	long first_uncancelled;
	long files_before, files_after; /* limits of open files, set before and after the start; 0 = as it is */
};

static long count_fds(void)
{
	DIR *folder = opendir("/proc/self/fd");
	ASSERT(folder != NULL);
	long count = 0;
	while (readdir(folder) != NULL)
		count++;
	closedir(folder);
	return count;
}

/* How often all threads but this one have gone to sleep so far. */
static long count_sleeps(void)
{
	DIR *folder = opendir("/proc/self/task");
	ASSERT(folder != NULL);
	long total = 0;
	for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
		char path[512], line[256];
		if (entry->d_name[0] == '.' || strtol(entry->d_name, NULL, 10) == (long)getpid()) continue;
		snprintf(path, sizeof(path), "/proc/self/task/%s/status", entry->d_name);
		FILE *file = fopen(path, "r");
		long sleeps;
		while (file != NULL && fgets(line, sizeof(line), file) != NULL)
			if (sscanf(line, "voluntary_ctxt_switches: %ld", &sleeps) == 1) total += sleeps;
		if (file != NULL) fclose(file);
	}
	closedir(folder);
	return total;
}

static void print_text(const char *name, struct bytes text)
{
	struct buffer line;
	buffer_init(&line, BODY_MAX);
	if (bytes_is_given(text))
		buffer_append_json_string(&line, text);
	else
		buffer_append_text(&line, "null");
	printf(",\"%s\":%.*s", name, (int)line.size, line.data);
	buffer_deinit(&line);
}

static void print_result(const struct tool *tool, const struct call *call)
{
	const struct failure *failure = &call->result.failure;
	printf("{\"id\":%" PRIu64 ",\"reason\":\"%s\",\"action\":%d,\"http_status\":%d,\"maybe_sent\":%s,"
	       "\"retry_after_ms\":%" PRId64 ",\"requests_sent\":%d,\"total_ms\":%" PRId64 ",\"content_ms\":%" PRId64,
		call->id, reason_word(failure->reason), (int)failure->action, failure->http_status,
		failure->maybe_sent ? "true" : "false", failure->retry_after_ms, call->requests_sent,
		call->ended_ms - tool->put_ms[call->id],
		call->first_content_ms == 0 ? (int64_t)-1 : call->first_content_ms - call->started_ms);
	if (tool->tells) printf(",\"told\":%d", tool->told[call->id]);
	if (tool->shows_text) print_text("content", call->result.answer.content);
	printf(",\"content_bytes\":%zu}\n", call->result.answer.content.size);
}

static void make_body(const struct tool *tool, long number, struct buffer *body)
{
	buffer_append_text(body, tool->bodies[(size_t)number % tool->body_count]);
	while ((long)body->size + BODY_SIZE_PAD < tool->body_size)
		buffer_append_format(body, "%*s", BODY_SIZE_PAD, "");
	while ((long)body->size < tool->body_size)
		buffer_append_char(body, ' ');
	ASSERT(buffer_status(body) == STATUS_OK);
}

static enum status put_one(struct tool *tool, uint64_t id, int64_t now_ms)
{
	tool->put_ms[id] = now_ms;
	if (tool->probes) return upstream_probe_key(tool->upstream, id, now_ms + tool->deadline_ms);
	struct call *call = call_new(id, BODY_MAX, ARENA_SIZE);
	ASSERT(call != NULL);
	make_body(tool, (long)id - 1, &call->body);
	call->first_content_due_ms = now_ms + tool->first_ms;
	call->deadline_ms = now_ms + tool->deadline_ms;
	call->stall_ms = tool->stall_ms;
	call->tells_content = tool->tells;
	enum status status = upstream_put(tool->upstream, call);
	if (status != STATUS_OK) call_free(call);
	return status;
}

static void put_more(struct tool *tool)
{
	while (tool->put < tool->calls && tool->put - tool->taken < tool->concurrency) {
		enum status status = put_one(tool, (uint64_t)++tool->put, clock_now().mono_ms);
		if (status == STATUS_OK) continue;
		ASSERT(status == STATUS_FULL);
		printf("{\"id\":%ld,\"reason\":\"full\"}\n", tool->put);
		tool->refused++;
		tool->taken++;
	}
}

static int cancel_due(struct tool *tool)
{
	if (tool->cancel_ms < 0) return -1;
	int64_t now_ms = clock_now().mono_ms;
	for (; tool->first_uncancelled <= tool->put; tool->first_uncancelled++) {
		int64_t due_ms = tool->put_ms[tool->first_uncancelled] + tool->cancel_ms;
		if (due_ms > now_ms) return (int)(due_ms - now_ms);
		upstream_cancel(tool->upstream, (uint64_t)tool->first_uncancelled);
	}
	return -1;
}

static void take_all(struct tool *tool)
{
	struct upstream_event events[TAKE_MAX];
	for (size_t count; (count = upstream_take(tool->upstream, events, TAKE_MAX)) > 0;) {
		for (size_t i = 0; i < count; i++) {
			struct call *call = events[i].call;
			if (call == NULL) {
				ASSERT(tool->tells);
				tool->told[events[i].id]++;
				continue;
			}
			if (!tool->is_bench) print_result(tool, call);
			if (call->result.failure.reason != REASON_NONE) tool->failed++;
			call_free(call);
			tool->taken++;
		}
	}
}

static void run(struct tool *tool)
{
	while (tool->taken < tool->calls && tool->taken < tool->stop_after) {
		put_more(tool);
		struct pollfd wait = { .fd = upstream_fd(tool->upstream), .events = POLLIN };
		if (tool->taken < tool->calls) poll(&wait, 1, cancel_due(tool));
		take_all(tool);
	}
}

static double cpu_us(void)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

enum option_code {
	OPTION_URL = 1,
	OPTION_CALLS,
	OPTION_CONCURRENCY,
	OPTION_THREADS,
	OPTION_IN_FLIGHT_MAX,
	OPTION_HTTP,
	OPTION_STREAMS,
	OPTION_CA_FILE,
	OPTION_PROXY,
	OPTION_INSECURE,
	OPTION_CONNECT_MS,
	OPTION_CACHE_TTL,
	OPTION_FIRST_MS,
	OPTION_STALL_MS,
	OPTION_DEADLINE_MS,
	OPTION_CANCEL_MS,
	OPTION_STOP_AFTER,
	OPTION_BODY,
	OPTION_BODY_SIZE,
	OPTION_RESPONSE_MAX,
	OPTION_APP_TITLE,
	OPTION_PROBE,
	OPTION_BENCH,
	OPTION_TEXT,
	OPTION_FILES_BEFORE,
	OPTION_FILES_AFTER,
	OPTION_TELLS,
};

static const struct option options[] = {
	{ "url", required_argument, NULL, OPTION_URL },
	{ "calls", required_argument, NULL, OPTION_CALLS },
	{ "concurrency", required_argument, NULL, OPTION_CONCURRENCY },
	{ "threads", required_argument, NULL, OPTION_THREADS },
	{ "in-flight-max", required_argument, NULL, OPTION_IN_FLIGHT_MAX },
	{ "http", required_argument, NULL, OPTION_HTTP },
	{ "streams", required_argument, NULL, OPTION_STREAMS },
	{ "ca-file", required_argument, NULL, OPTION_CA_FILE },
	{ "proxy", required_argument, NULL, OPTION_PROXY },
	{ "insecure", no_argument, NULL, OPTION_INSECURE },
	{ "connect-ms", required_argument, NULL, OPTION_CONNECT_MS },
	{ "cache-ttl", required_argument, NULL, OPTION_CACHE_TTL },
	{ "first-ms", required_argument, NULL, OPTION_FIRST_MS },
	{ "stall-ms", required_argument, NULL, OPTION_STALL_MS },
	{ "deadline-ms", required_argument, NULL, OPTION_DEADLINE_MS },
	{ "cancel-ms", required_argument, NULL, OPTION_CANCEL_MS },
	{ "stop-after", required_argument, NULL, OPTION_STOP_AFTER },
	{ "body", required_argument, NULL, OPTION_BODY },
	{ "body-size", required_argument, NULL, OPTION_BODY_SIZE },
	{ "response-max", required_argument, NULL, OPTION_RESPONSE_MAX },
	{ "app-title", required_argument, NULL, OPTION_APP_TITLE },
	{ "probe", no_argument, NULL, OPTION_PROBE },
	{ "bench", no_argument, NULL, OPTION_BENCH },
	{ "text", no_argument, NULL, OPTION_TEXT },
	{ "files-before", required_argument, NULL, OPTION_FILES_BEFORE },
	{ "files-after", required_argument, NULL, OPTION_FILES_AFTER },
	{ "tells", no_argument, NULL, OPTION_TELLS },
	{ NULL, 0, NULL, 0 },
};

static enum upstream_http http_of(const char *word)
{
	if (strcmp(word, "2") == 0) return UPSTREAM_HTTP_2;
	return strcmp(word, "1.1") == 0 ? UPSTREAM_HTTP_1_1 : UPSTREAM_HTTP_AUTO;
}

static bool set_text(struct tool *tool, int code, const char *value)
{
	switch (code) {
	case OPTION_URL:
		tool->options.base_url = value;
		return true;
	case OPTION_HTTP:
		tool->options.http = http_of(value);
		return true;
	case OPTION_CA_FILE:
		tool->options.ca_file = value;
		return true;
	case OPTION_PROXY:
		tool->options.proxy = value;
		return true;
	case OPTION_APP_TITLE:
		tool->options.app_title = value;
		return true;
	case OPTION_INSECURE:
		tool->options.insecure_http = true;
		return true;
	case OPTION_PROBE:
		tool->probes = true;
		return true;
	case OPTION_BENCH:
		tool->is_bench = true;
		return true;
	case OPTION_TEXT:
		tool->shows_text = true;
		return true;
	case OPTION_TELLS:
		tool->tells = true;
		return true;
	case OPTION_BODY:
		ASSERT(tool->body_count < BODIES_MAX);
		tool->bodies[tool->body_count++] = value;
		return true;
	default:
		return false;
	}
}

static bool set_number(struct tool *tool, int code, long value)
{
	switch (code) {
	case OPTION_CALLS:
		tool->calls = value;
		return true;
	case OPTION_CONCURRENCY:
		tool->concurrency = value;
		return true;
	case OPTION_THREADS:
		tool->options.threads = (int)value;
		return true;
	case OPTION_IN_FLIGHT_MAX:
		tool->options.in_flight_max = (int)value;
		return true;
	case OPTION_STREAMS:
		tool->options.streams_per_connection = (int)value;
		return true;
	case OPTION_CONNECT_MS:
		tool->options.connect_timeout_ms = (int)value;
		return true;
	case OPTION_CACHE_TTL:
		tool->options.cache_ttl_s = (int)value;
		return true;
	case OPTION_FIRST_MS:
		tool->first_ms = value;
		return true;
	case OPTION_STALL_MS:
		tool->stall_ms = value;
		return true;
	case OPTION_DEADLINE_MS:
		tool->deadline_ms = value;
		return true;
	case OPTION_CANCEL_MS:
		tool->cancel_ms = value;
		return true;
	case OPTION_STOP_AFTER:
		tool->stop_after = value;
		return true;
	case OPTION_BODY_SIZE:
		tool->body_size = value;
		return true;
	case OPTION_FILES_BEFORE:
		tool->files_before = value;
		return true;
	case OPTION_FILES_AFTER:
		tool->files_after = value;
		return true;
	case OPTION_RESPONSE_MAX:
		tool->options.limits.body_bytes = (size_t)value;
		return true;
	default:
		return false;
	}
}

static bool read_options(struct tool *tool, int argc, char **argv)
{
	for (int code; (code = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (code == '?') return false;
		if (set_text(tool, code, optarg)) continue;
		if (!set_number(tool, code, strtol(optarg, NULL, 10))) return false;
	}
	if (tool->body_count == 0) tool->bodies[tool->body_count++] = "{}";
	return tool->options.base_url != NULL && optind == argc;
}

/* 0 = as many as may be. */
static void limit_files(long count)
{
	struct rlimit limit;
	int result = getrlimit(RLIMIT_NOFILE, &limit);
	ASSERT(result == 0);
	limit.rlim_cur = count == 0 ? limit.rlim_max : (rlim_t)count;
	result = setrlimit(RLIMIT_NOFILE, &limit);
	ASSERT(result == 0);
}

static void print_summary(const struct tool *tool, int64_t wall_ns, double cpu, long sleeps, long fds_left)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	printf("{\"summary\":true,\"calls\":%ld,\"failed\":%ld,\"refused\":%ld,\"wall_ms\":%" PRId64
	       ",\"cpu_us_per_call\":%.1f,\"rss_kib\":%ld,\"sleeps\":%ld,\"fds_left\":%ld}\n",
		tool->taken, tool->failed, tool->refused, wall_ns / 1000000,
		tool->taken > 0 ? cpu / (double)tool->taken : 0.0, usage.ru_maxrss, sleeps, fds_left);
}

int main(int argc, char **argv)
{
	const char *key = getenv("UPSTREAM_TOOL_KEY");
	struct tool tool = {
		.options = { .bearer = key == NULL ? "sk-or-tool-key" : key,
			.threads = 2,
			.in_flight_max = 1024,
			.streams_per_connection = 16,
			.connect_timeout_ms = 1500,
			.limits = { .body_bytes = 2 << 20, .event_bytes = 1 << 20, .depth = 64 } },
		.calls = 1,
		.concurrency = 1,
		.first_ms = 3500,
		.stall_ms = 2500,
		.deadline_ms = 10000,
		.cancel_ms = -1,
		.stop_after = INT32_MAX,
		.first_uncancelled = 1,
	};
	if (!read_options(&tool, argc, argv)) return 2;
	tool.put_ms = calloc((size_t)tool.calls + 2, sizeof(int64_t));
	tool.told = calloc((size_t)tool.calls + 2, sizeof(int));
	ASSERT(tool.put_ms != NULL && tool.told != NULL);
	long fds_before = count_fds();
	limit_files(tool.files_before);
	enum status status = upstream_start(&tool.options, &tool.upstream);
	if (status != STATUS_OK) {
		printf("{\"start\":\"%s\",\"fds_left\":%ld}\n", status_text(status), count_fds() - fds_before);
		free(tool.put_ms);
		free(tool.told);
		return 3;
	}
	if (tool.files_after > 0) limit_files(tool.files_after);
	int64_t begin_ns = clock_mono_ns();
	double begin_cpu = cpu_us();
	run(&tool);
	int64_t wall_ns = clock_mono_ns() - begin_ns;
	double cpu = cpu_us() - begin_cpu;
	limit_files(0);
	long sleeps = count_sleeps();
	upstream_stop(tool.upstream);
	print_summary(&tool, wall_ns, cpu, sleeps, count_fds() - fds_before);
	free(tool.put_ms);
	free(tool.told);
	return 0;
}
