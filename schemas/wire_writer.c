/* One writer for both codings: see the header. msgpack is msgpack-c's packer over our buffer. */
#include "schemas/wire_writer.h"

#include <msgpack.h>
#include <string.h>

#include "common/assertion.h"
#include "schemas/transcode.h"

static msgpack_packer packer_of(struct wire_writer *writer)
{
	ASSERT(writer->coding == CHAT_CODING_MSGPACK);
	msgpack_packer packer;
	msgpack_packer_init(&packer, &writer->out, transcode_append);
	return packer;
}

static bool is_json(const struct wire_writer *writer)
{
	return writer->coding == CHAT_CODING_JSON;
}

void wire_writer_init(struct wire_writer *writer, enum chat_coding coding, size_t size_max)
{
	writer->coding = coding;
	buffer_init(&writer->out, size_max);
}

void wire_writer_map(struct wire_writer *writer, size_t pairs)
{
	if (is_json(writer)) {
		buffer_append_char(&writer->out, '{');
		return;
	}
	msgpack_packer packer = packer_of(writer);
	msgpack_pack_map(&packer, pairs);
}

void wire_writer_end_map(struct wire_writer *writer)
{
	if (is_json(writer)) buffer_append_char(&writer->out, '}');
}

void wire_writer_key(struct wire_writer *writer, const char *key)
{
	struct bytes text = bytes_of(key);
	if (!is_json(writer)) {
		wire_writer_text(writer, text);
		return;
	}
	/* Only the first key of a map stands right behind the bracket. */
	struct bytes before = buffer_bytes(&writer->out);
	if (before.size > 0 && before.data[before.size - 1] != '{') buffer_append_char(&writer->out, ',');
	buffer_append_json_string(&writer->out, text);
	buffer_append_char(&writer->out, ':');
}

void wire_writer_text(struct wire_writer *writer, struct bytes text)
{
	if (!bytes_is_given(text)) {
		wire_writer_null(writer);
	} else if (is_json(writer)) {
		buffer_append_json_string(&writer->out, text);
	} else {
		msgpack_packer packer = packer_of(writer);
		msgpack_pack_str_with_body(&packer, text.data, text.size);
	}
}

void wire_writer_integer(struct wire_writer *writer, int64_t value)
{
	if (is_json(writer)) {
		buffer_append_int(&writer->out, value);
		return;
	}
	msgpack_packer packer = packer_of(writer);
	msgpack_pack_int64(&packer, value);
}

void wire_writer_bool(struct wire_writer *writer, bool value)
{
	if (is_json(writer)) {
		buffer_append_text(&writer->out, value ? "true" : "false");
		return;
	}
	msgpack_packer packer = packer_of(writer);
	if (value)
		msgpack_pack_true(&packer);
	else
		msgpack_pack_false(&packer);
}

void wire_writer_null(struct wire_writer *writer)
{
	if (is_json(writer)) {
		buffer_append_text(&writer->out, "null");
		return;
	}
	msgpack_packer packer = packer_of(writer);
	msgpack_pack_nil(&packer);
}

void wire_writer_json(struct wire_writer *writer, struct bytes json)
{
	if (!bytes_is_given(json)) {
		wire_writer_null(writer);
		return;
	}
	if (is_json(writer)) {
		buffer_append(&writer->out, json);
		return;
	}
	enum status status = transcode_to_msgpack(json, &writer->out);
	if (status == STATUS_NO_MEMORY) buffer_fail(&writer->out, status);
	if (status == STATUS_INVALID) wire_writer_null(writer);
}
