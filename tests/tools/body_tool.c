/* Shows the body that goes to the model service for a request, so that tests in other languages can judge it.
 *
 *   body_tool SYSTEM_PROMPT [MESSAGES_MAX]     requests on stdin, one a line in hex; bodies on stdout, one a line in hex,
 *                                              or "rejected" and the reason */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/core/history.h"
#include "worker/core/openrouter_body.h"

enum { LINE_SIZE = 4 * 1024 * 1024, ARENA_MAX = 32 * 1024 * 1024, BODY_MAX = 8 * 1024 * 1024 };

static const struct chat_limits limits = { .record_bytes = 1024 * 1024, .depth = 32, .messages = 512, .id_bytes = 128 };

static int hex_digit(char digit)
{
	static const char digits[] = "0123456789abcdef";
	const char *place = digit == '\0' ? NULL : strchr(digits, digit);
	return place == NULL ? -1 : (int)(place - digits);
}

/* Decodes in place, up to the first character that is no digit. */
static struct bytes from_hex(char *line)
{
	size_t size = 0;
	for (; hex_digit(line[size * 2]) >= 0 && hex_digit(line[size * 2 + 1]) >= 0; size++)
		line[size] = (char)(hex_digit(line[size * 2]) * 16 + hex_digit(line[size * 2 + 1]));
	return bytes_at(line, size);
}

static void print_body(struct chat_request *request, struct bytes system_prompt, size_t messages_max)
{
	const struct history_limits history = { .messages_max = messages_max, .bytes_max = SIZE_MAX };
	struct openrouter_body body = {
		.request = request,
		.messages = request->messages,
		.message_count = history_trim(request->messages, request->message_count, &history),
		.model = bytes_is_given(request->model) ? request->model : BYTES_LITERAL("default/model"),
		.system_prompt = system_prompt,
		.temperature = BYTES_LITERAL("0.5"),
		.max_tokens = BYTES_LITERAL("600"),
	};
	struct buffer out;
	buffer_init(&out, BODY_MAX);
	openrouter_body_write(&body, &out);
	if (buffer_status(&out) != STATUS_OK) exit(2);
	for (size_t i = 0; i < out.size; i++)
		printf("%02x", (unsigned char)out.data[i]);
	printf("\n");
	buffer_deinit(&out);
}

static void print_request(struct bytes value, struct bytes system_prompt, size_t messages_max)
{
	struct arena *arena = arena_new(ARENA_MAX);
	if (arena == NULL) exit(2);
	const struct record record = { .timestamp_ms = 1, .key = BYTES_LITERAL("c-1"), .value = value };
	struct chat_request request;
	struct chat_rejection rejection;
	if (chat_request_read(&record, &limits, arena, &request, &rejection) == STATUS_OK)
		print_body(&request, system_prompt, messages_max);
	else
		printf("rejected %s\n", reason_word(rejection.reason));
	arena_free(arena);
}

int main(int count, char **arguments)
{
	if (count < 2) return 2;
	size_t messages_max = count > 2 ? (size_t)strtoul(arguments[2], NULL, 10) : SIZE_MAX;
	char *line = malloc(LINE_SIZE);
	if (line == NULL) return 2;
	while (fgets(line, LINE_SIZE, stdin) != NULL)
		print_request(from_hex(line), bytes_of(arguments[1]), messages_max);
	free(line);
	return 0;
}
