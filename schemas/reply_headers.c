/* Headers of replies: see the header. Their order is that of schemas/README.md. */
#include "schemas/reply_headers.h"

#include <stdio.h>

#include "common/assertion.h"
#include "schemas/trace_context.h"

enum { HEADERS_MAX = 16, MODEL_HEADER_MAX = 256 };

static const char *const echoed_names[] = {
	"chat-replay-id",
	"kafka_correlationId",
	"kafka_replyTopic",
	"kafka_replyPartition",
};

/* A list that is being filled. */
struct header_list {
	struct record_header *items;
	size_t count;
};

static void add(struct header_list *list, const char *name, struct bytes value)
{
	ASSERT(list->count < HEADERS_MAX);
	list->items[list->count++] = (struct record_header){ .name = bytes_of(name), .value = value };
}

/* False when the request has no such header, or one that is too long. A null value comes back as null. */
static bool echo(struct header_list *list, const struct record_headers *request, const char *name)
{
	const struct record_header *header = record_headers_find(request, name);
	if (header == NULL || header->value.size > REPLY_HEADER_ECHO_MAX) return false;
	add(list, name, header->value);
	return true;
}

/* Text of the upstream goes into a header only when it is printable ASCII of a reasonable length. It is copied: the
 * answer is borrowed for the call only, while the record lives on. */
static enum status add_if_printable(struct header_list *list, const char *name, struct bytes value, struct arena *arena)
{
	if (value.size == 0 || value.size > MODEL_HEADER_MAX) return STATUS_OK;
	for (size_t i = 0; i < value.size; i++)
		if (value.data[i] < 0x20 || value.data[i] > 0x7e) return STATUS_OK;
	struct bytes copy;
	enum status status = arena_copy(arena, value, &copy);
	if (status == STATUS_OK) add(list, name, copy);
	return status;
}

static enum status add_trace(struct header_list *list, const struct chat_reply_address *address, struct arena *arena)
{
	struct bytes parent = record_headers_last(address->request_headers, "traceparent");
	struct bytes state = record_headers_last(address->request_headers, "tracestate");
	char text[TRACE_PARENT_SIZE + 1];
	if (trace_context_child(parent, address->span_id, text) != STATUS_OK) return STATUS_OK;
	struct bytes child;
	enum status status = arena_copy(arena, bytes_at(text, TRACE_PARENT_SIZE), &child);
	if (status != STATUS_OK) return status;
	add(list, "traceparent", child);
	if (trace_context_is_state(state)) add(list, "tracestate", state);
	return STATUS_OK;
}

static enum status add_attempts(struct header_list *list, int attempts, struct arena *arena)
{
	char text[16];
	int size = snprintf(text, sizeof(text), "%d", attempts);
	ASSERT(size > 0 && (size_t)size < sizeof(text));
	struct bytes copy;
	enum status status = arena_copy(arena, bytes_at(text, (size_t)size), &copy);
	if (status == STATUS_OK) add(list, "chat-attempts", copy);
	return status;
}

enum status reply_headers_write(const struct chat_response *response, const struct chat_reply_address *address,
	struct arena *arena, struct record_headers *out_headers)
{
	struct header_list list = { .items = arena_calloc(arena, HEADERS_MAX, sizeof(*list.items)) };
	if (list.items == NULL) return STATUS_NO_MEMORY;
	const struct record_headers *request = address->request_headers;

	add(&list, "content-type", bytes_of(coding_content_type(response->coding)));
	if (!echo(&list, request, "correlation-id") && bytes_is_given(response->request_id))
		add(&list, "correlation-id", response->request_id);
	enum status status = add_trace(&list, address, arena);
	if (status != STATUS_OK) return status;
	add(&list, "chat-outcome", bytes_of(chat_outcome_word(response->outcome)));
	if (response->reason != REASON_NONE) add(&list, "chat-error", bytes_of(reason_word(response->reason)));
	status = add_attempts(&list, response->attempts, arena);
	if (status != STATUS_OK) return status;
	status = add_if_printable(&list, "chat-model", response->answer.model, arena);
	if (status != STATUS_OK) return status;
	status = add_if_printable(&list, "chat-generation-id", response->answer.generation_id, arena);
	if (status != STATUS_OK) return status;
	for (size_t i = 0; i < sizeof(echoed_names) / sizeof(echoed_names[0]); i++)
		(void)echo(&list, request, echoed_names[i]);

	*out_headers = (struct record_headers){ .items = list.items, .count = list.count };
	return STATUS_OK;
}
