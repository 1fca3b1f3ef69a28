/* Trimming of histories: examples, and the promises over thousands of random conversations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/random.h"
#include "worker/core/history.h"

enum { MESSAGES_MAX = 40, JSON_SIZE = 10 };

/* One letter a message: s system, d developer, u user, a assistant, c assistant with tool calls, t tool. Upper case: a
 * message of 100 bytes instead of 10. */
static void make(const char *letters, struct chat_message *messages)
{
	static const char json[] =
		"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234"
		"567890123456789";
	for (size_t i = 0; letters[i] != '\0'; i++) {
		char kind = (char)(letters[i] | 0x20);
		messages[i] = (struct chat_message){
			.role = kind == 's'   ? CHAT_ROLE_SYSTEM
				: kind == 'd' ? CHAT_ROLE_DEVELOPER
				: kind == 'u' ? CHAT_ROLE_USER
				: kind == 't' ? CHAT_ROLE_TOOL
					      : CHAT_ROLE_ASSISTANT,
			.has_tool_calls = kind == 'c',
			.json = bytes_at(json, kind == letters[i] ? JSON_SIZE : JSON_SIZE * 10),
			/* Where it stood, to know it again. */
			.tool_call_id = bytes_at(letters + i, 1),
		};
	}
}

static void read_back(const struct chat_message *messages, size_t count, char *out_letters)
{
	for (size_t i = 0; i < count; i++)
		out_letters[i] = messages[i].tool_call_id.data[0];
	out_letters[count] = '\0';
}

static void assert_trimmed(const char *letters, size_t messages_max, size_t bytes_max, const char *expected)
{
	struct chat_message messages[MESSAGES_MAX];
	char left[MESSAGES_MAX + 1];
	make(letters, messages);
	struct history_limits limits = { .messages_max = messages_max, .bytes_max = bytes_max };
	read_back(messages, history_trim(messages, strlen(letters), &limits), left);
	assert_string_equal(left, expected);
}

static void assert_halved(const char *letters, const char *expected)
{
	struct chat_message messages[MESSAGES_MAX];
	char left[MESSAGES_MAX + 1];
	make(letters, messages);
	read_back(messages, history_halve(messages, strlen(letters)), left);
	assert_string_equal(left, expected);
}

static void history_within_limits_stays(void **state)
{
	(void)state;
	assert_trimmed("uauau", 5, 50, "uauau");
	assert_trimmed("u", 1, 10, "u");
	assert_trimmed("auctatu", 7, 70, "auctatu");
}

static void history_over_messages_loses_oldest_turns(void **state)
{
	(void)state;
	assert_trimmed("uauau", 4, SIZE_MAX, "uau");
	assert_trimmed("uauau", 3, SIZE_MAX, "uau");
	assert_trimmed("uauau", 2, SIZE_MAX, "u");
	assert_trimmed("uauaua", 4, SIZE_MAX, "uaua");
	assert_trimmed("auau", 3, SIZE_MAX, "uau");
}

static void history_over_bytes_loses_oldest_turns(void **state)
{
	(void)state;
	assert_trimmed("uauau", SIZE_MAX, 49, "uau");
	assert_trimmed("uauau", SIZE_MAX, 30, "uau");
	assert_trimmed("uauau", SIZE_MAX, 29, "u");
	assert_trimmed("Uauau", SIZE_MAX, 60, "uau");
	assert_trimmed("uAuau", SIZE_MAX, 60, "uau");
}

static void history_instructions_stay_wherever_they_are(void **state)
{
	(void)state;
	assert_trimmed("suauau", 2, SIZE_MAX, "su");
	assert_trimmed("sduasuadu", 4, SIZE_MAX, "sdsdu");
	assert_trimmed("Suauau", 3, 1, "Su");
	assert_trimmed("ss", 1, 1, "ss");
}

static void history_newest_turn_stays(void **state)
{
	(void)state;
	assert_trimmed("uaU", 1, 1, "U");
	assert_trimmed("uau", 0, 0, "u");
	assert_trimmed("uaua", 1, 1, "ua");
	assert_trimmed("uasu", 1, 1, "su");
	assert_trimmed("uaus", 1, 1, "us");
}

static void history_tool_groups_are_whole(void **state)
{
	(void)state;
	assert_trimmed("ucttau", 5, SIZE_MAX, "u");
	assert_trimmed("uauctt", 4, SIZE_MAX, "uctt");
	assert_trimmed("uauctt", 1, 1, "uctt");
	assert_trimmed("cttu", 3, SIZE_MAX, "u");
	assert_trimmed("ctt", 1, 1, "ctt");
	/* Whatever stands inside a group. */
	assert_trimmed("uctstau", 3, SIZE_MAX, "su");
	assert_trimmed("uauctut", 1, 1, "ctut");
}

