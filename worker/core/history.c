/* Trimming of histories: see the header. One pass, in place. */
#include "worker/core/history.h"

#include "common/assertion.h"

/* What stays and goes together: a tool group, or one message. Indexes, `end` is behind the last. */
struct span {
	size_t begin, end;
};

struct history {
	const struct chat_message *messages;
	size_t count;
	struct span newest_user; /* the unit that holds the last user message; empty when there is none */
	struct span newest;      /* the last unit that is no instruction; empty when there is none */
};

static bool is_instruction(const struct chat_message *message)
{
	ASSERT(message != NULL);
	return message->role == CHAT_ROLE_SYSTEM || message->role == CHAT_ROLE_DEVELOPER;
}

/* The unit that begins at `begin`. A group reaches to the last tool message before the next message with tool calls,
 * whatever stands between. */
static struct span unit_at(const struct chat_message *messages, size_t count, size_t begin)
{
	ASSERT(begin < count);
	struct span unit = { begin, begin + 1 };
	if (!messages[begin].has_tool_calls) return unit;
	for (size_t i = begin + 1; i < count && !messages[i].has_tool_calls; i++)
		if (messages[i].role == CHAT_ROLE_TOOL) unit.end = i + 1;
	return unit;
}

static bool span_has_user(const struct chat_message *messages, struct span span)
{
	ASSERT(span.begin < span.end);
	for (size_t i = span.begin; i < span.end; i++)
		if (messages[i].role == CHAT_ROLE_USER) return true;
	return false;
}

static struct history history_of(const struct chat_message *messages, size_t count)
{
	struct history history = { .messages = messages, .count = count };
	for (size_t i = 0; i < count;) {
		struct span unit = unit_at(messages, count, i);
		if (!is_instruction(&messages[i])) history.newest = unit;
		if (span_has_user(messages, unit)) history.newest_user = unit;
		i = unit.end;
	}
	ASSERT(history.newest.begin >= history.newest_user.begin);
	return history;
}

static bool is_pinned(const struct history *history, struct span unit)
{
	ASSERT(unit.begin < unit.end);
	ASSERT(unit.end <= history->count);
	bool is_newest = unit.begin == history->newest.begin && history->newest.end > 0;
	bool is_question = unit.begin == history->newest_user.begin && history->newest_user.end > 0;
	return is_instruction(&history->messages[unit.begin]) || is_newest || is_question;
}

/* What is left, while messages are left out. */
struct remains {
	size_t count;
	size_t bytes;
};

static size_t json_bytes(const struct chat_message *messages, struct span span)
{
	ASSERT(span.begin <= span.end);
	size_t bytes = 0;
	for (size_t i = span.begin; i < span.end; i++)
		bytes += messages[i].json.size;
	return bytes;
}

static bool is_over(const struct remains *remains, const struct history_limits *limits)
{
	ASSERT(remains != NULL);
	return remains->count > limits->messages_max || remains->bytes > limits->bytes_max;
}

/* A turn is weighed at its beginning, within the newest turn every unit is. */
static bool is_weighed(const struct history *history, struct span unit, bool is_first)
{
	ASSERT(unit.begin < unit.end);
	return is_first || unit.begin > history->newest_user.begin ||
	       history->messages[unit.begin].role == CHAT_ROLE_USER;
}

/* Moves the messages of `unit` that stay to the front; instructions inside a group that goes stay too. */
static size_t unit_move(
	struct chat_message *messages, size_t kept, struct span unit, bool goes, struct remains *remains)
{
	ASSERT(kept <= unit.begin);
	ASSERT(unit.begin < unit.end);
	for (size_t i = unit.begin; i < unit.end; i++) {
		if (goes && !is_instruction(&messages[i])) {
			remains->count--;
			remains->bytes -= messages[i].json.size;
			continue;
		}
		messages[kept++] = messages[i];
	}
	return kept;
}

size_t history_trim(struct chat_message *messages, size_t count, const struct history_limits *limits)
{
	ASSERT(messages != NULL || count == 0);
	ASSERT(limits != NULL);
	struct remains remains = { count, json_bytes(messages, (struct span){ 0, count }) };
	if (!is_over(&remains, limits)) return count;

	struct history history = history_of(messages, count);
	bool goes = false, is_first = true;
	size_t kept = 0;
	for (size_t i = 0; i < count;) {
		struct span unit = unit_at(messages, count, i);
		bool is_kept = is_pinned(&history, unit);
		if (!is_kept && is_weighed(&history, unit, is_first)) goes = is_over(&remains, limits);
		if (!is_instruction(&messages[i])) is_first = false;
		kept = unit_move(messages, kept, unit, goes && !is_kept, &remains);
		i = unit.end;
	}
	ASSERT(kept == remains.count);
	ASSERT(kept <= count);
	return kept;
}

/* Bytes of all that may be left out. */
static size_t loose_bytes(const struct chat_message *messages, size_t count)
{
	ASSERT(messages != NULL || count == 0);
	struct history history = history_of(messages, count);
	size_t bytes = 0;
	for (size_t i = 0; i < count;) {
		struct span unit = unit_at(messages, count, i);
		for (size_t j = unit.begin; j < unit.end && !is_pinned(&history, unit); j++)
			if (!is_instruction(&messages[j])) bytes += messages[j].json.size;
		i = unit.end;
	}
	ASSERT(bytes <= json_bytes(messages, (struct span){ 0, count }));
	return bytes;
}

size_t history_halve(struct chat_message *messages, size_t count)
{
	ASSERT(messages != NULL || count == 0);
	size_t loose = loose_bytes(messages, count);
	size_t all = json_bytes(messages, (struct span){ 0, count });
	ASSERT(loose <= all);
	struct history_limits limits = { .messages_max = SIZE_MAX, .bytes_max = all - (loose - loose / 2) };
	return history_trim(messages, count, &limits);
}
