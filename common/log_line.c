#include "common/log_line.h"

#include <math.h>
#include <time.h>

#include "common/assertion.h"

enum {
	LOG_TEXT_MAX = 65536, /* a longer value is no text for a log: its size is written instead */
	LOG_TAIL = 128,       /* kept free for the log's own fields and the closing brace */
};

void log_line_init(struct log_line *line, enum log_format format, const struct redaction *redaction)
{
	ASSERT(format != LOG_FORMAT_AUTO);
	*line = (struct log_line){ .format = format, .redaction = redaction };
	buffer_init(&line->text, 2 * LOG_LINE_MAX + 8 * LOG_VALUE_MAX);
	buffer_init(&line->value, 2 * LOG_TEXT_MAX);
	buffer_init(&line->out, 2 * LOG_LINE_MAX);
}

void log_line_deinit(struct log_line *line)
{
	buffer_deinit(&line->text);
	buffer_deinit(&line->value);
	buffer_deinit(&line->out);
}

/* Replaces what a terminal or a parser could take amiss; afterwards the value is valid UTF-8 without control
 * characters other than tab, CR and LF, which the quoting escapes. */
static void clean(struct buffer *value)
{
	bool is_utf8 = bytes_is_utf8(buffer_bytes(value));
	for (size_t i = 0; i < value->size; i++) {
		unsigned char one = (unsigned char)value->data[i];
		bool is_c1 = one == 0xc2 && i + 1 < value->size && (unsigned char)value->data[i + 1] < 0xa0;
		if (is_c1) value->data[i + 1] = '?';
		if ((one < 0x20 && one != '\n' && one != '\r' && one != '\t') || one == 0x7f || is_c1 ||
			(one >= 0x80 && !is_utf8))
			value->data[i] = '?';
	}
}

/* Masked, cleaned and cut, in line->value. */
static struct bytes prepare(struct log_line *line, struct bytes text)
{
	buffer_clear(&line->value);
	if (text.size > LOG_TEXT_MAX) {
		buffer_append_format(&line->value, "(%zu bytes)", text.size);
		return buffer_bytes(&line->value);
	}
	redaction_apply(line->redaction, text, &line->value);
	clean(&line->value);
	if (line->value.size <= LOG_VALUE_MAX) return buffer_bytes(&line->value);
	size_t size = LOG_VALUE_MAX;
	while (size > 0 && ((unsigned char)line->value.data[size] & 0xc0) == 0x80)
		size--;
	buffer_truncate(&line->value, size);
	buffer_append_text(&line->value, "...");
	return buffer_bytes(&line->value);
}

static bool needs_quotes(struct bytes text)
{
	for (size_t i = 0; i < text.size; i++) {
		unsigned char one = (unsigned char)text.data[i];
		if (one <= ' ' || one == '"' || one == '=' || one == '\\') return true;
	}
	return text.size == 0;
}

static void append_value(struct log_line *line, struct bytes text)
{
	if (line->format == LOG_FORMAT_JSON || needs_quotes(text))
		buffer_append_json_string(&line->text, text);
	else
		buffer_append(&line->text, text);
}

static void append_time(struct log_line *line, int64_t wall_ms)
{
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm parts;
	char text[32];
	if (gmtime_r(&seconds, &parts) == NULL || strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts) == 0) {
		buffer_append_int(&line->text, wall_ms);
		return;
	}
	buffer_append_format(&line->text, "%s.%03dZ", text, (int)(wall_ms % 1000));
}

void log_line_begin(struct log_line *line, int64_t wall_ms, enum log_level level, const char *message)
{
	static const char *const openings[] = { "", "", "ts=", "{\"ts\":\"" };
	static const char *const before_level[] = { "", " ", " level=", "\",\"level\":\"" };
	static const char *const before_message[] = { "", " ", " msg=", "\",\"msg\":" };
	buffer_clear(&line->text);
	line->is_cut = false;
	buffer_append_text(&line->text, openings[line->format]);
	append_time(line, wall_ms);
	buffer_append_text(&line->text, before_level[line->format]);
	buffer_append_text(&line->text, log_level_word(level));
	buffer_append_text(&line->text, before_message[line->format]);
	struct bytes text = prepare(line, bytes_of(message));
	if (line->format == LOG_FORMAT_TEXT)
		buffer_append(&line->text, text);
	else
		append_value(line, text);
}

static void append_number(struct log_line *line, double number)
{
	if (isfinite(number))
		buffer_append_format(&line->text, "%.9g", number);
	else
		buffer_append_text(&line->text, line->format == LOG_FORMAT_JSON ? "null" : "nan");
}

static void append_field(struct log_line *line, const struct log_field *field)
{
	buffer_append_text(&line->text, line->format == LOG_FORMAT_JSON ? ",\"" : " ");
	buffer_append_text(&line->text, field->name);
	buffer_append_text(&line->text, line->format == LOG_FORMAT_JSON ? "\":" : "=");
	switch (field->type) {
	case LOG_FIELD_TEXT:
		append_value(line, prepare(line, field->text));
		break;
	case LOG_FIELD_INT:
		buffer_append_int(&line->text, field->integer);
		break;
	case LOG_FIELD_DOUBLE:
		append_number(line, field->number);
		break;
	case LOG_FIELD_BOOL:
		buffer_append_text(&line->text, field->integer != 0 ? "true" : "false");
		break;
	}
}

void log_line_add(struct log_line *line, const struct log_field *field)
{
	ASSERT(field->name != NULL);
	size_t size_before = line->text.size;
	append_field(line, field);
	if (buffer_status(&line->text) == STATUS_OK && line->text.size <= LOG_LINE_MAX - LOG_TAIL) return;
	line->text.status = STATUS_OK;
	buffer_truncate(&line->text, size_before);
	line->is_cut = true;
}

struct bytes log_line_end(struct log_line *line)
{
	bool is_json = line->format == LOG_FORMAT_JSON;
	if (line->is_cut) buffer_append_text(&line->text, is_json ? ",\"cut\":true" : " cut=true");
	if (is_json) buffer_append_char(&line->text, '}');
	buffer_append_char(&line->text, '\n');
	buffer_clear(&line->out);
	redaction_apply(line->redaction, buffer_bytes(&line->text), &line->out);
	if (buffer_status(&line->text) != STATUS_OK || buffer_status(&line->out) != STATUS_OK) return BYTES_NONE;
	return buffer_bytes(&line->out);
}
