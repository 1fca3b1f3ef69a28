/* Numbers and what is required; texts are checked in worker/settings_check_texts.c. */
#include "worker/settings_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A pair of settings of which the first must be less than the second (or at most as large). */
struct order {
	const char *less_key;
	int64_t less;
	const char *more_key;
	int64_t more;
	bool may_be_equal;
	bool is_warning;
	const char *why;
};

/* Tells the problem at whichever of both was given, so that the message has a place. */
static void check_order(struct settings_table *table, const struct order *order)
{
	if (order->less < order->more || (order->may_be_equal && order->less == order->more)) return;
	size_t less_index = settings_table_find(table, order->less_key);
	size_t more_index = settings_table_find(table, order->more_key);
	const struct setting_value *less = settings_table_value(table, less_index);
	const struct setting_value *more = settings_table_value(table, more_index);
	bool is_told_at_more = less->origin == SETTING_DEFAULT && more->origin != SETTING_DEFAULT;
	const char *key = is_told_at_more ? order->more_key : order->less_key;
	const char *other_key = is_told_at_more ? order->less_key : order->more_key;
	const struct setting_value *other = is_told_at_more ? less : more;
	const char *relation = is_told_at_more ? (order->may_be_equal ? "not be less than" : "be more than")
					       : (order->may_be_equal ? "not be more than" : "be less than");
	char text[400];
	(void)snprintf(text, sizeof text, "%" PRId64 " must %s %s (%" PRId64 ", %.120s): %s",
		is_told_at_more ? order->more : order->less, relation, other_key,
		is_told_at_more ? order->less : order->more, other->place, order->why);
	if (order->is_warning)
		settings_table_warn(table, key, "%s", text);
	else
		settings_table_error(table, key, "%s", text);
}

/* The names of the settings and their values, from one mention of each. */
#define PAIR(settings, small_section, small_name, large_section, large_name)                      \
	.less_key = #small_section "." #small_name, .less = (settings)->small_section.small_name, \
	.more_key = #large_section "." #large_name, .more = (settings)->large_section.large_name

static void check_clocks(const struct settings *settings)
{
	const struct order orders[] = {
		{ PAIR(settings, openrouter, connect_timeout_ms, openrouter, first_token_timeout_ms),
			.why = "the first content comes after the connection" },
		{ PAIR(settings, openrouter, first_token_timeout_ms, chat, deadline_ms),
			.why = "an attempt must end before the chat's deadline" },
		{ PAIR(settings, openrouter, stall_timeout_ms, chat, deadline_ms),
			.why = "an attempt must end before the chat's deadline" },
		{ PAIR(settings, chat, publish_reserve_ms, chat, deadline_ms),
			.why = "there must be time left for an attempt" },
		{ PAIR(settings, chat, deadline_ms, worker, drain_ms),
			.why = "chats under way could not end before the process does" },
		{ PAIR(settings, kafka, heartbeat_interval_ms, kafka, session_timeout_ms),
			.why = "a member would be thought dead between two heartbeats" },
		{ PAIR(settings, kafka, session_timeout_ms, kafka, max_poll_interval_ms), .may_be_equal = true,
			.why = "librdkafka refuses it" },
		{ PAIR(settings, retry, backoff_ms, retry, backoff_max_ms), .may_be_equal = true,
			.why = "the first pause is the shortest" },
		{ PAIR(settings, retry, backoff_max_ms, chat, deadline_ms),
			.why = "a chat would end while it waits for its next attempt" },
		{ PAIR(settings, breaker, open_ms, breaker, open_max_ms), .may_be_equal = true,
			.why = "the first pause is the shortest" },
		{ PAIR(settings, hedge, delay_min_ms, hedge, delay_ms), .may_be_equal = true,
			.why = "it is the shortest delay" },
	};
	for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++)
		check_order(settings->table, &orders[i]);
	const struct order hedge = { PAIR(settings, hedge, delay_ms, openrouter, first_token_timeout_ms),
		.is_warning = true, .why = "an attempt ends before it gets a second call" };
	if (settings->hedge.enabled) check_order(settings->table, &hedge);
}

