/* Requests by way of a JSON tree; replies by way of the wire's views. */
#include "schemas/chat_client.h"

#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

#include "schemas/transcode.h"
#include "schemas/wire.h"

enum { REPLY_DEPTH_MAX = 64, REPLY_JSON_MAX = 64 << 20 };

/* A text of the request; the tree only borrows it. */
static yyjson_mut_val *text_value(yyjson_mut_doc *document, struct bytes text)
{
	return yyjson_mut_strn(document, text.data, text.size);
}

static bool add_text(yyjson_mut_doc *document, const char *key, struct bytes text)
{
	yyjson_mut_val *root = yyjson_mut_doc_get_root(document);
	if (!bytes_is_given(text)) return true;
	return yyjson_mut_obj_add_val(document, root, key, text_value(document, text));
}

static bool add_message(yyjson_mut_doc *document, yyjson_mut_val *messages, const char *role, struct bytes text)
{
	if (!bytes_is_given(text)) return true;
	yyjson_mut_val *message = yyjson_mut_arr_add_obj(document, messages);
	return message != NULL && yyjson_mut_obj_add_str(document, message, "role", role) &&
	       yyjson_mut_obj_add_val(document, message, "content", text_value(document, text));
}

/* Appends the elements of a JSON array to `array`. */
static enum status add_elements(yyjson_mut_doc *document, yyjson_mut_val *array, struct bytes json)
{
	if (!bytes_is_given(json)) return STATUS_OK;
	yyjson_doc *parsed = yyjson_read(json.data, json.size, 0);
	yyjson_val *root = yyjson_doc_get_root(parsed);
	enum status status = yyjson_is_arr(root) ? STATUS_OK : STATUS_INVALID;
	size_t index, count;
	yyjson_val *element;
	yyjson_arr_foreach(root, index, count, element)
	{
		if (status != STATUS_OK) break;
		yyjson_mut_val *copy = yyjson_val_mut_copy(document, element);
		if (!yyjson_mut_arr_append(array, copy)) status = STATUS_NO_MEMORY;
	}
	yyjson_doc_free(parsed);
	return status;
}

static enum status add_messages(yyjson_mut_doc *document, const struct chat_client_request *request)
{
	yyjson_mut_val *root = yyjson_mut_doc_get_root(document);
	yyjson_mut_val *messages = yyjson_mut_obj_add_arr(document, root, "messages");
	if (messages == NULL) return STATUS_NO_MEMORY;
	if (!add_message(document, messages, "system", request->system)) return STATUS_NO_MEMORY;
	enum status status = add_elements(document, messages, request->history_json);
	if (status != STATUS_OK) return status;
	return add_message(document, messages, "user", request->text) ? STATUS_OK : STATUS_NO_MEMORY;
}

static enum status build(yyjson_mut_doc *document, const struct chat_client_request *request)
{
	yyjson_mut_val *root = yyjson_mut_obj(document);
	yyjson_mut_doc_set_root(document, root);
	bool is_built = root != NULL && add_text(document, "request_id", request->request_id) &&
			add_text(document, "conversation_id", request->conversation_id) &&
			add_text(document, "model", request->model);
	if (is_built && request->deadline_ms != 0)
		is_built = yyjson_mut_obj_add_sint(document, root, "deadline_ms", request->deadline_ms);
	if (!is_built) return STATUS_NO_MEMORY;
	enum status status = add_messages(document, request);
	if (status != STATUS_OK || !bytes_is_given(request->tools_json)) return status;
	yyjson_mut_val *tools = yyjson_mut_obj_add_arr(document, root, "tools");
	return tools != NULL ? add_elements(document, tools, request->tools_json) : STATUS_NO_MEMORY;
}

/* The JSON writer is also the judge of the texts: it refuses what is not UTF-8. */
static enum status write_value(yyjson_mut_doc *document, enum chat_coding coding, struct buffer *out_value)
{
	size_t size = 0;
	yyjson_write_err error;
	char *json = yyjson_mut_write_opts(document, 0, NULL, &size, &error);
	if (json == NULL) return error.code == YYJSON_WRITE_ERROR_MEMORY_ALLOCATION ? STATUS_NO_MEMORY : STATUS_INVALID;
	enum status status = STATUS_OK;
	if (coding == CHAT_CODING_JSON)
		buffer_append(out_value, bytes_at(json, size));
	else
		status = transcode_to_msgpack(bytes_at(json, size), out_value);
	free(json);
	return status == STATUS_OK ? buffer_status(out_value) : status;
}

