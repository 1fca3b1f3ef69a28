#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pthread.h>

#include <cmocka.h>

#include "common/log.h"

/* A log that writes into a pipe, with a clock that stands where the test puts it. */
struct fixture {
	struct log *log;
	int pipe[2];
	struct instant now;
	char text[65536];
};

static struct instant read_fixture_clock(void *context)
{
	const struct fixture *fixture = context;
	return fixture->now;
}

static void open_log(struct fixture *fixture, enum log_format format, enum log_level level, unsigned burst)
{
	memset(fixture, 0, sizeof *fixture);
	assert_int_equal(pipe2(fixture->pipe, O_NONBLOCK | O_CLOEXEC), 0);
	fixture->now = (struct instant){ .mono_ms = 1000, .wall_ms = 1767225600123 };
	const struct log_options options = { .fd = fixture->pipe[1],
		.level = level,
		.format = format,
		.burst = burst,
		.window_ms = 1000,
		.now = read_fixture_clock,
		.context = fixture };
	fixture->log = log_new(&options);
	assert_non_null(fixture->log);
}

static const char *read_all(struct fixture *fixture)
{
	size_t size = 0;
	ssize_t more;
	while ((more = read(fixture->pipe[0], fixture->text + size, sizeof fixture->text - 1 - size)) > 0)
		size += (size_t)more;
	fixture->text[size] = '\0';
	return fixture->text;
}

static void close_log(struct fixture *fixture)
{
	log_free(fixture->log);
	(void)close(fixture->pipe[0]);
	(void)close(fixture->pipe[1]);
}

static void log_sample(struct log *log)
{
	log_event(log, LOG_LEVEL_WARN, "call failed",
		LOG_FIELDS(log_string("reason", "rate_limited"), log_int("attempt", -2), log_double("share", 0.55),
			log_bool("last", true), log_string("text", "a \"b\"\n=c")));
}

static void log_text_format_written(void **state)
{
	(void)state;
	struct fixture fixture;
	open_log(&fixture, LOG_FORMAT_TEXT, LOG_LEVEL_INFO, 0);
	log_sample(fixture.log);
	assert_string_equal(read_all(&fixture),
		"2026-01-01T00:00:00.123Z warn call failed reason=rate_limited attempt=-2 "
		"share=0.55 last=true text=\"a \\\"b\\\"\\n=c\"\n");
	close_log(&fixture);
}

static void log_logfmt_format_written(void **state)
{
	(void)state;
	struct fixture fixture;
	open_log(&fixture, LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO, 0);
	log_sample(fixture.log);
	assert_string_equal(read_all(&fixture), "ts=2026-01-01T00:00:00.123Z level=warn msg=\"call failed\" "
						"reason=rate_limited attempt=-2 share=0.55 last=true "
						"text=\"a \\\"b\\\"\\n=c\"\n");
	close_log(&fixture);
}

static void log_json_format_written(void **state)
{
	(void)state;
	struct fixture fixture;
	open_log(&fixture, LOG_FORMAT_JSON, LOG_LEVEL_INFO, 0);
	log_sample(fixture.log);
	assert_string_equal(read_all(&fixture),
		"{\"ts\":\"2026-01-01T00:00:00.123Z\",\"level\":\"warn\",\"msg\":\"call "
		"failed\",\"reason\":\"rate_limited\","
		"\"attempt\":-2,\"share\":0.55,\"last\":true,\"text\":\"a \\\"b\\\"\\n=c\"}\n");
	close_log(&fixture);
}

static void log_auto_format_on_pipe_is_json(void **state)
{
	(void)state;
	struct fixture fixture;
	open_log(&fixture, LOG_FORMAT_AUTO, LOG_LEVEL_INFO, 0);
	log_event(fixture.log, LOG_LEVEL_INFO, "started", LOG_NO_FIELDS);
	assert_int_equal(read_all(&fixture)[0], '{');
	close_log(&fixture);
}

static void log_level_off_writes_nothing(void **state)
{
	(void)state;
	struct fixture fixture;
	open_log(&fixture, LOG_FORMAT_TEXT, LOG_LEVEL_WARN, 0);
	log_event(fixture.log, LOG_LEVEL_INFO, "unimportant", LOG_NO_FIELDS);
	log_event(fixture.log, LOG_LEVEL_DEBUG, "unimportant", LOG_NO_FIELDS);
	assert_string_equal(read_all(&fixture), "");
	assert_true(log_is_on(fixture.log, LOG_LEVEL_ERROR));
	assert_true(log_is_on(fixture.log, LOG_LEVEL_WARN));
	assert_false(log_is_on(fixture.log, LOG_LEVEL_INFO));
	close_log(&fixture);
}

