/* The log: one line per event on one file descriptor.
 *
 * A line is `ts level msg` and typed fields, as text, logfmt or JSON. What must never be in it (message text, header
 * values) is the callers' duty; registered secrets are found and masked here, in whatever form they come
 * (common/redaction.h), before anything is written.
 *
 * The data path is never held up: a line is at most LOG_LINE_MAX bytes and is written by one write(2), and only when
 * the descriptor says that it would not block; otherwise it is dropped and counted, and the next line that gets
 * through says how many were lost (`dropped`). Repeats of one message beyond the burst of a window are counted, not
 * written; the count comes with the message's next line (`repeated`) or with log_tell_repeats().
 *
 * Owner: main, which creates it and passes it down. Threads: any, behind one small lock. When the level is off, a
 * call costs one comparison. */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include "common/bytes.h"
#include "common/clock.h"

/* member, word; the more important, the smaller */
#define LOG_LEVEL_TABLE(ROW)          \
	ROW(LOG_LEVEL_ERROR, "error") \
	ROW(LOG_LEVEL_WARN, "warn")   \
	ROW(LOG_LEVEL_INFO, "info")   \
	ROW(LOG_LEVEL_DEBUG, "debug")

#define LOG_LEVEL_MEMBER(member, word) member,
enum log_level { LOG_LEVEL_TABLE(LOG_LEVEL_MEMBER) };
#undef LOG_LEVEL_MEMBER

/* AUTO: text on a terminal, JSON otherwise. */
enum log_format { LOG_FORMAT_AUTO, LOG_FORMAT_TEXT, LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON };

enum {
	LOG_LINE_MAX = 4096, /* bytes with the newline: what a pipe takes at once; fields that do not fit are left out
	                        and the line says `cut` */
	LOG_VALUE_MAX = 512, /* bytes of one text value; longer ones are cut */
};

enum log_field_type { LOG_FIELD_TEXT, LOG_FIELD_INT, LOG_FIELD_DOUBLE, LOG_FIELD_BOOL };

/* A plain value that borrows `name` (static) and `text` for the call. */
struct log_field {
	const char *name;
	enum log_field_type type;
	struct bytes text; /* TEXT; any bytes, BYTES_NONE is written as an empty text */
	int64_t integer;   /* INT, BOOL */
	double number;     /* DOUBLE */
};

struct log_options {
	int fd; /* borrowed, usually 2; its flags are not touched */
	enum log_level level;
	enum log_format format;
	unsigned burst;                       /* lines of one message per window; 0 = 20 */
	int64_t window_ms;                    /* 0 = 10 s */
	struct instant (*now)(void *context); /* for tests; NULL = clock_now() */
	void *context;
};

struct log;

/* NULL when memory is missing. */
NODISCARD struct log *log_new(const struct log_options *options);

/* Tells outstanding repeats, wipes the registered secrets. Accepts NULL. */
void log_free(struct log *log);

/* Masks `secret` in every later line. STATUS_INVALID when it is shorter than REDACTION_SECRET_MIN bytes (masking it
 * would make logs unreadable), STATUS_FULL at the bound, STATUS_NO_MEMORY. */
NODISCARD enum status log_redact(struct log *log, struct bytes secret);

/* Masks it no more: it is of no use to anybody now, and another one needs its place. */
void log_forget(struct log *log, struct bytes secret);

/* Would an event of this level be written? To spare the making of costly fields. A NULL log writes nothing. */
bool log_is_on(const struct log *log, enum log_level level);

/* Writes one event. `message` is a string literal: short, lower case, the same for every event of its kind, because
 * it is also the key of the rate limit (debug lines are not limited). Fields come in the order given. Accepts a NULL
 * log, so that tests may pass none. Use as
 *     log_event(log, LOG_LEVEL_WARN, "call failed", LOG_FIELDS(log_text("reason", word), log_int("attempt", 2))); */
void log_event(
	struct log *log, enum log_level level, const char *message, const struct log_field *fields, size_t count);

/* The two arguments `fields, count` from a list of fields; LOG_NO_FIELDS for none. */
#define LOG_FIELDS(...)                            \
	(const struct log_field[]){ __VA_ARGS__ }, \
		sizeof((const struct log_field[]){ __VA_ARGS__ }) / sizeof(struct log_field)
#define LOG_NO_FIELDS NULL, 0

/* Writes the counts of messages whose repeats were suppressed and whose window is over. Called now and then by a
 * loop, for messages that do not come again. */
void log_tell_repeats(struct log *log);

/* Lines lost so far because the descriptor would have blocked or failed. */
uint64_t log_dropped(const struct log *log);

/* Static word, never NULL. */
const char *log_level_word(enum log_level level);

static inline struct log_field log_text(const char *name, struct bytes text)
{
	return (struct log_field){ .name = name, .type = LOG_FIELD_TEXT, .text = text };
}

static inline struct log_field log_string(const char *name, const char *text)
{
	return log_text(name, bytes_of(text));
}

static inline struct log_field log_int(const char *name, int64_t integer)
{
	return (struct log_field){ .name = name, .type = LOG_FIELD_INT, .integer = integer };
}

static inline struct log_field log_double(const char *name, double number)
{
	return (struct log_field){ .name = name, .type = LOG_FIELD_DOUBLE, .number = number };
}

static inline struct log_field log_bool(const char *name, bool truth)
{
	return (struct log_field){ .name = name, .type = LOG_FIELD_BOOL, .integer = truth };
}

#endif
