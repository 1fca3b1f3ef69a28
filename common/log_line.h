/* One log line: an event in one of the three forms, within LOG_LINE_MAX bytes. Pure.
 *
 * Text from outside cannot break out of its field: control characters and bytes that are not UTF-8 are escaped or
 * replaced, and in text and logfmt a value with blanks, quotes or equals signs is quoted. Secrets are masked in each
 * value before it is cut to length (a cut secret could not be recognised any more), and once more in the line.
 *
 * Owner and thread: the log, under its lock. */
#ifndef COMMON_LOG_LINE_H
#define COMMON_LOG_LINE_H

#include "common/log.h"
#include "common/redaction.h"

struct log_line {
	enum log_format format;            /* never AUTO */
	const struct redaction *redaction; /* borrowed */
	struct buffer text;                /* the line under way */
	struct buffer value;               /* one value, scratch */
	struct buffer out;                 /* the finished line with its newline */
	bool is_cut;                       /* something was left out */
};

void log_line_init(struct log_line *line, enum log_format format, const struct redaction *redaction);
void log_line_deinit(struct log_line *line);

/* Begins an event: time, level, message. */
void log_line_begin(struct log_line *line, int64_t wall_ms, enum log_level level, const char *message);

/* Adds a field, or marks the line as cut when it does not fit. */
void log_line_add(struct log_line *line, const struct log_field *field);

/* Closes the line and masks secrets. The result is borrowed until the next begin; BYTES_NONE without memory. */
struct bytes log_line_end(struct log_line *line);

#endif