/* Zero says that a time is not given. */
static void check_optional_clocks(const struct settings *settings)
{
	const struct order deadline_max = { PAIR(settings, chat, deadline_ms, chat, deadline_max_ms),
		.may_be_equal = true, .why = "requests could name no deadline" };
	if (settings->chat.deadline_max_ms > 0) check_order(settings->table, &deadline_max);
	const struct order drain = { PAIR(settings, chat, deadline_max_ms, worker, drain_ms), .may_be_equal = true,
		.is_warning = true, .why = "chats with a late deadline are left for the next owner at a shutdown" };
	if (settings->chat.deadline_max_ms > settings->chat.deadline_ms) check_order(settings->table, &drain);
	const struct order grace = { PAIR(settings, worker, drain_ms, worker, grace_ms),
		.why = "the process would be killed while it drains" };
	if (settings->worker.grace_ms > 0) check_order(settings->table, &grace);
}

static void check_bounds(const struct settings *settings)
{
	const struct order orders[] = {
		{ PAIR(settings, limits, record_bytes, worker, max_bytes),
			.why = "one large request would never be taken" },
		{ PAIR(settings, worker, max_in_flight, worker, max_waiting), .may_be_equal = true,
			.why = "so many attempts could never run" },
		{ PAIR(settings, openrouter, response_max_bytes, publish, max_bytes), .may_be_equal = true,
			.is_warning = true, .why = "a large reply may be refused" },
	};
	for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++)
		check_order(settings->table, &orders[i]);
}

static void require(struct settings *settings, const char *key, bool is_given)
{
	if (is_given) return;
	struct buffer name;
	buffer_init(&name, 256);
	setting_variable_name(SETTINGS_VARIABLE_PREFIX, key, &name);
	settings_table_error(settings->table, key, "is required: give it in the file, as %.*s, or by --set",
		(int)name.size, name.data);
	buffer_deinit(&name);
}

/* A thread that is well may be silent for seconds: while it waits for its turn, in a call of librdkafka, or closing. */
static void check_stuck(struct settings *settings)
{
	enum { LEAST_MS = 1500, CLOSING_MS = 10000 };
	int64_t stuck_ms = settings->worker.stuck_ms;
	if (stuck_ms == 0 || stuck_ms >= CLOSING_MS) return;
	if (stuck_ms < LEAST_MS)
		settings_table_error(settings->table, "worker.stuck_ms",
			"%" PRId64 " must be 0 or at least %d: a thread that is well would be taken for stuck",
			stuck_ms, (int)LEAST_MS);
	else
		settings_table_warn(settings->table, "worker.stuck_ms",
			"%" PRId64 " is less than closing may take (%d)", stuck_ms, (int)CLOSING_MS);
}

static void check_temperature(struct settings *settings)
{
	double temperature = settings->openrouter.temperature;
	if (temperature >= 0 || temperature == -1.0) return;
	settings_table_error(
		settings->table, "openrouter.temperature", "must be from 0 to 2, or -1 to leave it to the model");
}

void settings_check_values(struct settings *settings)
{
	require(settings, "kafka.bootstrap_servers", settings->kafka.bootstrap_servers[0] != '\0');
	require(settings, "openrouter.models", settings->openrouter.models.count > 0);
	check_clocks(settings);
	check_optional_clocks(settings);
	check_bounds(settings);
	check_temperature(settings);
	check_stuck(settings);
	bool has_idle_id = settings->kafka.delivery == SETTINGS_DELIVERY_AT_LEAST_ONCE &&
			   settings->kafka.transactional_id[0] != '\0';
	if (has_idle_id)
		settings_table_warn(settings->table, "kafka.transactional_id", "is not used with at_least_once");
}