static void log_null_accepted(void **state)
{
	(void)state;
	log_event(NULL, LOG_LEVEL_ERROR, "nowhere", LOG_NO_FIELDS);
	log_tell_repeats(NULL);
	log_free(NULL);
	assert_false(log_is_on(NULL, LOG_LEVEL_ERROR));
}

static void log_secret_in_field_or_name_masked(void **state)
{
	(void)state;
	struct fixture fixture;
	open_log(&fixture, LOG_FORMAT_JSON, LOG_LEVEL_DEBUG, 0);
	assert_int_equal(log_redact(fixture.log, BYTES_LITERAL("sk-\"canary\"")), STATUS_OK);
	log_event(fixture.log, LOG_LEVEL_DEBUG, "header",
		LOG_FIELDS(log_string("value", "Bearer sk-\"canary\"!"), log_string("url", "?k=sk-%22canary%22")));
	const char *text = read_all(&fixture);
	assert_null(strstr(text, "canary"));
	assert_non_null(strstr(text, "Bearer ****!"));
	close_log(&fixture);
}

static void log_forgotten_secret_shown_again(void **state)
{
	(void)state;
	struct fixture fixture;
	open_log(&fixture, LOG_FORMAT_TEXT, LOG_LEVEL_INFO, 0);
	assert_int_equal(log_redact(fixture.log, BYTES_LITERAL("the-first-key")), STATUS_OK);
	assert_int_equal(log_redact(fixture.log, BYTES_LITERAL("the-second-key")), STATUS_OK);
	log_forget(fixture.log, BYTES_LITERAL("the-first-key"));
	log_event(fixture.log, LOG_LEVEL_INFO, "keys", LOG_FIELDS(log_string("value", "the-first-key the-second-key")));
	const char *text = read_all(&fixture);
	assert_non_null(strstr(text, "the-first-key ****"));
	close_log(&fixture);
}

/* A cut would leave a part of the secret that no search could find. */
static void log_secret_across_cut_not_shown(void **state)
{
	(void)state;
	struct fixture fixture;
	open_log(&fixture, LOG_FORMAT_TEXT, LOG_LEVEL_INFO, 100000);
	assert_int_equal(log_redact(fixture.log, BYTES_LITERAL("sk-canary-0123456789")), STATUS_OK);
	char value[2048];
	for (size_t before = LOG_VALUE_MAX - 30; before < LOG_VALUE_MAX + 5; before++) {
		memset(value, 'x', sizeof value);
		memcpy(value + before, "sk-canary-0123456789", 20);
		log_event(fixture.log, LOG_LEVEL_INFO, "long",
			LOG_FIELDS(log_text("value", bytes_at(value, sizeof value))));
		assert_null(strstr(read_all(&fixture), "sk-"));
	}
	close_log(&fixture);
}

static void log_control_bytes_cannot_forge_lines(void **state)
{
	(void)state;
	struct fixture fixture;
	open_log(&fixture, LOG_FORMAT_TEXT, LOG_LEVEL_INFO, 0);
	log_event(fixture.log, LOG_LEVEL_INFO, "in",
		LOG_FIELDS(log_string("a", "x\n2026 error forged"), log_string("b", "\x1b[31mred"),
			log_string("c", "\xff\xfe"),
			log_string("d", "\xc2\x9b"
					"31m"),
			log_string("e", "grün")));
	const char *text = read_all(&fixture);
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	assert_null(strchr(text, '\x1b'));
	assert_null(strstr(text, "\xff"));
	assert_null(strstr(text, "\xc2\x9b"));
	assert_non_null(strstr(text, "e=grün"));
	close_log(&fixture);
}

static void log_line_never_longer_than_pipe_takes(void **state)
{
	(void)state;
	struct fixture fixture;
	open_log(&fixture, LOG_FORMAT_JSON, LOG_LEVEL_INFO, 0);
	char value[3000];
	memset(value, '"', sizeof value);
	struct log_field fields[32];
	for (size_t i = 0; i < 32; i++)
		fields[i] = log_text("field", bytes_at(value, sizeof value));
	log_event(fixture.log, LOG_LEVEL_INFO, "wide", fields, 32);
	const char *text = read_all(&fixture);
	assert_true(strlen(text) <= LOG_LINE_MAX);
	assert_non_null(strstr(text, ",\"cut\":true}\n"));
	close_log(&fixture);
}

