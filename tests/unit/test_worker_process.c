/* The child process, with shell scripts in the worker's place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buffer.h"
#include "replay/file.h"
#include "replay/worker_process.h"

enum { STOP_MS = 20000, TEXT_MAX = 1 << 20 };

/* A folder for the scripts of one test. */
struct place {
	char folder[64];
	char script[128];
};

static int make_place(void **state)
{
	struct place *place = calloc(1, sizeof *place);
	assert_non_null(place);
	strcpy(place->folder, "/tmp/chat-worker-test.XXXXXX");
	assert_non_null(mkdtemp(place->folder));
	snprintf(place->script, sizeof place->script, "%s/chat-worker", place->folder);
	*state = place;
	return 0;
}

static int remove_place(void **state)
{
	struct place *place = *state;
	(void)unlink(place->script);
	(void)rmdir(place->folder);
	free(place);
	return 0;
}

static const char *script(const struct place *place, const char *text)
{
	FILE *file = fopen(place->script, "w");
	assert_non_null(file);
	fprintf(file, "#!/bin/sh\n%s\n", text);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(place->script, 0755), 0);
	return place->script;
}

static struct worker_process *start(const char *program)
{
	struct worker_process *worker = NULL;
	const struct worker_process_options options = { .program = program,
		.brokers = "127.0.0.1:9",
		.base_url = "http://127.0.0.1:8/api/v1",
		.key = "stand-in",
		.models = { "a/b", "c/d" },
		.first_token_timeout_ms = 2000 };
	assert_int_equal(worker_process_start(&options, &worker), STATUS_OK);
	return worker;
}

/* What the script wrote to `name` in the worker's folder, which it is given by its settings file's path. */
static void assert_file_has(const struct worker_process *worker, const char *name, const char *wanted)
{
	char path[WORKER_PATH_MAX + 64];
	struct buffer text;
	buffer_init(&text, TEXT_MAX);
	snprintf(path, sizeof path, "%s/%s", worker_process_folder(worker), name);
	assert_int_equal(file_read(path, &text), STATUS_OK);
	assert_non_null(memmem(text.data, text.size, wanted, strlen(wanted)));
	buffer_deinit(&text);
}

static void worker_exit_code_is_known(void **state)
{
	struct worker_process *worker = start(script(*state, "exit 7"));
	int code = -1;
	assert_int_equal(worker_process_wait_ready(worker, STOP_MS), STATUS_CLOSED);
	assert_false(worker_process_is_alive(worker));
	assert_int_equal(worker_process_stop(worker, STOP_MS, &code), STATUS_OK);
	assert_int_equal(code, 7);
	worker_process_free(worker);
}

static void worker_is_ended_by_sigterm(void **state)
{
	/* "trap" is what makes it the script's own decision to end with 3. */
	struct worker_process *worker =
		start(script(*state, "sleep 1000 &\ntrap \"kill $!; exit 3\" TERM\necho started\nwait"));
	int code = -1;
	assert_true(worker_process_is_alive(worker));
	for (struct stat log = { .st_size = 0 }; log.st_size == 0;) {
		char path[WORKER_PATH_MAX + 64];
		snprintf(path, sizeof path, "%s/chat-worker.log", worker_process_folder(worker));
		(void)stat(path, &log);
	}
	assert_int_equal(worker_process_stop(worker, STOP_MS, &code), STATUS_OK);
	assert_int_equal(code, 3);
	worker_process_free(worker);
}

static void worker_that_does_not_end_is_killed(void **state)
{
	struct worker_process *worker = start(script(*state, "trap '' TERM\necho started\nexec sleep 1000"));
	int code = -1;
	for (struct stat log = { .st_size = 0 }; log.st_size == 0;) {
		char path[WORKER_PATH_MAX + 64];
		snprintf(path, sizeof path, "%s/chat-worker.log", worker_process_folder(worker));
		(void)stat(path, &log);
	}
	assert_int_equal(worker_process_stop(worker, 10, &code), STATUS_TIMEOUT);
	assert_int_equal(code, 128 + 9);
	worker_process_free(worker);
}

static void worker_that_never_gets_ready_times_out(void **state)
{
	struct worker_process *worker = start(script(*state, "exec sleep 1000"));
	assert_int_equal(worker_process_wait_ready(worker, 10), STATUS_TIMEOUT);
	worker_process_kill(worker);
	worker_process_free(worker);
}

static void worker_folder_is_gone_afterwards(void **state)
{
	char folder[WORKER_PATH_MAX];
	struct worker_process *worker = start(script(*state, "echo log line"));
	snprintf(folder, sizeof folder, "%s", worker_process_folder(worker));
	assert_int_equal(access(folder, F_OK), 0);
	worker_process_free(worker);
	assert_int_not_equal(access(folder, F_OK), 0);
	worker_process_free(NULL);
}

static void worker_settings_and_log_are_in_its_folder(void **state)
{
	struct worker_process *worker = start(script(*state, "echo arguments $1 $2; echo key $OPENROUTER_API_KEY >&2"));
	int code = -1;
	assert_int_equal(worker_process_wait_ready(worker, STOP_MS), STATUS_CLOSED);
	assert_file_has(worker, "chat-worker.conf", "bootstrap_servers = \"127.0.0.1:9\"");
	assert_file_has(worker, "chat-worker.conf", "base_url = \"http://127.0.0.1:8/api/v1\"");
	assert_file_has(worker, "chat-worker.conf", "models = [\"a/b\", \"c/d\"]");
	assert_file_has(worker, "chat-worker.conf", "first_token_timeout_ms = 2000");
	assert_file_has(worker, "chat-worker.log", "arguments run -c");
	assert_file_has(worker, "chat-worker.log", "key stand-in");
	assert_int_equal(worker_process_stop(worker, STOP_MS, &code), STATUS_OK);
	worker_process_free(worker);
}

static void worker_find_takes_what_is_given_or_on_path(void **state)
{
	const struct place *place = *state;
	char path[WORKER_PATH_MAX];
	assert_int_equal(worker_process_find("/nowhere/chat-worker", path), STATUS_NOT_FOUND);
	assert_int_equal(worker_process_find(script(place, "exit"), path), STATUS_OK);
	assert_string_equal(path, place->script);
	char *before = strdup(getenv("PATH"));
	char searched[256];
	snprintf(searched, sizeof searched, "/nowhere:%s", place->folder);
	setenv("PATH", searched, 1);
	assert_int_equal(worker_process_find(NULL, path), STATUS_OK);
	assert_string_equal(path, place->script);
	setenv("PATH", "/nowhere", 1);
	assert_int_equal(worker_process_find(NULL, path), STATUS_NOT_FOUND);
	setenv("PATH", before, 1);
	free(before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(worker_exit_code_is_known, make_place, remove_place),
		cmocka_unit_test_setup_teardown(worker_is_ended_by_sigterm, make_place, remove_place),
		cmocka_unit_test_setup_teardown(worker_that_does_not_end_is_killed, make_place, remove_place),
		cmocka_unit_test_setup_teardown(worker_that_never_gets_ready_times_out, make_place, remove_place),
		cmocka_unit_test_setup_teardown(worker_folder_is_gone_afterwards, make_place, remove_place),
		cmocka_unit_test_setup_teardown(worker_settings_and_log_are_in_its_folder, make_place, remove_place),
		cmocka_unit_test_setup_teardown(worker_find_takes_what_is_given_or_on_path, make_place, remove_place),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
