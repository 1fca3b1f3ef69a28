#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "worker/edge/secret.h"

static void set_variables(const char *key, const char *file)
{
	(void)unsetenv("OPENROUTER_API_KEY");
	(void)unsetenv("OPENROUTER_API_KEY_FILE");
	if (key != NULL) assert_int_equal(setenv("OPENROUTER_API_KEY", key, 1), 0);
	if (file != NULL) assert_int_equal(setenv("OPENROUTER_API_KEY_FILE", file, 1), 0);
}

static void assert_refused(const char *key, enum status wanted, const char *part)
{
	set_variables(key, NULL);
	struct secret *secret = NULL;
	struct buffer problem;
	buffer_init(&problem, 1024);
	assert_int_equal(secret_read(&secret, &problem), wanted);
	assert_null(secret);
	buffer_append_char(&problem, '\0');
	assert_non_null(strstr(problem.data, part));
	assert_non_null(strstr(problem.data, "OPENROUTER_API_KEY"));
	assert_null(strstr(problem.data, "canary"));
	assert_null(getenv("OPENROUTER_API_KEY"));
	buffer_deinit(&problem);
}

static void secret_good_key_read_and_environment_wiped(void **state)
{
	(void)state;
	set_variables("sk-canary-0123", NULL);
	const char *value = getenv("OPENROUTER_API_KEY");
	struct secret *secret = NULL;
	struct buffer text;
	buffer_init(&text, 1024);
	assert_int_equal(secret_read(&secret, &text), STATUS_OK);
	assert_int_equal(text.size, 0);
	assert_true(bytes_equal_text(secret_bytes(secret), "sk-canary-0123"));
	assert_null(getenv("OPENROUTER_API_KEY"));
	assert_int_equal(value[0], '\0');
	buffer_deinit(&text);
	secret_free(secret);
	secret_free(NULL);
}

static void secret_bad_keys_refused_without_quoting(void **state)
{
	(void)state;
	assert_refused(NULL, STATUS_NOT_FOUND, "is not set");
	assert_refused("", STATUS_INVALID, "is empty");
	assert_refused("   ", STATUS_INVALID, "holds a blank");
	assert_refused("sk canary", STATUS_INVALID, "holds a blank");
	assert_refused("sk-canary\n", STATUS_INVALID, "holds a line break");
	assert_refused("sk-canary\r\nX-Other: 1", STATUS_INVALID, "holds a line break");
	assert_refused("sk-canary\x01", STATUS_INVALID, "holds a control character");
	assert_refused("sk-canary\x7f", STATUS_INVALID, "holds a control character");
	assert_refused("sk-canary-\xc3\xa4", STATUS_INVALID, "not ASCII");
	assert_refused("\xef\xbb\xbfsk-canary", STATUS_INVALID, "not ASCII");
	char large[SECRET_SIZE_MAX + 2];
	memset(large, 'x', sizeof large);
	large[SECRET_SIZE_MAX + 1] = '\0';
	assert_refused(large, STATUS_INVALID, "longer than 512 bytes");
}

static void secret_longest_key_taken(void **state)
{
	(void)state;
	char large[SECRET_SIZE_MAX + 1];
	memset(large, 'x', sizeof large);
	large[SECRET_SIZE_MAX] = '\0';
	set_variables(large, NULL);
	struct secret *secret = NULL;
	struct buffer problem;
	buffer_init(&problem, 1024);
	assert_int_equal(secret_read(&secret, &problem), STATUS_OK);
	assert_int_equal(secret_bytes(secret).size, SECRET_SIZE_MAX);
	secret_free(secret);
	buffer_deinit(&problem);
}

/* The status of reading a file with this text; `out_secret` may be NULL. */
static enum status read_file_with(const char *text, size_t size, struct secret **out_secret)
{
	char path[] = "/tmp/chat-worker-test-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, size), (ssize_t)size);
	assert_int_equal(close(fd), 0);
	set_variables(NULL, path);
	struct secret *secret = NULL;
	struct buffer problem;
	buffer_init(&problem, 1024);
	enum status status = secret_read(&secret, &problem);
	assert_null(getenv("OPENROUTER_API_KEY_FILE"));
	buffer_deinit(&problem);
	(void)unlink(path);
	if (out_secret != NULL)
		*out_secret = secret;
	else
		secret_free(secret);
	return status;
}