static void history_inside_of_the_newest_turn_goes_last(void **state)
{
	(void)state;
	assert_trimmed("uauctctct", 6, SIZE_MAX, "uctct");
	assert_trimmed("uctctct", 4, SIZE_MAX, "uct");
	assert_trimmed("uctctct", 5, SIZE_MAX, "uctct");
	assert_trimmed("uctacta", 4, SIZE_MAX, "ucta");
	assert_trimmed("ctctct", 4, SIZE_MAX, "ctct");
}

static void history_lone_tool_message_is_its_own_unit(void **state)
{
	(void)state;
	assert_trimmed("tuau", 3, SIZE_MAX, "uau");
	assert_trimmed("tttu", 2, SIZE_MAX, "u");
	assert_trimmed("ut", 1, 1, "ut");
}

static void history_half_of_what_is_loose_goes(void **state)
{
	(void)state;
	assert_halved("uauauauau", "uauau");
	assert_halved("suauauauau", "suauau");
	assert_halved("uau", "u");
	/* Half the bytes, not half the messages. */
	assert_halved("Uauauau", "uauau");
	assert_halved("uauauAu", "u");
	assert_halved("uctctct", "uctct");
}

static void history_nothing_loose_is_told(void **state)
{
	(void)state;
	assert_halved("u", "u");
	assert_halved("su", "su");
	assert_halved("uctt", "uctt");
	assert_halved("ua", "ua");
	assert_halved("", "");
}

static void history_halving_ends(void **state)
{
	(void)state;
	struct chat_message messages[MESSAGES_MAX];
	make("suauauctauauauauauauauau", messages);
	size_t count = 24;
	int steps = 0;
	for (size_t left; (left = history_halve(messages, count)) < count; count = left)
		assert_in_range(++steps, 1, 10);
	assert_int_equal(count, 2);
}

static size_t bytes_of_all(const struct chat_message *messages, size_t count)
{
	size_t bytes = 0;
	for (size_t i = 0; i < count; i++)
		bytes += messages[i].json.size;
	return bytes;
}

/* The promises, looked at from outside: `kept` says of each message of `letters` whether it is still there. */
static void assert_promises(const char *letters, const bool *kept)
{
	size_t count = strlen(letters), group = SIZE_MAX, last = SIZE_MAX;
	for (size_t i = 0; i < count; i++) {
		if (letters[i] == 's' || letters[i] == 'd') {
			assert_true(kept[i]);
			continue;
		}
		last = i;
		if (letters[i] == 'c') group = i;
		if (letters[i] == 't' && group != SIZE_MAX) assert_int_equal(kept[i], kept[group]);
	}
	if (last != SIZE_MAX) assert_true(kept[last]);
	const char *question = strrchr(letters, 'u');
	if (question != NULL) assert_true(kept[question - letters]);
}

/* Within the limits, or nothing is left that could go. */
static void assert_limits(
	const char *letters, const struct chat_message *messages, size_t left, const struct history_limits *limits)
{
	if (left <= limits->messages_max && bytes_of_all(messages, left) <= limits->bytes_max) return;
	struct chat_message again[MESSAGES_MAX];
	memcpy(again, messages, left * sizeof(*messages));
	struct history_limits none = { 0 };
	(void)letters;
	assert_int_equal(history_trim(again, left, &none), left);
}

static void history_random_conversations_keep_the_promises(void **state)
{
	(void)state;
	struct random random;
	random_init(&random, 20261123);
	for (int round = 0; round < 20000; round++) {
		char letters[MESSAGES_MAX + 1];
		size_t count = random_below(&random, 24);
		for (size_t i = 0; i < count; i++)
			letters[i] = "uuaactttsd"[random_below(&random, 10)];
		letters[count] = '\0';
		struct chat_message messages[MESSAGES_MAX];
		make(letters, messages);
		struct history_limits limits = { random_below(&random, 20), 10 * random_below(&random, 20) };
		size_t left = history_trim(messages, count, &limits);

		bool kept[MESSAGES_MAX] = { false };
		const char *before = NULL;
		for (size_t i = 0; i < left; i++) {
			const char *place = messages[i].tool_call_id.data;
			assert_true(before == NULL || place > before);
			kept[place - letters] = true;
			before = place;
		}
		assert_promises(letters, kept);
		assert_limits(letters, messages, left, &limits);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(history_within_limits_stays),
		cmocka_unit_test(history_over_messages_loses_oldest_turns),
		cmocka_unit_test(history_over_bytes_loses_oldest_turns),
		cmocka_unit_test(history_instructions_stay_wherever_they_are),
		cmocka_unit_test(history_newest_turn_stays),
		cmocka_unit_test(history_tool_groups_are_whole),
		cmocka_unit_test(history_inside_of_the_newest_turn_goes_last),
		cmocka_unit_test(history_lone_tool_message_is_its_own_unit),
		cmocka_unit_test(history_half_of_what_is_loose_goes),
		cmocka_unit_test(history_nothing_loose_is_told),
		cmocka_unit_test(history_halving_ends),
		cmocka_unit_test(history_random_conversations_keep_the_promises),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
