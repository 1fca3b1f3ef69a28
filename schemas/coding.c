/* Which coding a record has: see the header. */
#include "schemas/coding.h"

#include <string.h>

struct coding_row {
	const char *content_type;
	enum chat_coding coding;
};

/* The first row of a coding is the one that is written. */
static const struct coding_row coding_rows[] = {
	{ "application/vnd.msgpack", CHAT_CODING_MSGPACK },
	{ "application/json", CHAT_CODING_JSON },
	{ "application/msgpack", CHAT_CODING_MSGPACK },
	{ "application/x-msgpack", CHAT_CODING_MSGPACK },
};

enum { CODING_ROWS = sizeof(coding_rows) / sizeof(coding_rows[0]) };

const char *coding_content_type(enum chat_coding coding)
{
	return coding_rows[coding == CHAT_CODING_JSON ? 1 : 0].content_type;
}

/* `application/json` out of ` Application/JSON ; charset=utf-8`, case left as it is. */
static struct bytes media_type(struct bytes content_type)
{
	if (content_type.size == 0) return content_type;
	const char *semicolon = memchr(content_type.data, ';', content_type.size);
	if (semicolon != NULL) content_type.size = (size_t)(semicolon - content_type.data);
	return bytes_trim(content_type);
}

enum status coding_find(struct bytes content_type, struct bytes value, enum chat_coding *out_coding)
{
	struct bytes type = media_type(content_type);
	if (value.size > 0 && value.data[0] == '{') {
		*out_coding = CHAT_CODING_JSON;
		return STATUS_OK;
	}

	*out_coding = CHAT_CODING_MSGPACK;
	if (type.size == 0) return STATUS_OK;
	for (size_t i = 0; i < CODING_ROWS; i++) {
		if (!bytes_equal_ignoring_case(type, bytes_of(coding_rows[i].content_type))) continue;
		*out_coding = coding_rows[i].coding;
		return STATUS_OK;
	}
	return STATUS_UNSUPPORTED;
}