enum status chat_client_request_write(const struct chat_client_request *request, struct buffer *out_value)
{
	yyjson_mut_doc *document = yyjson_mut_doc_new(NULL);
	if (document == NULL) return STATUS_NO_MEMORY;
	enum status status = build(document, request);
	if (status == STATUS_OK) status = write_value(document, request->coding, out_value);
	yyjson_mut_doc_free(document);
	return status;
}

/* `value` as JSON text; BYTES_NONE stays for null and nothing. */
static enum status json_of(const struct wire_value *value, struct arena *arena, struct bytes *out_json)
{
	if (!wire_is_given(value)) return STATUS_OK;
	struct buffer json;
	buffer_init(&json, REPLY_JSON_MAX);
	enum status status = transcode_to_json(value, &json);
	if (status == STATUS_UNSUPPORTED) status = STATUS_INVALID;
	if (status == STATUS_OK) status = buffer_status(&json);
	if (status == STATUS_OK) status = arena_copy(arena, buffer_bytes(&json), out_json);
	buffer_deinit(&json);
	return status;
}

/* Reads fields one after the other; the first failure stays. */
struct reader {
	struct arena *arena;
	enum status status;
};

static void read_text(struct reader *reader, const struct wire_value *value, struct bytes *out_text)
{
	if (reader->status != STATUS_OK || !wire_is_given(value)) return;
	reader->status = value->kind == WIRE_TEXT ? wire_text(value, reader->arena, out_text) : STATUS_INVALID;
}

static void read_integer(struct reader *reader, const struct wire_value *value, int64_t *out_integer)
{
	if (reader->status != STATUS_OK || !wire_is_given(value)) return;
	reader->status = value->kind == WIRE_INTEGER ? wire_integer(value, out_integer) : STATUS_INVALID;
}

/* The values of `names` in a map; all slots are zeroed when it is not given. */
static void read_map(struct reader *reader, const struct wire_value *map, const struct bytes *names, size_t name_count,
	struct wire_value *out_slots)
{
	struct wire_found found;
	memset(out_slots, 0, name_count * sizeof *out_slots);
	if (reader->status != STATUS_OK || !wire_is_given(map)) return;
	if (map->kind == WIRE_MAP)
		wire_collect(map, names, name_count, out_slots, &found);
	else
		reader->status = STATUS_INVALID;
}

static void read_message(struct reader *reader, const struct wire_value *map, struct chat_client_response *out)
{
	enum { CONTENT, REFUSAL, TOOL_CALLS, COUNT };
	static const struct bytes NAMES[COUNT] = { { "content", 7 }, { "refusal", 7 }, { "tool_calls", 10 } };
	struct wire_value slots[COUNT];
	read_map(reader, map, NAMES, COUNT, slots);
	read_text(reader, &slots[CONTENT], &out->content);
	read_text(reader, &slots[REFUSAL], &out->refusal);
	if (reader->status == STATUS_OK)
		reader->status = json_of(&slots[TOOL_CALLS], reader->arena, &out->tool_calls_json);
}

static void read_error(struct reader *reader, const struct wire_value *map, struct chat_client_response *out)
{
	enum { REASON, MESSAGE, HTTP_STATUS, COUNT };
	static const struct bytes NAMES[COUNT] = { { "reason", 6 }, { "message", 7 }, { "http_status", 11 } };
	struct wire_value slots[COUNT];
	read_map(reader, map, NAMES, COUNT, slots);
	read_text(reader, &slots[REASON], &out->reason);
	read_text(reader, &slots[MESSAGE], &out->message);
	read_integer(reader, &slots[HTTP_STATUS], &out->http_status);
}