static void secret_file_read_without_one_newline(void **state)
{
	(void)state;
	struct secret *secret;
	assert_int_equal(read_file_with("sk-canary\n", 10, &secret), STATUS_OK);
	assert_true(bytes_equal_text(secret_bytes(secret), "sk-canary"));
	secret_free(secret);
	assert_int_equal(read_file_with("sk-canary", 9, NULL), STATUS_OK);
	assert_int_equal(read_file_with("sk-canary\n\n", 11, NULL), STATUS_INVALID);
	assert_int_equal(read_file_with("\n", 1, NULL), STATUS_INVALID);
	assert_int_equal(read_file_with("", 0, NULL), STATUS_INVALID);
	assert_int_equal(read_file_with("sk\0canary", 9, NULL), STATUS_INVALID);
	char large[SECRET_SIZE_MAX + 100];
	memset(large, 'x', sizeof large);
	assert_int_equal(read_file_with(large, sizeof large, NULL), STATUS_INVALID);
	large[SECRET_SIZE_MAX] = '\n';
	assert_int_equal(read_file_with(large, SECRET_SIZE_MAX + 1, NULL), STATUS_OK);
}

static void secret_file_missing_or_both_told(void **state)
{
	(void)state;
	struct secret *secret = NULL;
	struct buffer problem;
	buffer_init(&problem, 1024);
	set_variables(NULL, "/nonexistent/key");
	assert_int_equal(secret_read(&secret, &problem), STATUS_IO);
	buffer_clear(&problem);
	set_variables("sk-canary", "/nonexistent/key");
	assert_int_equal(secret_read(&secret, &problem), STATUS_INVALID);
	buffer_append_char(&problem, '\0');
	assert_non_null(strstr(problem.data, "both set"));
	buffer_deinit(&problem);
}

/* A folder as Kubernetes makes one of a secret: the file is a link through a link that is replaced as a whole. */
struct volume {
	char folder[64];
	int version;
};

static void volume_write(struct volume *volume, const char *text)
{
	char path[128], target[128], link[128];
	volume->version++;
	snprintf(path, sizeof path, "%s/v%d", volume->folder, volume->version);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof path, "%s/v%d/key", volume->folder, volume->version);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	snprintf(target, sizeof target, "v%d", volume->version);
	snprintf(link, sizeof link, "%s/fresh", volume->folder);
	assert_int_equal(symlink(target, link), 0);
	snprintf(path, sizeof path, "%s/..data", volume->folder);
	assert_int_equal(rename(link, path), 0);
}

static struct secret *volume_open(struct volume *volume, const char *text)
{
	char path[128];
	*volume = (struct volume){ .folder = "/tmp/chat-worker-test-XXXXXX" };
	assert_non_null(mkdtemp(volume->folder));
	volume_write(volume, text);
	snprintf(path, sizeof path, "%s/key", volume->folder);
	assert_int_equal(symlink("..data/key", path), 0);
	set_variables(NULL, path);
	struct secret *secret = NULL;
	struct buffer problem;
	buffer_init(&problem, 1024);
	assert_int_equal(secret_read(&secret, &problem), STATUS_OK);
	buffer_deinit(&problem);
	return secret;
}

static void volume_close(struct volume *volume)
{
	static const char *const names[] = { "key", "..data" };
	char path[128];
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		snprintf(path, sizeof path, "%s/%s", volume->folder, names[i]);
		(void)unlink(path);
	}
	for (int version = 1; version <= volume->version; version++) {
		snprintf(path, sizeof path, "%s/v%d/key", volume->folder, version);
		(void)unlink(path);
		snprintf(path, sizeof path, "%s/v%d", volume->folder, version);
		(void)rmdir(path);
	}
	(void)rmdir(volume->folder);
}

static enum status read_again(struct secret *secret)
{
	struct buffer problem;
	buffer_init(&problem, 1024);
	enum status status = secret_read_again(secret, &problem);
	bool is_problem = status == STATUS_INVALID || status == STATUS_IO;
	assert_int_equal(problem.size > 0, is_problem);
	buffer_append_char(&problem, '\0');
	assert_null(strstr(problem.data, "canary"));
	buffer_deinit(&problem);
	return status;
}

