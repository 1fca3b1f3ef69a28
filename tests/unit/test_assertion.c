/* ASSERT() ends the process whatever state it is in, and says where. */
#include "common/assertion.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/testing.h"

struct ending {
	int status;
	char stderr_text[1024];
};

static void read_all(int fd, char *out_text, size_t size)
{
	size_t used = 0;
	ssize_t got;
	while (used + 1 < size && (got = read(fd, out_text + used, size - 1 - used)) > 0)
		used += (size_t)got;
	out_text[used] = '\0';
}

/* Runs one of the scenes below in a process of its own and gives back how that ended. The program executes itself anew, so
 * that a scene may have threads. */
static struct ending run_scene(const char *name)
{
	struct ending ending = { 0 };
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct rlimit no_core = { 0 };
		setrlimit(RLIMIT_CORE, &no_core);
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		execl("/proc/self/exe", "test_assertion", name, (char *)NULL);
		_exit(1);
	}
	close(ends[1]);
	read_all(ends[0], ending.stderr_text, sizeof(ending.stderr_text));
	close(ends[0]);
	assert_int_equal(waitpid(child, &ending.status, 0), child);
	return ending;
}

static void assert_aborted(const struct ending *ending)
{
	assert_true(WIFSIGNALED(ending->status));
	assert_int_equal(WTERMSIG(ending->status), SIGABRT);
}

static void break_promise(void)
{
	int apples = 1;
	ASSERT(apples == 2);
}

static void keep_promise(void)
{
	int apples = 1;
	ASSERT(apples == 1);
}

static void reach_unreachable(void)
{
	ASSERT_UNREACHABLE();
}

static void fail_with_long_text(void)
{
	char fact[4000];
	memset(fact, 'x', sizeof(fact));
	fact[sizeof(fact) - 1] = '\0';
	assertion_failed(fact, "somewhere.c", 7);
}

struct lock_scene {
	pthread_barrier_t locked;
	pthread_barrier_t never;
};

static void *hold_stderr(void *argument)
{
	struct lock_scene *scene = argument;
	flockfile(stderr);
	pthread_barrier_wait(&scene->locked);
	pthread_barrier_wait(&scene->never);
	funlockfile(stderr);
	return NULL;
}

static void fail_while_stderr_is_locked(void)
{
	struct lock_scene scene;
	pthread_t holder;
	pthread_barrier_init(&scene.locked, NULL, 2);
	pthread_barrier_init(&scene.never, NULL, 2);
	if (pthread_create(&holder, NULL, hold_stderr, &scene) != 0) _exit(1);
	pthread_barrier_wait(&scene.locked);
	ASSERT(&scene == NULL);
}

static void fail_without_stderr(void)
{
	close(STDERR_FILENO);
	ASSERT(false);
}

struct scene {
	const char *name;
	void (*play)(void);
};

static const struct scene scenes[] = {
	{ "break_promise", break_promise },
	{ "keep_promise", keep_promise },
	{ "reach_unreachable", reach_unreachable },
	{ "fail_with_long_text", fail_with_long_text },
	{ "fail_while_stderr_is_locked", fail_while_stderr_is_locked },
	{ "fail_without_stderr", fail_without_stderr },
};

static int play_scene(const char *name)
{
	for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++) {
		if (strcmp(scenes[i].name, name) != 0) continue;
		scenes[i].play();
		return 0;
	}
	return 1;
}

static void assertion_holds_goes_on(void **state)
{
	(void)state;
	struct ending ending = run_scene("keep_promise");
	assert_true(WIFEXITED(ending.status));
	assert_int_equal(WEXITSTATUS(ending.status), 0);
	assert_string_equal(ending.stderr_text, "");
}

static void assertion_fails_aborts_and_says_where(void **state)
{
	(void)state;
	struct ending ending = run_scene("break_promise");
	assert_aborted(&ending);
	assert_non_null(strstr(ending.stderr_text, "test_assertion.c:"));
	assert_non_null(strstr(ending.stderr_text, ": assertion failed: apples == 2\n"));
}

static void assertion_unreachable_aborts(void **state)
{
	(void)state;
	struct ending ending = run_scene("reach_unreachable");
	assert_aborted(&ending);
	assert_non_null(strstr(ending.stderr_text, "assertion failed: unreachable\n"));
}

static void assertion_with_long_text_is_cut(void **state)
{
	(void)state;
	struct ending ending = run_scene("fail_with_long_text");
	assert_aborted(&ending);
	assert_memory_equal(ending.stderr_text, "somewhere.c:7: assertion failed: xxx", 36);
	assert_true(strlen(ending.stderr_text) < 600);
}

/* The thread sanitizer's own abort() flushes stderr and so waits for its lock for ever. */
#if defined(__SANITIZE_THREAD__)
enum { ABORT_WAITS_FOR_STDERR = 1 };
#elif defined(__has_feature)
enum { ABORT_WAITS_FOR_STDERR = __has_feature(thread_sanitizer) };
#else
enum { ABORT_WAITS_FOR_STDERR = 0 };
#endif

static void assertion_while_stderr_is_locked_aborts(void **state)
{
	(void)state;
	if (ABORT_WAITS_FOR_STDERR) skip();
	struct ending ending = run_scene("fail_while_stderr_is_locked");
	assert_aborted(&ending);
	assert_non_null(strstr(ending.stderr_text, "assertion failed: &scene == NULL"));
}

static void assertion_without_stderr_aborts(void **state)
{
	(void)state;
	struct ending ending = run_scene("fail_without_stderr");
	assert_aborted(&ending);
}

static int evaluations(int *count)
{
	return ++*count;
}

static void assertion_evaluates_its_fact_once(void **state)
{
	(void)state;
	int count = 0;
	ASSERT(evaluations(&count) == 1);
	assert_int_equal(count, 1);
}

int main(int argc, char **argv)
{
	if (argc == 2) return play_scene(argv[1]);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(assertion_holds_goes_on),
		cmocka_unit_test(assertion_fails_aborts_and_says_where),
		cmocka_unit_test(assertion_unreachable_aborts),
		cmocka_unit_test(assertion_with_long_text_is_cut),
		cmocka_unit_test(assertion_while_stderr_is_locked_aborts),
		cmocka_unit_test(assertion_without_stderr_aborts),
		cmocka_unit_test(assertion_evaluates_its_fact_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
