/* From the bytes of a record to a checked request: see the header. */
#include "schemas/chat_request.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/assertion.h"
#include "schemas/chat_fields.h"
#include "schemas/chat_reader.h"
#include "schemas/transcode.h"

enum {
	DETAIL_SIZE_MAX = 512,
	MODEL_BYTES_MAX = 256,
	JSON_GROWTH = 8, /* no msgpack value becomes JSON of more than six times its size */
	JSON_SPARE = 4096,
};

enum status chat_reject(struct chat_reader *reader, enum reason reason, const char *format, ...)
{
	ASSERT(reason_class(reason) == REASON_CLASS_REJECTED);
	char text[DETAIL_SIZE_MAX];
	va_list arguments;
	va_start(arguments, format);
	int size = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	ASSERT(size > 0 && (size_t)size < sizeof(text));

	*reader->rejection = (struct chat_rejection){ .reason = reason, .detail = bytes_of(reason_message(reason)) };
	enum status status = arena_copy(reader->arena, bytes_at(text, (size_t)size), &reader->rejection->detail);
	return status == STATUS_OK ? STATUS_INVALID : status;
}

enum status chat_keep_scratch(struct chat_reader *reader, struct bytes *out_json)
{
	if (buffer_status(&reader->scratch) != STATUS_OK) return STATUS_NO_MEMORY;
	enum status status = arena_copy(reader->arena, buffer_bytes(&reader->scratch), out_json);
	buffer_clear(&reader->scratch);
	return status;
}

enum status chat_json_of(struct chat_reader *reader, const struct wire_value *value, struct bytes *out_json)
{
	if (value->coding == CHAT_CODING_JSON) {
		*out_json = value->whole;
		return STATUS_OK;
	}
	enum status status = transcode_to_json(value, &reader->scratch);
	return status == STATUS_OK ? chat_keep_scratch(reader, out_json) : status;
}

static bool is_id(struct bytes id, size_t size_max)
{
	return id.size > 0 && id.size <= size_max && bytes_is_utf8(id) && !bytes_has_nul(id);
}

/* STATUS_NOT_FOUND: not given. STATUS_INVALID: given, but not an id. */
static enum status find_id(const struct chat_reader *reader, const struct wire_value *value, struct bytes *out_id)
{
	if (!wire_is_given(value)) return STATUS_NOT_FOUND;
	if (value->kind != WIRE_TEXT) return STATUS_INVALID;
	struct bytes id;
	enum status status = wire_text(value, reader->arena, &id);
	if (status != STATUS_OK) return status;
	if (!is_id(id, reader->limits->id_bytes)) return STATUS_INVALID;
	*out_id = id;
	return STATUS_OK;
}

static enum status reject_id(struct chat_reader *reader, const char *name)
{
	return chat_reject(reader, REASON_SCHEMA, "%s must be text of 1 to %zu bytes.", name, reader->limits->id_bytes);
}

/* Sets what could be read of the ids, so that the reply finds its way, and only then says what is wrong with them. */
static enum status read_ids(struct chat_reader *reader, const struct record *record, const struct wire_value *fields)
{
	struct chat_request *request = reader->request;
	struct bytes conversation = BYTES_NONE;
	enum status request_id = find_id(reader, &fields[CHAT_FIELD_REQUEST_ID], &request->request_id);
	enum status conversation_id = find_id(reader, &fields[CHAT_FIELD_CONVERSATION_ID], &conversation);
	if (request_id == STATUS_NO_MEMORY || conversation_id == STATUS_NO_MEMORY) return STATUS_NO_MEMORY;
	if (conversation_id == STATUS_OK) {
		request->conversation_id = conversation;
		request->key_mismatch = record->key.size > 0 && !bytes_equal(record->key, conversation);
	}
	if (request_id == STATUS_NOT_FOUND) return chat_reject(reader, REASON_SCHEMA, "request_id is required.");
	if (request_id != STATUS_OK) return reject_id(reader, "request_id");
	if (conversation_id == STATUS_OK) return STATUS_OK;
	if (conversation_id != STATUS_NOT_FOUND) return reject_id(reader, "conversation_id");
	if (record->key.size == 0)
		return chat_reject(reader, REASON_SCHEMA, "conversation_id is required when the record has no key.");
	if (!is_id(record->key, reader->limits->id_bytes)) return reject_id(reader, "The record's key");
	return STATUS_OK;
}