static void log_huge_value_told_by_size(void **state)
{
	(void)state;
	struct fixture fixture;
	open_log(&fixture, LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO, 0);
	char *value = malloc(1000000);
	assert_non_null(value);
	memset(value, 'x', 1000000);
	log_event(fixture.log, LOG_LEVEL_INFO, "huge", LOG_FIELDS(log_text("value", bytes_at(value, 1000000))));
	assert_non_null(strstr(read_all(&fixture), "value=\"(1000000 bytes)\""));
	free(value);
	close_log(&fixture);
}

static void log_not_given_and_not_finite_written(void **state)
{
	(void)state;
	struct fixture fixture;
	open_log(&fixture, LOG_FORMAT_JSON, LOG_LEVEL_INFO, 0);
	log_event(fixture.log, LOG_LEVEL_INFO, "odd",
		LOG_FIELDS(log_text("none", BYTES_NONE), log_double("nan", NAN), log_double("inf", INFINITY)));
	assert_non_null(strstr(read_all(&fixture), "\"none\":\"\",\"nan\":null,\"inf\":null}"));
	close_log(&fixture);
}

static unsigned count_lines(const char *text)
{
	unsigned count = 0;
	for (; *text != '\0'; text++)
		count += *text == '\n';
	return count;
}

static void log_repeats_beyond_burst_counted_and_told(void **state)
{
	(void)state;
	struct fixture fixture;
	open_log(&fixture, LOG_FORMAT_TEXT, LOG_LEVEL_INFO, 3);
	static const char message[] = "again";
	for (int i = 0; i < 10; i++)
		log_event(fixture.log, LOG_LEVEL_WARN, message, LOG_NO_FIELDS);
	log_event(fixture.log, LOG_LEVEL_WARN, "another", LOG_NO_FIELDS);
	assert_int_equal(count_lines(read_all(&fixture)), 4);
	log_tell_repeats(fixture.log);
	assert_string_equal(read_all(&fixture), "");
	fixture.now.mono_ms += 1000;
	log_event(fixture.log, LOG_LEVEL_WARN, message, LOG_NO_FIELDS);
	assert_non_null(strstr(read_all(&fixture), "again repeated=7\n"));
	log_tell_repeats(fixture.log);
	assert_string_equal(read_all(&fixture), "");
	close_log(&fixture);
}

static void log_repeats_told_without_another_event(void **state)
{
	(void)state;
	struct fixture fixture;
	open_log(&fixture, LOG_FORMAT_TEXT, LOG_LEVEL_INFO, 1);
	static const char message[] = "again";
	log_event(fixture.log, LOG_LEVEL_WARN, message, LOG_NO_FIELDS);
	log_event(fixture.log, LOG_LEVEL_WARN, message, LOG_NO_FIELDS);
	fixture.now.mono_ms += 1000;
	(void)read_all(&fixture);
	log_tell_repeats(fixture.log);
	assert_non_null(strstr(read_all(&fixture), "warn again repeated=1\n"));
	close_log(&fixture);
}

static void log_free_tells_repeats(void **state)
{
	(void)state;
	struct fixture fixture;
	open_log(&fixture, LOG_FORMAT_TEXT, LOG_LEVEL_INFO, 1);
	static const char message[] = "again";
	for (int i = 0; i < 5; i++)
		log_event(fixture.log, LOG_LEVEL_INFO, message, LOG_NO_FIELDS);
	(void)read_all(&fixture);
	log_free(fixture.log);
	fixture.log = NULL;
	assert_non_null(strstr(read_all(&fixture), "again repeated=4\n"));
	close_log(&fixture);
}

static void log_debug_not_limited(void **state)
{
	(void)state;
	struct fixture fixture;
	open_log(&fixture, LOG_FORMAT_TEXT, LOG_LEVEL_DEBUG, 1);
	for (int i = 0; i < 50; i++)
		log_event(fixture.log, LOG_LEVEL_DEBUG, "detail", LOG_NO_FIELDS);
	assert_int_equal(count_lines(read_all(&fixture)), 50);
	close_log(&fixture);
}

