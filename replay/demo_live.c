/* One question: Kafka of one's own, the real upstream. */
#include "replay/demo_live.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "replay/chat_call.h"
#include "replay/sandbox.h"
#include "replay/worker_process.h"

enum { LIVE_READY_MS = 20000, LIVE_REPLY_MS = 15000, LIVE_STOP_MS = 15000, LIVE_CONNECT_MS = 5000, LIVE_POLL_MS = 100 };

struct live {
	const struct demo_live_options *options;
	struct sandbox sandbox;
	struct worker_process *worker;
	struct kafka_client *client;
	struct record *reply;
	struct arena *arena;
	char id[CHAT_CALL_ID_SIZE];
};

static enum exit_code tell(enum exit_code code, const char *what)
{
	fprintf(stderr, "chat-replay demo: %s\n", what);
	return code;
}

static enum exit_code start(struct live *live)
{
	char program[WORKER_PATH_MAX];
	char problem[KAFKA_CLIENT_PROBLEM_MAX];
	if (worker_process_find(live->options->worker, program) != STATUS_OK)
		return tell(EXIT_CODE_FAILED, "chat-worker is not there; build it, or name it with --worker");
	if (sandbox_start(&live->sandbox, true, NULL) != STATUS_OK) return EXIT_CODE_FAILED;
	const char *brokers = mock_kafka_bootstraps(live->sandbox.kafka);
	const struct kafka_client_options wanted = { .brokers = brokers,
		.request_topic = SANDBOX_REQUESTS_TOPIC,
		.reply_topics = { SANDBOX_RESPONSES_TOPIC },
		.reply_topic_count = 1,
		.connect_ms = LIVE_CONNECT_MS };
	if (kafka_client_open(&wanted, problem, &live->client) != STATUS_OK) return tell(EXIT_CODE_CONNECT, problem);
	const struct worker_process_options options = {
		.program = program, .brokers = brokers, .models = { live->options->model }
	};
	if (worker_process_start(&options, &live->worker) != STATUS_OK) return EXIT_CODE_FAILED;
	return worker_process_wait_ready(live->worker, LIVE_READY_MS) == STATUS_OK ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}

static enum exit_code ask(struct live *live)
{
	struct buffer value;
	const struct chat_client_request request = { .coding = CHAT_CODING_MSGPACK,
		.request_id = bytes_of(live->id),
		.conversation_id = bytes_of(live->id),
		.text = bytes_of(live->options->question) };
	buffer_init(&value, CHAT_CALL_VALUE_MAX);
	enum status status = chat_client_request_write(&request, &value);
	if (status == STATUS_OK)
		status = chat_call_send(live->client, SANDBOX_REQUESTS_TOPIC, bytes_of(live->id), bytes_of(live->id),
			CHAT_CODING_MSGPACK, buffer_bytes(&value));
	buffer_deinit(&value);
	return status == STATUS_OK ? EXIT_CODE_OK : tell(EXIT_CODE_FAILED, "the question could not be sent");
}

static enum exit_code wait_for_reply(struct live *live)
{
	int64_t until_ms = clock_now().mono_ms + LIVE_REPLY_MS;
	while (live->reply == NULL && clock_now().mono_ms < until_ms) {
		size_t topic = 0;
		enum status status = kafka_client_receive(live->client, LIVE_POLL_MS, &live->reply, &topic);
		if (status == STATUS_IO) return tell(EXIT_CODE_FAILED, kafka_client_problem(live->client));
		if (status == STATUS_EMPTY && !worker_process_is_alive(live->worker)) break;
	}
	return live->reply != NULL ? EXIT_CODE_OK : tell(EXIT_CODE_FAILED, "no reply came");
}

static enum exit_code print_reply(struct live *live)
{
	struct chat_client_response response;
	live->arena = arena_new(CHAT_CALL_ARENA_MAX);
	if (live->arena == NULL || chat_call_read(live->reply, live->arena, &response) != STATUS_OK)
		return tell(EXIT_CODE_FAILED, "the reply cannot be read");
	printf("%.*s\n", (int)response.content.size, response.content.data);
	fprintf(stderr, "%.*s%s%.*s by %.*s, %" PRId64 " attempts, %" PRId64 " ms\n", (int)response.outcome.size,
		response.outcome.data, response.reason.size > 0 ? ", reason " : "", (int)response.reason.size,
		response.reason.data, (int)response.model.size, response.model.data, response.attempts,
		response.replied_ms - response.received_ms);
	return bytes_equal_text(response.outcome, "answered") ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}

static enum exit_code run(struct live *live)
{
	int worker_code = 0;
	enum exit_code code = start(live);
	if (code == EXIT_CODE_OK) code = ask(live);
	if (code == EXIT_CODE_OK) code = wait_for_reply(live);
	if (code == EXIT_CODE_OK) code = print_reply(live);
	if (live->worker == NULL) return code;
	if (worker_process_stop(live->worker, LIVE_STOP_MS, &worker_code) != STATUS_OK || worker_code != 0)
		return tell(EXIT_CODE_FAILED, "chat-worker did not end as it should");
	if (code != EXIT_CODE_OK) worker_process_print_log(live->worker);
	return code;
}

enum exit_code demo_live(const struct demo_live_options *options)
{
	const char *key = getenv("OPENROUTER_API_KEY"), *key_file = getenv("OPENROUTER_API_KEY_FILE");
	if ((key == NULL || key[0] == 0) && key_file == NULL)
		return tell(EXIT_CODE_CONFIG, "--live needs your key in OPENROUTER_API_KEY");
	struct live live = { .options = options };
	chat_call_make_id(live.id);
	enum exit_code code = run(&live);
	worker_process_free(live.worker);
	kafka_client_close(live.client);
	sandbox_stop(&live.sandbox);
	record_free(live.reply);
	arena_free(live.arena);
	return code;
}