static enum status read_model(
	struct chat_reader *reader, const struct wire_value *value, const char *name, struct bytes *out_model)
{
	struct bytes model = BYTES_NONE;
	if (value->kind == WIRE_TEXT && wire_text(value, reader->arena, &model) != STATUS_OK) return STATUS_NO_MEMORY;
	if (model.size == 0 || model.size > MODEL_BYTES_MAX)
		return chat_reject(
			reader, REASON_SCHEMA, "%s must be text of 1 to %d bytes.", name, (int)MODEL_BYTES_MAX);
	*out_model = model;
	return STATUS_OK;
}

static enum status read_models(struct chat_reader *reader, const struct wire_value *fields)
{
	struct chat_request *request = reader->request;
	const struct wire_value *model = &fields[CHAT_FIELD_MODEL];
	const struct wire_value *models = &fields[CHAT_FIELD_MODELS];
	if (wire_is_given(model)) {
		enum status status = read_model(reader, model, "model", &request->model);
		if (status != STATUS_OK) return status;
	}
	if (!wire_is_given(models)) return STATUS_OK;
	size_t most = CHAT_MODELS_MAX - 1;
	size_t count = models->kind == WIRE_ARRAY ? wire_count(models, most + 1) : 0;
	if (count == 0 || count > most)
		return chat_reject(reader, REASON_SCHEMA, "models must be an array of 1 to %zu texts.", most);

	struct wire_cursor cursor = wire_items(models);
	struct wire_value item;
	while (wire_next(&cursor, &item)) {
		struct bytes *out = &request->models[request->model_count];
		enum status status = read_model(reader, &item, "Each item of models", out);
		if (status != STATUS_OK) return status;
		request->model_count++;
	}
	return STATUS_OK;
}

static enum status check_fields(struct chat_reader *reader, const struct wire_value *fields)
{
	for (int i = 0; i < (int)CHAT_FIELD_COUNT; i++) {
		if (!wire_is_given(&fields[i])) continue;
		char scratch[96];
		enum reason reason;
		const char *clause;
		enum chat_field field = (enum chat_field)i;
		if (chat_field_check(field, &fields[i], scratch, &reason, &clause) == STATUS_OK) continue;
		return chat_reject(reader, reason, "%s %s.", chat_field_name(field), clause);
	}
	return STATUS_OK;
}

static enum status read_json_field(
	struct chat_reader *reader, const struct wire_value *fields, enum chat_field field, struct bytes *out_json)
{
	if (!wire_is_given(&fields[field])) return STATUS_OK;
	enum status status = chat_json_of(reader, &fields[field], out_json);
	if (status != STATUS_UNSUPPORTED) return status;
	return chat_reject(reader, REASON_SCHEMA, "%s must not hold binary data.", chat_field_name(field));
}

static enum status read_tokens(struct chat_reader *reader, const struct wire_value *fields)
{
	struct chat_request *request = reader->request;
	const struct wire_value *older = &fields[CHAT_FIELD_MAX_TOKENS];
	const struct wire_value *newer = &fields[CHAT_FIELD_MAX_COMPLETION_TOKENS];
	if (wire_is_given(older) && wire_is_given(newer)) {
		int64_t a = 0, b = 0;
		enum status status = wire_integer(older, &a);
		ASSERT(status == STATUS_OK);
		status = wire_integer(newer, &b);
		ASSERT(status == STATUS_OK);
		if (a != b)
			return chat_reject(reader, REASON_BAD_REQUEST,
				"max_tokens and max_completion_tokens contradict each other.");
	}
	enum status status = read_json_field(reader, fields, CHAT_FIELD_MAX_TOKENS, &request->max_tokens);
	if (status != STATUS_OK) return status;
	return read_json_field(reader, fields, CHAT_FIELD_MAX_COMPLETION_TOKENS, &request->max_completion_tokens);
}

static enum status read_options(struct chat_reader *reader, const struct wire_value *fields)
{
	struct buffer *json = &reader->scratch;
	for (int i = 0; i < (int)CHAT_FIELD_COUNT; i++) {
		enum chat_field field = (enum chat_field)i;
		if (chat_field_use(field) != CHAT_USE_OPTION || !wire_is_given(&fields[i])) continue;
		if (json->size > 0) buffer_append_char(json, ',');
		buffer_append_json_string(json, chat_field_names()[i]);
		buffer_append_char(json, ':');
		if (transcode_to_json(&fields[i], json) != STATUS_OK)
			return chat_reject(
				reader, REASON_SCHEMA, "%s must not hold binary data.", chat_field_name(field));
	}
	return chat_keep_scratch(reader, &reader->request->options);
}

