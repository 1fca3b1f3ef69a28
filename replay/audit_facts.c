/* A few fields of each record. */
#include "replay/audit_facts.h"

#include "schemas/wire.h"

enum { ID_BYTES_MAX = 128 };

/* The map in a record's value. STATUS_INVALID: there is none that could be walked. */
static enum status open_map(const struct record *record, struct wire_value *out_map)
{
	enum chat_coding coding = CHAT_CODING_MSGPACK;
	struct wire_fault fault;
	struct bytes content_type = record_headers_last(&record->headers, "content-type");
	if (record->value.size == 0) return STATUS_INVALID;
	if (coding_find(content_type, record->value, &coding) != STATUS_OK) return STATUS_INVALID;
	enum status status = wire_open(coding, record->value, WIRE_DEPTH_MAX, out_map, &fault);
	if (status != STATUS_OK) return status;
	return out_map->kind == WIRE_MAP ? STATUS_OK : STATUS_INVALID;
}

/* Text of at most `size_max` bytes, else BYTES_NONE. */
static struct bytes text_of(const struct wire_value *value, size_t size_max, struct arena *arena)
{
	struct bytes text = BYTES_NONE;
	if (!wire_is_given(value) || value->kind != WIRE_TEXT) return BYTES_NONE;
	if (wire_text(value, arena, &text) != STATUS_OK) return BYTES_NONE;
	return text.size > 0 && text.size <= size_max ? text : BYTES_NONE;
}

enum status audit_facts_request(const struct record *record, struct arena *arena, struct audit_request *out_request)
{
	enum { REQUEST_ID, CONVERSATION_ID, COUNT };
	static const struct bytes NAMES[COUNT] = { { "request_id", 10 }, { "conversation_id", 15 } };
	struct audit_request request = {
		.partition = record->partition, .offset = record->offset, .timestamp_ms = record->timestamp_ms
	};
	struct wire_value map;
	enum status status = open_map(record, &map);
	if (status == STATUS_NO_MEMORY) return status;
	if (status == STATUS_OK) {
		struct wire_value slots[COUNT];
		struct wire_found found;
		wire_collect(&map, NAMES, COUNT, slots, &found);
		request.id = text_of(&slots[REQUEST_ID], ID_BYTES_MAX, arena);
		request.conversation = text_of(&slots[CONVERSATION_ID], ID_BYTES_MAX, arena);
	}
	if (!bytes_is_given(request.conversation)) request.conversation = record->key;
	*out_request = request;
	return STATUS_OK;
}

static bool read_outcome(struct bytes word, enum audit_outcome *out_outcome)
{
	static const char *const WORDS[AUDIT_OUTCOME_COUNT] = { "answered", "fallback", "rejected" };
	for (size_t i = 0; i < AUDIT_OUTCOME_COUNT; i++) {
		if (!bytes_equal_text(word, WORDS[i])) continue;
		*out_outcome = (enum audit_outcome)i;
		return true;
	}
	return false;
}

static bool read_integer(const struct wire_value *value, int64_t *out_integer)
{
	return value->kind == WIRE_INTEGER && wire_integer(value, out_integer) == STATUS_OK;
}

static bool is_partition(int64_t number)
{
	return number >= 0 && number <= INT32_MAX;
}

static bool read_source(const struct wire_value *map, struct arena *arena, struct audit_reply *reply)
{
	enum { TOPIC, PARTITION, OFFSET, COUNT };
	static const struct bytes NAMES[COUNT] = { { "topic", 5 }, { "partition", 9 }, { "offset", 6 } };
	enum { TOPIC_BYTES_MAX = 249 };
	struct wire_value slots[COUNT];
	struct wire_found found;
	int64_t partition = -1;
	if (map->kind != WIRE_MAP) return false;
	wire_collect(map, NAMES, COUNT, slots, &found);
	reply->source_topic = text_of(&slots[TOPIC], TOPIC_BYTES_MAX, arena);
	if (!read_integer(&slots[PARTITION], &partition) || !is_partition(partition)) return false;
	reply->source_partition = (int32_t)partition;
	return read_integer(&slots[OFFSET], &reply->source_offset) && bytes_is_given(reply->source_topic);
}

static bool read_reply(const struct wire_value *map, struct arena *arena, struct audit_reply *reply)
{
	enum { REQUEST_ID, CONVERSATION_ID, OUTCOME, SOURCE, COUNT };
	static const struct bytes NAMES[COUNT] = { { "request_id", 10 }, { "conversation_id", 15 }, { "outcome", 7 },
		{ "source", 6 } };
	struct wire_value slots[COUNT];
	struct wire_found found;
	wire_collect(map, NAMES, COUNT, slots, &found);
	reply->id = text_of(&slots[REQUEST_ID], SIZE_MAX, arena);
	reply->conversation = text_of(&slots[CONVERSATION_ID], SIZE_MAX, arena);
	return read_outcome(text_of(&slots[OUTCOME], SIZE_MAX, arena), &reply->outcome) &&
	       read_source(&slots[SOURCE], arena, reply);
}

enum status audit_facts_reply(
	const struct record *record, const char *topic, struct arena *arena, struct audit_reply *out_reply)
{
	struct audit_reply reply = { .place = { topic, record->partition, record->offset },
		.timestamp_ms = record->timestamp_ms,
		.key = record->key };
	struct wire_value map;
	enum status status = open_map(record, &map);
	if (status == STATUS_NO_MEMORY) return status;
	reply.is_readable = status == STATUS_OK && read_reply(&map, arena, &reply);
	*out_reply = reply;
	return STATUS_OK;
}

void audit_facts_letter(const struct record *record, const char *topic, struct audit_letter *out_letter)
{
	const struct record_headers *headers = &record->headers;
	struct audit_letter letter = { .place = { topic, record->partition, record->offset },
		.source_topic = record_headers_last(headers, "dlq-original-topic") };
	int64_t partition = -1;
	letter.is_readable =
		letter.source_topic.size > 0 &&
		bytes_to_int64(record_headers_last(headers, "dlq-original-partition"), &partition) == STATUS_OK &&
		bytes_to_int64(record_headers_last(headers, "dlq-original-offset"), &letter.source_offset) ==
			STATUS_OK &&
		is_partition(partition);
	if (letter.is_readable) letter.source_partition = (int32_t)partition;
	*out_letter = letter;
}
