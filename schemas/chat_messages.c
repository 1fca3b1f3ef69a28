/* The messages of a request: roles, contents, tool calls. See schemas/README.md for the rules. */
#include <string.h>

#include "common/assertion.h"
#include "schemas/chat_reader.h"
#include "schemas/transcode.h"

#define MESSAGE_FIELD_TABLE(ROW)                           \
	ROW(ROLE, "role", TEXT)                            \
	ROW(CONTENT, "content", NONE)                      \
	ROW(NAME, "name", TEXT)                            \
	ROW(TOOL_CALL_ID, "tool_call_id", TEXT)            \
	ROW(TOOL_CALLS, "tool_calls", ARRAY)               \
	ROW(REFUSAL, "refusal", TEXT)                      \
	ROW(REASONING, "reasoning", TEXT)                  \
	ROW(REASONING_DETAILS, "reasoning_details", ARRAY) \
	ROW(CACHE_CONTROL, "cache_control", MAP)

#define FIELD_MEMBER(member, key, kind) MESSAGE_##member,
enum message_field { MESSAGE_FIELD_TABLE(FIELD_MEMBER) };
#undef FIELD_MEMBER

#define FIELD_NAME(member, key, kind) { .data = key, .size = sizeof(key) - 1 },
static const struct bytes message_names[] = { MESSAGE_FIELD_TABLE(FIELD_NAME) };
#undef FIELD_NAME

/* What a given value has to be; WIRE_NONE = has rules of its own. */
#define FIELD_KIND(member, key, kind) WIRE_##kind,
static const enum wire_kind message_kinds[] = { MESSAGE_FIELD_TABLE(FIELD_KIND) };
#undef FIELD_KIND

enum { MESSAGE_FIELDS = sizeof(message_names) / sizeof(message_names[0]), ROLE_SIZE_MAX = 9 };

enum part_field { PART_TYPE, PART_TEXT, PART_FIELDS };
static const struct bytes part_names[] = {
	{ .data = "type", .size = 4 },
	{ .data = "text", .size = 4 },
};

/* In the order of enum chat_role. */
static const char *const role_words[] = { "system", "developer", "user", "assistant", "tool" };

/* One message while it is looked at. */
struct message_view {
	size_t index;
	enum chat_role role;
	struct wire_value whole;
	struct wire_value fields[MESSAGE_FIELDS];
	struct wire_found found;
};

static const char *kind_words(enum wire_kind kind)
{
	return kind == WIRE_TEXT ? "text" : kind == WIRE_MAP ? "a map" : "an array";
}

static enum status reject_field(
	struct chat_reader *reader, const struct message_view *view, enum message_field field, const char *clause)
{
	return chat_reject(
		reader, REASON_SCHEMA, "messages[%zu].%s %s.", view->index, message_names[field].data, clause);
}

static enum status read_role(struct chat_reader *reader, struct message_view *view)
{
	const struct wire_value *role = &view->fields[MESSAGE_ROLE];
	if (!wire_is_given(role)) return reject_field(reader, view, MESSAGE_ROLE, "is required");
	if (role->kind != WIRE_TEXT) return reject_field(reader, view, MESSAGE_ROLE, "must be text");
	struct bytes word = role->inside;
	if (role->has_escapes && wire_text(role, reader->arena, &word) != STATUS_OK) return STATUS_NO_MEMORY;
	for (size_t i = 0; i < sizeof(role_words) / sizeof(role_words[0]); i++) {
		if (!bytes_equal_text(word, role_words[i])) continue;
		view->role = (enum chat_role)i;
		return STATUS_OK;
	}
	return reject_field(reader, view, MESSAGE_ROLE, "must be system, developer, user, assistant or tool");
}

static enum status check_kinds(struct chat_reader *reader, const struct message_view *view)
{
	for (size_t i = 0; i < MESSAGE_FIELDS; i++) {
		const struct wire_value *value = &view->fields[i];
		enum wire_kind kind = message_kinds[i];
		if (kind == WIRE_NONE || !wire_is_given(value) || value->kind == kind) continue;
		return chat_reject(reader, REASON_SCHEMA, "messages[%zu].%s must be %s.", view->index,
			message_names[i].data, kind_words(kind));
	}
	return STATUS_OK;
}

