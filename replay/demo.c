/* `chat-replay demo`: a sandbox, a real chat-worker, a few chats, and what was promised about each. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "replay/chat_call.h"
#include "replay/command.h"
#include "replay/demo_case.h"
#include "replay/demo_live.h"
#include "replay/demo_table.h"
#include "replay/options.h"
#include "replay/sandbox.h"
#include "replay/worker_process.h"

enum {
	READY_MS = 20000,
	REPLIES_MS = 15000,
	STOP_MS = 15000,
	CONNECT_MS = 5000,
	POLL_MS = 100,
	QUIET_MS = 300,
	FIRST_TOKEN_MS = 2000,
	BROKEN_MAX = 64 << 10
};

/* Shaped like a key, but opens nothing. */
static const char STANDIN_KEY[] = "sk-or-v1-standin0standin0standin0standin0standin0standin0standin0standin0";

struct demo_options {
	const char *worker;
	const char *break_kind;
	struct demo_live_options live;
	bool verbose;
};

#define MEMBER(name) offsetof(struct demo_options, name)

static const struct option_row ROWS[] = {
	{ "worker", 0, OPTION_TEXT, MEMBER(worker), "PATH", "chat-worker (beside this program, else on PATH)" },
	{ "break", 0, OPTION_TEXT, MEMBER(break_kind), "KIND",
		"break a promise on purpose: `upstream` is down, `key` is wrong, `worker` is killed" },
	{ "live", 0, OPTION_TEXT, MEMBER(live.question), "QUESTION",
		"ask the real OpenRouter one question, with OPENROUTER_API_KEY" },
	{ "model", 'm', OPTION_TEXT, MEMBER(live.model), "MODEL", "with --live (" DEMO_LIVE_MODEL ")" },
	{ "verbose", 'v', OPTION_FLAG, MEMBER(verbose), NULL, "print the worker's log at the end" },
};

#undef MEMBER

static const struct option_table TABLE = {
	.command = "demo",
	.operands = "",
	.purpose =
		"Starts an embedded Kafka, a stand-in OpenRouter and a real chat-worker, sends a few chats and prints\n"
		"what becomes of them. Exit 0 only if every promise held.",
	.rows = ROWS,
	.count = sizeof ROWS / sizeof ROWS[0],
};

struct demo {
	const struct demo_options *options;
	bool has_colour;
	sigset_t signals; /* blocked; looked at between two records */
	struct sandbox sandbox;
	struct worker_process *worker;
	struct kafka_client *client;
	struct {
		int64_t sent_ms;
		int replies;
		int dead_letters;
	} chats[DEMO_CASE_COUNT];
	size_t held; /* promises */
	size_t made;
};

static void promise(struct demo *demo, const char *title, const char *what, bool is_held)
{
	demo->made++;
	if (is_held) demo->held++;
	demo_table_promise(title, what, is_held, demo->has_colour);
}

static enum exit_code tell(enum exit_code code, const char *what, const char *why)
{
	fprintf(stderr, "chat-replay demo: %s%s%s\n", what, why[0] != 0 ? ": " : "", why);
	return code;
}

static bool is_break(const struct demo *demo, const char *kind)
{
	return demo->options->break_kind != NULL && strcmp(demo->options->break_kind, kind) == 0;
}

static bool is_interrupted(const struct demo *demo)
{
	const struct timespec at_once = { .tv_sec = 0 };
	return sigtimedwait(&demo->signals, NULL, &at_once) > 0;
}

static enum exit_code start_worker(struct demo *demo, const char *program)
{
	const struct worker_process_options options = { .program = program,
		.brokers = mock_kafka_bootstraps(demo->sandbox.kafka),
		.base_url = standin_url(demo->sandbox.openrouter),
		.key = STANDIN_KEY,
		.models = { DEMO_FIRST_MODEL, DEMO_SECOND_MODEL },
		.first_token_timeout_ms = FIRST_TOKEN_MS };
	int64_t start_ms = clock_now().mono_ms;
	if (worker_process_start(&options, &demo->worker) != STATUS_OK) return EXIT_CODE_FAILED;
	if (worker_process_wait_ready(demo->worker, READY_MS) != STATUS_OK) return EXIT_CODE_FAILED;
	printf("chat-worker  %s, ready after %" PRId64 " ms\n\n", program, clock_now().mono_ms - start_ms);
	fflush(stdout);
	return EXIT_CODE_OK;
}

