/* `chat-replay send`: one chat, and its reply. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "replay/chat_call.h"
#include "replay/command.h"
#include "replay/file.h"
#include "replay/options.h"
#include "replay/sandbox.h"

enum { SEND_INPUT_MAX = 16 << 20, CONNECT_MS = 5000, POLL_MS = 200 };

struct send_options {
	const char *brokers;
	const char *topic;
	const char *reply_topic;
	const char *model;
	const char *conversation;
	const char *system;
	const char *history;
	const char *tools;
	int64_t wait_ms;
	bool as_json;
	bool as_raw;
	bool json_coding;
	bool msgpack;
	struct option_list properties;
};

#define MEMBER(name) offsetof(struct send_options, name)

static const struct option_row ROWS[] = {
	{ "brokers", 'b', OPTION_TEXT, MEMBER(brokers), "LIST",
		"brokers (KAFKA_BOOTSTRAP_SERVERS, else 127.0.0.1:9092)" },
	{ "topic", 't', OPTION_TEXT, MEMBER(topic), "TOPIC", "where requests go (" SANDBOX_REQUESTS_TOPIC ")" },
	{ "reply-topic", 0, OPTION_TEXT, MEMBER(reply_topic), "TOPIC",
		"where replies come (" SANDBOX_RESPONSES_TOPIC ")" },
	{ "model", 'm', OPTION_TEXT, MEMBER(model), "MODEL", "model (the worker's first)" },
	{ "conversation", 'c', OPTION_TEXT, MEMBER(conversation), "ID", "conversation id (a new one)" },
	{ "system", 0, OPTION_TEXT, MEMBER(system), "TEXT", "system message" },
	{ "history", 0, OPTION_TEXT, MEMBER(history), "FILE", "JSON array of the messages before this one" },
	{ "tools", 0, OPTION_TEXT, MEMBER(tools), "FILE", "JSON array of the tools that the model may call" },
	{ "wait", 'w', OPTION_SECONDS, MEMBER(wait_ms), "TIME", "how long to wait for the reply (60s)" },
	{ "json", 'j', OPTION_FLAG, MEMBER(as_json), NULL, "print the whole reply as JSON" },
	{ "raw", 0, OPTION_FLAG, MEMBER(as_raw), NULL, "print the reply's bytes as they came" },
	{ "json-coding", 0, OPTION_FLAG, MEMBER(json_coding), NULL, "send JSON" },
	{ "msgpack", 0, OPTION_FLAG, MEMBER(msgpack), NULL, "send msgpack (the default)" },
	{ "property", 'X', OPTION_LIST, MEMBER(properties), "NAME=VALUE",
		"any property of librdkafka; may be repeated" },
};

#undef MEMBER

static const struct option_table TABLE = {
	.command = "send",
	.operands = "TEXT|-",
	.purpose = "Sends one chat, waits for its reply and prints what it says. `-` reads the text from stdin.",
	.epilogue = "Exit codes: 0 answered, 1 fallback, rejected or no reply in time, 2 usage, 3 cannot connect,\n"
		    "4 bad file, 78 a property that librdkafka refuses.",
	.rows = ROWS,
	.count = sizeof ROWS / sizeof ROWS[0],
	.operands_max = 1,
};

/* Everything that one run holds. */
struct sending {
	const struct send_options *options;
	char id[CHAT_CALL_ID_SIZE];
	struct buffer text;
	struct buffer history;
	struct buffer tools;
	struct buffer value;
	struct kafka_client *client;
	struct record *reply;
	struct arena *arena;
};

static enum exit_code tell(enum exit_code code, const char *what, const char *why)
{
	fprintf(stderr, "chat-replay send: %s%s%s\n", what, why[0] != 0 ? ": " : "", why);
	return code;
}

static enum exit_code read_optional(const char *path, struct buffer *out)
{
	if (path == NULL) return EXIT_CODE_OK;
	errno = 0;
	if (file_read(path, out) == STATUS_OK) return EXIT_CODE_OK;
	return tell(EXIT_CODE_FILE, path, errno != 0 ? strerror(errno) : "cannot be read");
}

static enum exit_code read_inputs(struct sending *sending, const char *operand)
{
	if (strcmp(operand, "-") != 0)
		buffer_append_text(&sending->text, operand);
	else if (file_read_stream(stdin, &sending->text) != STATUS_OK)
		return tell(EXIT_CODE_FILE, "stdin", "cannot be read, or is larger than 16 MiB");
	enum exit_code code = read_optional(sending->options->history, &sending->history);
	return code == EXIT_CODE_OK ? read_optional(sending->options->tools, &sending->tools) : code;
}

static struct bytes given_only(const struct buffer *buffer)
{
	return buffer->size > 0 ? buffer_bytes(buffer) : BYTES_NONE;
}

static enum chat_coding coding_of(const struct send_options *options)
{
	return options->json_coding ? CHAT_CODING_JSON : CHAT_CODING_MSGPACK;
}

static struct bytes conversation_of(const struct sending *sending)
{
	const char *conversation = sending->options->conversation;
	return bytes_of(conversation != NULL ? conversation : sending->id);
}

static enum exit_code encode(struct sending *sending)
{
	const struct chat_client_request request = { .coding = coding_of(sending->options),
		.request_id = bytes_of(sending->id),
		.conversation_id = conversation_of(sending),
		.model = bytes_of(sending->options->model),
		.system = bytes_of(sending->options->system),
		.history_json = given_only(&sending->history),
		.text = given_only(&sending->text),
		.tools_json = given_only(&sending->tools) };
	if (chat_client_request_write(&request, &sending->value) == STATUS_OK) return EXIT_CODE_OK;
	return tell(EXIT_CODE_FILE, "the chat cannot be written",
		"texts have to be UTF-8, history and tools have to be JSON arrays");
}