static enum status check_part(
	struct chat_reader *reader, const struct message_view *view, const struct wire_value *part)
{
	if (part->kind != WIRE_MAP) return reject_field(reader, view, MESSAGE_CONTENT, "must hold maps only");
	struct wire_value fields[PART_FIELDS];
	struct wire_found found;
	wire_collect(part, part_names, PART_FIELDS, fields, &found);
	const struct wire_value *type = &fields[PART_TYPE];
	if (found.repeated) return reject_field(reader, view, MESSAGE_CONTENT, "holds a part with a key twice");
	if (found.crowded) return reject_field(reader, view, MESSAGE_CONTENT, "holds a part with too many keys");
	if (type->kind != WIRE_TEXT || type->inside.size == 0)
		return reject_field(reader, view, MESSAGE_CONTENT, "holds a part without a type");
	if (bytes_equal_text(type->inside, "text") && fields[PART_TEXT].kind != WIRE_TEXT)
		return reject_field(reader, view, MESSAGE_CONTENT, "holds a text part without text");
	return STATUS_OK;
}

static enum status check_parts(struct chat_reader *reader, const struct message_view *view)
{
	const struct wire_value *content = &view->fields[MESSAGE_CONTENT];
	struct wire_cursor cursor = wire_items(content);
	struct wire_value part;
	size_t count = 0;
	while (wire_next(&cursor, &part)) {
		enum status status = check_part(reader, view, &part);
		if (status != STATUS_OK) return status;
		count++;
	}
	if (count == 0) return reject_field(reader, view, MESSAGE_CONTENT, "must not be empty");
	return STATUS_OK;
}

static bool has_items(const struct wire_value *value)
{
	return value->kind == WIRE_ARRAY && wire_count(value, 1) > 0;
}

/* An assistant may have said something else than content, and an assistant or a tool may have said nothing. */
static enum status check_content(struct chat_reader *reader, const struct message_view *view)
{
	const struct wire_value *content = &view->fields[MESSAGE_CONTENT];
	bool is_assistant = view->role == CHAT_ROLE_ASSISTANT;
	if (!wire_is_given(content)) {
		const struct wire_value *refusal = &view->fields[MESSAGE_REFUSAL];
		if (is_assistant && (has_items(&view->fields[MESSAGE_TOOL_CALLS]) || wire_is_given(refusal)))
			return STATUS_OK;
		return reject_field(reader, view, MESSAGE_CONTENT, "is required");
	}
	if (content->kind == WIRE_ARRAY) return check_parts(reader, view);
	if (content->kind != WIRE_TEXT)
		return reject_field(reader, view, MESSAGE_CONTENT, "must be text or an array of parts");
	if (content->inside.size == 0 && !is_assistant && view->role != CHAT_ROLE_TOOL)
		return reject_field(reader, view, MESSAGE_CONTENT, "must not be empty");
	return STATUS_OK;
}

static enum status read_tools(
	struct chat_reader *reader, const struct message_view *view, struct chat_message *out_message)
{
	const struct wire_value *calls = &view->fields[MESSAGE_TOOL_CALLS];
	const struct wire_value *id = &view->fields[MESSAGE_TOOL_CALL_ID];
	if (wire_is_given(calls)) {
		struct wire_cursor cursor = wire_items(calls);
		struct wire_value call;
		while (wire_next(&cursor, &call))
			if (call.kind != WIRE_MAP)
				return reject_field(reader, view, MESSAGE_TOOL_CALLS, "must hold maps only");
		out_message->has_tool_calls = view->role == CHAT_ROLE_ASSISTANT && has_items(calls);
	}
	if (view->role != CHAT_ROLE_TOOL) return STATUS_OK;
	if (!wire_is_given(id))
		return chat_reject(reader, REASON_BAD_REQUEST,
			"messages[%zu] has role tool and therefore needs a tool_call_id.", view->index);
	if (id->inside.size == 0) return reject_field(reader, view, MESSAGE_TOOL_CALL_ID, "must not be empty");
	return wire_text(id, reader->arena, &out_message->tool_call_id);
}