static enum exit_code start(struct demo *demo)
{
	char program[WORKER_PATH_MAX];
	char problem[KAFKA_CLIENT_PROBLEM_MAX];
	struct standin_options openrouter = standin_options_default();
	openrouter.key = is_break(demo, "key") ? "another key" : STANDIN_KEY;
	if (worker_process_find(demo->options->worker, program) != STATUS_OK)
		return tell(EXIT_CODE_FAILED, "chat-worker is not there", "build it, or name it with --worker");
	if (sandbox_start(&demo->sandbox, true, &openrouter) != STATUS_OK) return EXIT_CODE_FAILED;
	printf("Kafka        %s\nOpenRouter   %s (stand-in)\n", mock_kafka_bootstraps(demo->sandbox.kafka),
		standin_url(demo->sandbox.openrouter));
	const struct kafka_client_options wanted = { .brokers = mock_kafka_bootstraps(demo->sandbox.kafka),
		.request_topic = SANDBOX_REQUESTS_TOPIC,
		.reply_topics = { SANDBOX_RESPONSES_TOPIC, SANDBOX_DEAD_LETTER_TOPIC },
		.reply_topic_count = 2,
		.connect_ms = CONNECT_MS };
	if (kafka_client_open(&wanted, problem, &demo->client) != STATUS_OK)
		return tell(EXIT_CODE_CONNECT, "the sandbox's Kafka", problem);
	return start_worker(demo, program);
}

/* The promises that `--break` breaks, at the last moment before the chats are sent. */
static void break_promise(struct demo *demo)
{
	if (is_break(demo, "worker")) worker_process_kill(demo->worker);
	if (!is_break(demo, "upstream")) return;
	standin_stop(demo->sandbox.openrouter);
	demo->sandbox.openrouter = NULL;
}

static enum exit_code send_chats(struct demo *demo)
{
	for (size_t i = 0; i < DEMO_CASE_COUNT; i++) {
		const struct demo_case *row = &DEMO_CASES[i];
		char id[DEMO_ID_SIZE];
		struct buffer value;
		demo_case_id(i, id);
		buffer_init(&value, CHAT_CALL_VALUE_MAX);
		enum status status = demo_case_encode(i, &value);
		if (status == STATUS_OK)
			status = chat_call_send(demo->client, SANDBOX_REQUESTS_TOPIC, bytes_of(id),
				bytes_of(row->conversation), CHAT_CODING_MSGPACK, buffer_bytes(&value));
		buffer_deinit(&value);
		if (status != STATUS_OK) return tell(EXIT_CODE_FAILED, "a chat was not sent", status_text(status));
		demo->chats[i].sent_ms = clock_now().mono_ms;
		demo_table_sent(row, demo->has_colour);
	}
	printf("\n");
	return EXIT_CODE_OK;
}

static size_t row_of_title(const char *title)
{
	size_t i = 0;
	while (i < DEMO_CASE_COUNT && strcmp(DEMO_CASES[i].title, title) != 0)
		i++;
	return i;
}

static void judge_reply(struct demo *demo, size_t index, const struct record *record, struct arena *arena)
{
	const struct demo_case *row = &DEMO_CASES[index];
	struct chat_client_response response = { .attempts = 0 };
	struct buffer broken;
	buffer_init(&broken, BROKEN_MAX);
	enum status status = chat_call_read(record, arena, &response);
	if (status != STATUS_OK)
		buffer_append_format(&broken, "the reply cannot be read: %s\n", status_text(status));
	else
		demo_case_check(index, record, &response, &broken);
	if (row->after != NULL && demo->chats[row_of_title(row->after)].replies == 0)
		buffer_append_format(&broken, "order: the reply of \"%s\" has to come first\n", row->after);
	demo->made++;
	if (broken.size == 0) demo->held++;
	demo_table_reply(row, &response, clock_now().mono_ms - demo->chats[index].sent_ms, buffer_bytes(&broken),
		demo->has_colour);
	buffer_deinit(&broken);
}

static void judge_dead_letter(struct demo *demo, size_t index, const struct record *record)
{
	struct buffer broken;
	buffer_init(&broken, BROKEN_MAX);
	demo_case_check_dead_letter(index, record, &broken);
	buffer_append_char(&broken, 0);
	bool is_held = broken.size == 1;
	promise(demo, "dead letter", is_held ? "the rejected bytes are on " SANDBOX_DEAD_LETTER_TOPIC : broken.data,
		is_held);
	buffer_deinit(&broken);
}

/* One record: a first reply or dead letter is judged, a second one is only counted. */
static void take_record(struct demo *demo, const struct record *record, size_t topic)
{
	size_t index = demo_case_find(record);
	if (index == DEMO_CASE_COUNT) return;
	if (topic == 1) {
		if (demo->chats[index].dead_letters++ == 0) judge_dead_letter(demo, index, record);
		return;
	}
	struct arena *arena = arena_new(CHAT_CALL_ARENA_MAX);
	if (demo->chats[index].replies++ == 0 && arena != NULL) judge_reply(demo, index, record, arena);
	arena_free(arena);
}