static void secret_file_replaced_is_read_again(void **state)
{
	(void)state;
	struct volume volume;
	struct secret *secret = volume_open(&volume, "sk-canary-1\n");
	assert_true(secret_has_file(secret));
	assert_int_equal(read_again(secret), STATUS_EMPTY);
	assert_false(bytes_is_given(secret_former(secret)));
	volume_write(&volume, "sk-canary-2");
	assert_int_equal(read_again(secret), STATUS_OK);
	assert_true(bytes_equal_text(secret_bytes(secret), "sk-canary-2"));
	assert_true(bytes_equal_text(secret_former(secret), "sk-canary-1"));
	assert_int_equal(read_again(secret), STATUS_EMPTY);
	volume_write(&volume, "sk-canary-three\n");
	assert_int_equal(read_again(secret), STATUS_OK);
	assert_true(bytes_equal_text(secret_bytes(secret), "sk-canary-three"));
	assert_true(bytes_equal_text(secret_former(secret), "sk-canary-2"));
	secret_free(secret);
	volume_close(&volume);
}

static void secret_file_gone_or_bad_leaves_the_key(void **state)
{
	(void)state;
	struct volume volume;
	struct secret *secret = volume_open(&volume, "sk-canary-1\n");
	volume_write(&volume, "");
	assert_int_equal(read_again(secret), STATUS_INVALID);
	volume_write(&volume, "sk canary");
	assert_int_equal(read_again(secret), STATUS_INVALID);
	char path[128];
	snprintf(path, sizeof path, "%s/..data", volume.folder);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(read_again(secret), STATUS_IO);
	snprintf(path, sizeof path, "%s/key", volume.folder);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(read_again(secret), STATUS_IO);
	assert_true(bytes_equal_text(secret_bytes(secret), "sk-canary-1"));
	assert_false(bytes_is_given(secret_former(secret)));
	secret_free(secret);
	volume_close(&volume);
}

static void secret_of_the_variable_cannot_be_read_again(void **state)
{
	(void)state;
	set_variables("sk-canary-0123", NULL);
	struct secret *secret = NULL;
	struct buffer problem;
	buffer_init(&problem, 1024);
	assert_int_equal(secret_read(&secret, &problem), STATUS_OK);
	assert_false(secret_has_file(secret));
	assert_int_equal(read_again(secret), STATUS_NOT_FOUND);
	secret_free(secret);
	buffer_deinit(&problem);
}

static void assert_masked(const char *text, bool is_masked)
{
	struct redaction *redaction = redaction_new();
	assert_non_null(redaction);
	assert_int_equal(secret_mask(redaction), STATUS_OK);
	assert_int_equal(redaction_finds(redaction, bytes_of(text)), is_masked);
	redaction_free(redaction);
}

static void secret_masked_before_it_is_read(void **state)
{
	(void)state;
	set_variables(NULL, NULL);
	assert_masked("sk-canary-0123", false);
	set_variables("sk canary 0123", NULL);
	assert_masked("a sk canary 0123 b", true);
	set_variables("short", NULL);
	assert_masked("a short b", false);
	struct volume volume;
	secret_free(volume_open(&volume, "sk-canary-0123\n"));
	char path[128];
	snprintf(path, sizeof path, "%s/key", volume.folder);
	set_variables(NULL, path);
	assert_masked("a sk-canary-0123 b", true);
	assert_int_equal(unlink(path), 0);
	assert_masked("a sk-canary-0123 b", false);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_masked("a sk-canary-0123 b", false);
	set_variables(NULL, NULL);
	volume_close(&volume);
}

/* In a child, because it cannot be undone. */
static int harden_and_look(void)
{
	static const char *const names[] = { "SSLKEYLOGFILE", "NETRC", "https_proxy", "HTTPS_PROXY", "ALL_PROXY",
		"no_proxy" };
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		(void)setenv(names[i], "x", 1);
	secret_harden_process();
	struct rlimit limit;
	if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0) return 1;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) return 4;
	if (getrlimit(RLIMIT_CORE, &limit) != 0 || limit.rlim_cur != 0 || limit.rlim_max != 0) return 2;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (getenv(names[i]) != NULL) return 3;
	}
	return 0;
}

static void secret_harden_closes_process(void **state)
{
	(void)state;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) _exit(harden_and_look());
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(secret_good_key_read_and_environment_wiped),
		cmocka_unit_test(secret_bad_keys_refused_without_quoting),
		cmocka_unit_test(secret_longest_key_taken),
		cmocka_unit_test(secret_file_read_without_one_newline),
		cmocka_unit_test(secret_file_missing_or_both_told),
		cmocka_unit_test(secret_file_replaced_is_read_again),
		cmocka_unit_test(secret_file_gone_or_bad_leaves_the_key),
		cmocka_unit_test(secret_of_the_variable_cannot_be_read_again),
		cmocka_unit_test(secret_masked_before_it_is_read),
		cmocka_unit_test(secret_harden_closes_process),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