static void read_timing(struct reader *reader, const struct wire_value *map, struct chat_client_response *out)
{
	enum { RECEIVED, REPLIED, UPSTREAM, COUNT };
	static const struct bytes NAMES[COUNT] = { { "received_ms", 11 }, { "replied_ms", 10 }, { "upstream_ms", 11 } };
	struct wire_value slots[COUNT];
	read_map(reader, map, NAMES, COUNT, slots);
	read_integer(reader, &slots[RECEIVED], &out->received_ms);
	read_integer(reader, &slots[REPLIED], &out->replied_ms);
	read_integer(reader, &slots[UPSTREAM], &out->upstream_ms);
}

static void read_source(struct reader *reader, const struct wire_value *map, struct chat_client_response *out)
{
	enum { PARTITION, OFFSET, COUNT };
	static const struct bytes NAMES[COUNT] = { { "partition", 9 }, { "offset", 6 } };
	struct wire_value slots[COUNT];
	read_map(reader, map, NAMES, COUNT, slots);
	read_integer(reader, &slots[PARTITION], &out->partition);
	read_integer(reader, &slots[OFFSET], &out->offset);
}

static void read_usage(struct reader *reader, const struct wire_value *map, struct chat_client_response *out)
{
	static const struct bytes NAMES[] = { { "prompt_tokens", 13 } };
	struct wire_value slot;
	read_map(reader, map, NAMES, 1, &slot);
	read_integer(reader, &slot, &out->prompt_tokens);
}

static void read_response(struct reader *reader, const struct wire_value *root, struct chat_client_response *out)
{
	enum {
		REQUEST_ID,
		CONVERSATION_ID,
		OUTCOME,
		MESSAGE,
		FINISH,
		MODEL,
		PROVIDER,
		GENERATION,
		ERROR,
		ATTEMPTS,
		TIMING,
		SOURCE,
		USAGE,
		COUNT
	};
	static const struct bytes NAMES[COUNT] = { { "request_id", 10 }, { "conversation_id", 15 }, { "outcome", 7 },
		{ "message", 7 }, { "finish_reason", 13 }, { "model", 5 }, { "provider", 8 }, { "generation_id", 13 },
		{ "error", 5 }, { "attempts", 8 }, { "timing", 6 }, { "source", 6 }, { "usage", 5 } };
	struct wire_value slots[COUNT];
	read_map(reader, root, NAMES, COUNT, slots);
	read_text(reader, &slots[REQUEST_ID], &out->request_id);
	read_text(reader, &slots[CONVERSATION_ID], &out->conversation_id);
	read_text(reader, &slots[OUTCOME], &out->outcome);
	read_text(reader, &slots[FINISH], &out->finish_reason);
	read_text(reader, &slots[MODEL], &out->model);
	read_text(reader, &slots[PROVIDER], &out->provider);
	read_text(reader, &slots[GENERATION], &out->generation_id);
	read_integer(reader, &slots[ATTEMPTS], &out->attempts);
	read_message(reader, &slots[MESSAGE], out);
	read_error(reader, &slots[ERROR], out);
	read_timing(reader, &slots[TIMING], out);
	read_source(reader, &slots[SOURCE], out);
	read_usage(reader, &slots[USAGE], out);
	if (reader->status == STATUS_OK) reader->status = json_of(root, reader->arena, &out->json);
}

enum status chat_client_response_read(
	struct bytes value, struct bytes content_type, struct arena *arena, struct chat_client_response *out_response)
{
	enum chat_coding coding = CHAT_CODING_MSGPACK;
	struct wire_value root;
	struct wire_fault fault;
	enum status status = coding_find(content_type, value, &coding);
	if (status != STATUS_OK) return status;
	status = wire_open(coding, value, REPLY_DEPTH_MAX, &root, &fault);
	if (status != STATUS_OK) return status;
	if (fault.reason != REASON_NONE || root.kind != WIRE_MAP) return STATUS_INVALID;
	struct reader reader = { .arena = arena, .status = STATUS_OK };
	struct chat_client_response response = {
		.prompt_tokens = -1, .upstream_ms = -1, .partition = -1, .offset = -1
	};
	read_response(&reader, &root, &response);
	if (reader.status == STATUS_OK) *out_response = response;
	return reader.status;
}