/* More different messages than the table has places: none is lost. */
static void log_full_table_limits_nothing_wrongly(void **state)
{
	(void)state;
	struct fixture fixture;
	open_log(&fixture, LOG_FORMAT_TEXT, LOG_LEVEL_INFO, 1);
	static char messages[2000][16];
	unsigned lines = 0;
	for (int i = 0; i < 2000; i++) {
		(void)snprintf(messages[i], sizeof messages[i], "m%d", i);
		log_event(fixture.log, LOG_LEVEL_INFO, messages[i], LOG_NO_FIELDS);
		lines += count_lines(read_all(&fixture));
	}
	assert_int_equal(lines, 2000);
	close_log(&fixture);
}

static void log_full_pipe_drops_counts_and_goes_on(void **state)
{
	(void)state;
	struct fixture fixture;
	open_log(&fixture, LOG_FORMAT_TEXT, LOG_LEVEL_DEBUG, 0);
	assert_int_equal(fcntl(fixture.pipe[1], F_SETFL, 0), 0); /* a write that does not fit would block */
	char value[LOG_VALUE_MAX];
	memset(value, 'x', sizeof value);
	while (log_dropped(fixture.log) < 3)
		log_event(fixture.log, LOG_LEVEL_DEBUG, "filling",
			LOG_FIELDS(log_text("value", bytes_at(value, sizeof value))));
	while (read_all(&fixture)[0] != '\0')
		continue;
	log_event(fixture.log, LOG_LEVEL_INFO, "alive", LOG_NO_FIELDS);
	assert_non_null(strstr(read_all(&fixture), "alive dropped=3\n"));
	log_event(fixture.log, LOG_LEVEL_INFO, "alive again", LOG_NO_FIELDS);
	assert_null(strstr(read_all(&fixture), "dropped="));
	close_log(&fixture);
}

static void log_closed_reader_drops(void **state)
{
	(void)state;
	struct fixture fixture;
	open_log(&fixture, LOG_FORMAT_TEXT, LOG_LEVEL_INFO, 0);
	(void)close(fixture.pipe[0]);
	log_event(fixture.log, LOG_LEVEL_INFO, "nobody reads", LOG_NO_FIELDS);
	assert_int_equal(log_dropped(fixture.log), 1);
	fixture.pipe[0] = -1;
	close_log(&fixture);
}

static void *write_many(void *context)
{
	struct log *log = context;
	for (int i = 0; i < 100; i++)
		log_event(log, LOG_LEVEL_DEBUG, "from a thread", LOG_FIELDS(log_int("i", i)));
	return NULL;
}

static void log_threads_write_whole_lines(void **state)
{
	(void)state;
	struct fixture fixture;
	open_log(&fixture, LOG_FORMAT_LOGFMT, LOG_LEVEL_DEBUG, 0);
	pthread_t threads[4];
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_many, fixture.log), 0);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	char *text = fixture.text;
	(void)read_all(&fixture);
	assert_int_equal(count_lines(text), 400);
	for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
		assert_ptr_equal(strstr(line, "ts="), line);
	close_log(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(log_text_format_written),
		cmocka_unit_test(log_logfmt_format_written),
		cmocka_unit_test(log_json_format_written),
		cmocka_unit_test(log_auto_format_on_pipe_is_json),
		cmocka_unit_test(log_level_off_writes_nothing),
		cmocka_unit_test(log_null_accepted),
		cmocka_unit_test(log_secret_in_field_or_name_masked),
		cmocka_unit_test(log_forgotten_secret_shown_again),
		cmocka_unit_test(log_secret_across_cut_not_shown),
		cmocka_unit_test(log_control_bytes_cannot_forge_lines),
		cmocka_unit_test(log_line_never_longer_than_pipe_takes),
		cmocka_unit_test(log_huge_value_told_by_size),
		cmocka_unit_test(log_not_given_and_not_finite_written),
		cmocka_unit_test(log_repeats_beyond_burst_counted_and_told),
		cmocka_unit_test(log_repeats_told_without_another_event),
		cmocka_unit_test(log_free_tells_repeats),
		cmocka_unit_test(log_debug_not_limited),
		cmocka_unit_test(log_full_table_limits_nothing_wrongly),
		cmocka_unit_test(log_full_pipe_drops_counts_and_goes_on),
		cmocka_unit_test(log_closed_reader_drops),
		cmocka_unit_test(log_threads_write_whole_lines),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