static bool is_complete(const struct demo *demo)
{
	for (size_t i = 0; i < DEMO_CASE_COUNT; i++) {
		if (demo->chats[i].replies == 0) return false;
		if (DEMO_CASES[i].wants_dead_letter && demo->chats[i].dead_letters == 0) return false;
	}
	return true;
}

static enum status take_next(struct demo *demo, int wait_ms)
{
	struct record *record = NULL;
	size_t topic = 0;
	enum status status = kafka_client_receive(demo->client, wait_ms, &record, &topic);
	if (status == STATUS_OK) take_record(demo, record, topic);
	record_free(record);
	return status;
}

static enum exit_code take_replies(struct demo *demo)
{
	int64_t until_ms = clock_now().mono_ms + REPLIES_MS;
	while (!is_complete(demo) && clock_now().mono_ms < until_ms) {
		enum status status = take_next(demo, POLL_MS);
		if (status == STATUS_IO)
			return tell(EXIT_CODE_FAILED, "a chat was not sent", kafka_client_problem(demo->client));
		if (is_interrupted(demo)) return EXIT_CODE_INTERRUPTED;
		if (status == STATUS_EMPTY && !worker_process_is_alive(demo->worker)) break;
	}
	return EXIT_CODE_OK;
}

static void stop_worker(struct demo *demo)
{
	char what[128];
	int code = -1;
	int64_t start_ms = clock_now().mono_ms;
	enum status status = worker_process_stop(demo->worker, STOP_MS, &code);
	snprintf(what, sizeof what, "SIGTERM, then exit code %d after %" PRId64 " ms", code,
		clock_now().mono_ms - start_ms);
	promise(demo, "shutdown", what, status == STATUS_OK && code == 0);
}

/* What can only be said when the worker has ended: one reply for each chat, not none and not two. */
static void count_replies(struct demo *demo)
{
	char what[128];
	size_t once = 0;
	while (take_next(demo, QUIET_MS) == STATUS_OK)
		continue;
	for (size_t i = 0; i < DEMO_CASE_COUNT; i++) {
		if (demo->chats[i].replies == 1)
			once++;
		else
			printf("       %-14s has %d replies\n", DEMO_CASES[i].title, demo->chats[i].replies);
	}
	snprintf(what, sizeof what, "%zu of %d chats have exactly one", once, (int)DEMO_CASE_COUNT);
	promise(demo, "replies", what, once == DEMO_CASE_COUNT);
}

static enum exit_code run(struct demo *demo)
{
	enum exit_code code = start(demo);
	if (code != EXIT_CODE_OK) return code;
	break_promise(demo);
	code = send_chats(demo);
	if (code == EXIT_CODE_OK) code = take_replies(demo);
	if (code != EXIT_CODE_OK) return code;
	printf("\n");
	stop_worker(demo);
	count_replies(demo);
	bool is_held = demo->held == demo->made && is_complete(demo);
	printf("\n%zu of %zu promises held.\n", demo->held, demo->made);
	if (!is_held || demo->options->verbose) worker_process_print_log(demo->worker);
	return is_held ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}

static bool is_break_known(const char *kind)
{
	return kind == NULL || strcmp(kind, "upstream") == 0 || strcmp(kind, "key") == 0 || strcmp(kind, "worker") == 0;
}

enum exit_code command_demo(int argc, char **argv)
{
	struct demo_options options = { .live = { .model = DEMO_LIVE_MODEL } };
	size_t operands = 0;
	enum status status = options_parse(&TABLE, argc, argv, &options, &operands);
	if (status == STATUS_CLOSED) return EXIT_CODE_OK;
	if (status != STATUS_OK) return EXIT_CODE_USAGE;
	if (!is_break_known(options.break_kind))
		return tell(EXIT_CODE_USAGE, "--break takes upstream, key or worker", "");
	options.live.worker = options.worker;
	if (options.live.question != NULL) return demo_live(&options.live);
	struct demo demo = { .options = &options, .has_colour = demo_table_wants_colour() };
	sigemptyset(&demo.signals);
	sigaddset(&demo.signals, SIGINT);
	sigaddset(&demo.signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &demo.signals, NULL); /* before any thread is there, so that none takes them */
	enum exit_code code = run(&demo);
	worker_process_free(demo.worker);
	kafka_client_close(demo.client);
	sandbox_stop(&demo.sandbox);
	return code;
}