/* The earlier of what body and header say. */
static enum status read_deadline(
	struct chat_reader *reader, const struct record *record, const struct wire_value *fields)
{
	int64_t *deadline_ms = &reader->request->deadline_ms;
	const struct wire_value *field = &fields[CHAT_FIELD_DEADLINE_MS];
	if (wire_is_given(field)) {
		enum status status = wire_integer(field, deadline_ms);
		ASSERT(status == STATUS_OK);
	}
	struct bytes header = bytes_trim(record_headers_last(&record->headers, "chat-deadline-ms"));
	if (header.size == 0) return STATUS_OK;
	int64_t header_ms;
	if (bytes_to_int64(header, &header_ms) != STATUS_OK || header_ms < 1)
		return chat_reject(reader, REASON_SCHEMA, "The header chat-deadline-ms must be an integer from 1 on.");
	if (*deadline_ms == 0 || header_ms < *deadline_ms) *deadline_ms = header_ms;
	return STATUS_OK;
}

static enum status check_keys(struct chat_reader *reader, const struct wire_found *found)
{
	if (found->repeated) return chat_reject(reader, REASON_SCHEMA, "The request has a key twice.");
	if (found->crowded)
		return chat_reject(
			reader, REASON_SCHEMA, "The request has more than %d unknown keys.", (int)WIRE_UNKNOWN_MAX);
	return STATUS_OK;
}

/* The fields of a request whose bytes are known to be good; `fault` is of a rule for all values. */
static enum status read_map(struct chat_reader *reader, const struct record *record, const struct wire_value *map,
	const struct wire_fault *fault)
{
	struct wire_value fields[CHAT_FIELD_COUNT];
	struct wire_found found;
	wire_collect(map, chat_field_names(), CHAT_FIELD_COUNT, fields, &found);
	reader->request->unknown_fields = found.unknown;

	enum status status = read_ids(reader, record, fields);
	if (status == STATUS_NO_MEMORY) return status;
	if (fault->reason != REASON_NONE) return chat_reject(reader, fault->reason, "%s", fault->detail);
	if (status == STATUS_OK) status = check_keys(reader, &found);
	if (status == STATUS_OK) status = check_fields(reader, fields);
	if (status == STATUS_OK) status = read_models(reader, fields);
	if (status == STATUS_OK) status = read_tokens(reader, fields);
	if (status == STATUS_OK) status = read_deadline(reader, record, fields);
	if (status == STATUS_OK)
		status = read_json_field(reader, fields, CHAT_FIELD_TEMPERATURE, &reader->request->temperature);
	if (status == STATUS_OK)
		status = read_json_field(reader, fields, CHAT_FIELD_PROVIDER, &reader->request->provider);
	if (status == STATUS_OK) status = read_options(reader, fields);
	if (status == STATUS_OK) status = chat_messages_read(reader, &fields[CHAT_FIELD_MESSAGES]);
	return status;
}

static enum status read_value(struct chat_reader *reader, const struct record *record)
{
	const struct chat_limits *limits = reader->limits;
	struct bytes value = record->value;
	struct bytes content_type = record_headers_last(&record->headers, "content-type");
	enum status status = coding_find(content_type, value, &reader->request->coding);
	if (value.size == 0) return chat_reject(reader, REASON_DECODE, "The record has no value.");
	if (status != STATUS_OK)
		return chat_reject(reader, REASON_UNSUPPORTED_MEDIA_TYPE,
			"The content type must be application/vnd.msgpack or application/json.");
	if (value.size > limits->record_bytes)
		return chat_reject(
			reader, REASON_TOO_LARGE, "The record has more than %zu bytes.", limits->record_bytes);

	struct wire_value map;
	struct wire_fault fault;
	status = wire_open(reader->request->coding, value, limits->depth, &map, &fault);
	if (status == STATUS_INVALID) return chat_reject(reader, fault.reason, "%s", fault.detail);
	if (status != STATUS_OK) return status;
	if (map.kind != WIRE_MAP) return chat_reject(reader, REASON_SCHEMA, "The request must be a map.");
	return read_map(reader, record, &map, &fault);
}

enum status chat_request_read(const struct record *record, const struct chat_limits *limits, struct arena *arena,
	struct chat_request *out_request, struct chat_rejection *out_rejection)
{
	ASSERT(limits->messages > 0 && limits->id_bytes > 0);
	*out_request = (struct chat_request){ .coding = CHAT_CODING_MSGPACK };
	*out_rejection = (struct chat_rejection){ .reason = REASON_NONE };
	if (record->key.size > 0 && record->key.size <= limits->id_bytes) out_request->conversation_id = record->key;

	struct chat_reader reader = {
		.limits = limits,
		.arena = arena,
		.request = out_request,
		.rejection = out_rejection,
	};
	buffer_init(&reader.scratch, JSON_GROWTH * limits->record_bytes + JSON_SPARE);
	enum status status = read_value(&reader, record);
	buffer_deinit(&reader.scratch);
	return status;
}