static enum exit_code connect_client(struct sending *sending)
{
	const struct send_options *options = sending->options;
	char problem[KAFKA_CLIENT_PROBLEM_MAX];
	const struct kafka_client_options wanted = { .brokers = options->brokers,
		.properties = options->properties.items,
		.property_count = options->properties.count,
		.request_topic = options->topic,
		.reply_topics = { options->reply_topic },
		.reply_topic_count = 1,
		.connect_ms = CONNECT_MS };
	enum status status = kafka_client_open(&wanted, problem, &sending->client);
	if (status == STATUS_OK) return EXIT_CODE_OK;
	return tell(status == STATUS_INVALID ? EXIT_CODE_CONFIG : EXIT_CODE_CONNECT, options->brokers, problem);
}

static enum exit_code wait_for_reply(struct sending *sending)
{
	int64_t until_ms = clock_now().mono_ms + sending->options->wait_ms;
	do {
		size_t topic = 0;
		struct record *record = NULL;
		enum status status = kafka_client_receive(sending->client, POLL_MS, &record, &topic);
		if (status == STATUS_EMPTY) continue;
		if (status != STATUS_OK)
			return tell(EXIT_CODE_CONNECT, "the chat was not sent", kafka_client_problem(sending->client));
		if (chat_call_is_reply(record, bytes_of(sending->id))) {
			sending->reply = record;
			return EXIT_CODE_OK;
		}
		record_free(record);
	} while (clock_now().mono_ms < until_ms);
	return tell(EXIT_CODE_FAILED, "no reply came in time", "is a worker running on these topics?");
}

static void print_line(struct bytes text)
{
	fwrite(text.data, 1, text.size, stdout);
	fputc('\n', stdout);
}

static void print_text(const struct chat_client_response *response)
{
	if (bytes_is_given(response->content))
		print_line(response->content);
	else if (bytes_is_given(response->refusal))
		print_line(response->refusal);
	if (bytes_is_given(response->tool_calls_json)) print_line(response->tool_calls_json);
}

static enum exit_code print_reply(struct sending *sending)
{
	struct chat_client_response response;
	sending->arena = arena_new(CHAT_CALL_ARENA_MAX);
	if (sending->arena == NULL || chat_call_read(sending->reply, sending->arena, &response) != STATUS_OK)
		return tell(EXIT_CODE_FAILED, "the reply cannot be read", "");
	if (sending->options->as_raw)
		fwrite(sending->reply->value.data, 1, sending->reply->value.size, stdout);
	else if (sending->options->as_json)
		print_line(response.json);
	else
		print_text(&response);
	fflush(stdout);
	if (bytes_equal_text(response.outcome, "answered")) return EXIT_CODE_OK;
	fprintf(stderr, "chat-replay send: %.*s: %.*s after %" PRId64 " attempts: %.*s\n", (int)response.outcome.size,
		response.outcome.data, (int)response.reason.size, response.reason.data, response.attempts,
		(int)response.message.size, response.message.data);
	return EXIT_CODE_FAILED;
}

static enum exit_code run(struct sending *sending, const char *operand)
{
	enum exit_code code = read_inputs(sending, operand);
	if (code == EXIT_CODE_OK) code = encode(sending);
	if (code == EXIT_CODE_OK) code = connect_client(sending);
	if (code != EXIT_CODE_OK) return code;
	if (chat_call_send(sending->client, sending->options->topic, bytes_of(sending->id), conversation_of(sending),
		    coding_of(sending->options), buffer_bytes(&sending->value)) != STATUS_OK)
		return tell(EXIT_CODE_FAILED, "the chat was not sent", kafka_client_problem(sending->client));
	code = wait_for_reply(sending);
	return code == EXIT_CODE_OK ? print_reply(sending) : code;
}

static enum exit_code run_and_clean(const struct send_options *options, const char *operand)
{
	struct sending sending = { .options = options };
	chat_call_make_id(sending.id);
	buffer_init(&sending.text, SEND_INPUT_MAX);
	buffer_init(&sending.history, SEND_INPUT_MAX);
	buffer_init(&sending.tools, SEND_INPUT_MAX);
	buffer_init(&sending.value, CHAT_CALL_VALUE_MAX);
	enum exit_code code = run(&sending, operand);
	kafka_client_close(sending.client);
	record_free(sending.reply);
	arena_free(sending.arena);
	buffer_deinit(&sending.text);
	buffer_deinit(&sending.history);
	buffer_deinit(&sending.tools);
	buffer_deinit(&sending.value);
	return code;
}

enum exit_code command_send(int argc, char **argv)
{
	const char *brokers = getenv("KAFKA_BOOTSTRAP_SERVERS");
	struct send_options options = { .brokers = brokers != NULL ? brokers : "127.0.0.1:9092",
		.topic = SANDBOX_REQUESTS_TOPIC,
		.reply_topic = SANDBOX_RESPONSES_TOPIC,
		.wait_ms = 60 * 1000 };
	size_t operands = 0;
	enum status status = options_parse(&TABLE, argc, argv, &options, &operands);
	if (status == STATUS_CLOSED) return EXIT_CODE_OK;
	if (status != STATUS_OK) return EXIT_CODE_USAGE;
	if (operands != 1) return tell(EXIT_CODE_USAGE, "what shall be sent? Give a text, or - for stdin", "");
	if (options.msgpack && options.json_coding)
		return tell(EXIT_CODE_USAGE, "--msgpack and --json-coding exclude each other", "");
	if (strlen(options.topic) > 249 || strlen(options.reply_topic) > 249)
		return tell(EXIT_CODE_USAGE, "topic names have at most 249 characters", "");
	return run_and_clean(&options, argv[1]);
}