/* Whether a field goes on: null is the same as not given, except where a content of null says something. */
static bool is_passed_on(const struct message_view *view, size_t field)
{
	if (field == MESSAGE_CONTENT) return view->fields[field].kind != WIRE_NONE;
	return wire_is_given(&view->fields[field]);
}

/* Whether the message's own bytes are JSON text that holds nothing but what goes on. */
static bool is_passed_on_whole(const struct message_view *view)
{
	if (view->whole.coding != CHAT_CODING_JSON || view->found.unknown > 0) return false;
	for (size_t i = 0; i < MESSAGE_FIELDS; i++)
		if (view->fields[i].kind == WIRE_NULL && i != MESSAGE_CONTENT) return false;
	return true;
}

static enum status write_json(struct chat_reader *reader, const struct message_view *view, struct bytes *out_json)
{
	if (is_passed_on_whole(view)) {
		*out_json = view->whole.whole;
		return STATUS_OK;
	}
	struct buffer *json = &reader->scratch;
	char before = '{';
	for (size_t i = 0; i < MESSAGE_FIELDS; i++) {
		if (!is_passed_on(view, i)) continue;
		buffer_append_char(json, before);
		buffer_append_json_string(json, message_names[i]);
		buffer_append_char(json, ':');
		enum status status = transcode_to_json(&view->fields[i], json);
		if (status != STATUS_OK)
			return reject_field(reader, view, (enum message_field)i, "must not hold binary data");
		before = ',';
	}
	buffer_append_char(json, '}');
	return chat_keep_scratch(reader, out_json);
}

/* What is wrong with the keys of the map, or STATUS_OK. */
static enum status check_keys(struct chat_reader *reader, const struct message_view *view)
{
	if (view->found.repeated)
		return chat_reject(reader, REASON_SCHEMA, "messages[%zu] has a key twice.", view->index);
	if (view->found.crowded)
		return chat_reject(reader, REASON_SCHEMA, "messages[%zu] has more than %d unknown keys.", view->index,
			(int)WIRE_UNKNOWN_MAX);
	return STATUS_OK;
}

static enum status read_message(struct chat_reader *reader, struct message_view *view, struct chat_message *out_message)
{
	if (view->whole.kind != WIRE_MAP)
		return chat_reject(reader, REASON_SCHEMA, "messages[%zu] must be a map.", view->index);
	wire_collect(&view->whole, message_names, MESSAGE_FIELDS, view->fields, &view->found);
	reader->request->unknown_fields += view->found.unknown;

	enum status status = check_keys(reader, view);
	if (status == STATUS_OK) status = read_role(reader, view);
	if (status == STATUS_OK) status = check_kinds(reader, view);
	if (status == STATUS_OK) status = check_content(reader, view);
	if (status == STATUS_OK) status = read_tools(reader, view, out_message);
	if (status == STATUS_OK) status = write_json(reader, view, &out_message->json);
	out_message->role = view->role;
	return status;
}

enum status chat_messages_read(struct chat_reader *reader, const struct wire_value *messages)
{
	size_t most = reader->limits->messages;
	if (!wire_is_given(messages)) return chat_reject(reader, REASON_SCHEMA, "messages is required.");
	if (messages->kind != WIRE_ARRAY) return chat_reject(reader, REASON_SCHEMA, "messages must be an array.");
	size_t count = wire_count(messages, most + 1);
	if (count == 0) return chat_reject(reader, REASON_SCHEMA, "messages must not be empty.");
	if (count > most) return chat_reject(reader, REASON_SCHEMA, "messages has more than %zu items.", most);

	struct chat_request *request = reader->request;
	request->messages = arena_calloc(reader->arena, count, sizeof(*request->messages));
	if (request->messages == NULL) return STATUS_NO_MEMORY;
	struct wire_cursor cursor = wire_items(messages);
	struct message_view view;
	for (view.index = 0; wire_next(&cursor, &view.whole); view.index++) {
		ASSERT(view.index < count);
		enum status status = read_message(reader, &view, &request->messages[view.index]);
		if (status != STATUS_OK) return status;
	}
	request->message_count = count;
	return STATUS_OK;
}
