#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "worker/edge/signals.h"

/* Runs `body` in a child, because a second signal ends the process, and gives its exit code. */
static int in_child(int (*body)(void))
{
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) _exit(body());
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int take_first(void)
{
	struct signals signals;
	if (signals_open(&signals, false) != STATUS_OK) return 10;
	struct pollfd ready = { .fd = signals.fd, .events = POLLIN };
	if (signals_take(&signals) || poll(&ready, 1, 0) != 0) return 11;
	(void)raise(SIGTERM);
	if (poll(&ready, 1, 0) != 1) return 12;
	if (!signals_take(&signals) || signals_take(&signals)) return 13;
	signals_close(&signals);
	return 0;
}

static int take_second(void)
{
	struct signals signals;
	if (signals_open(&signals, false) != STATUS_OK) return 10;
	(void)raise(SIGTERM);
	if (!signals_take(&signals)) return 11;
	(void)raise(SIGINT);
	(void)signals_take(&signals);
	return 12; /* not reached */
}

/* Two different signals that came together are two requests too. */
static int take_both(void)
{
	struct signals signals;
	if (signals_open(&signals, false) != STATUS_OK) return 10;
	(void)raise(SIGINT);
	(void)raise(SIGTERM);
	(void)signals_take(&signals);
	return 12;
}

static int survive_broken_pipe(void)
{
	struct signals signals;
	int ends[2];
	if (signals_open(&signals, false) != STATUS_OK || pipe(ends) != 0) return 10;
	(void)close(ends[0]);
	return write(ends[1], "x", 1) == -1 ? 0 : 11;
}

static int take_hangup(void)
{
	struct signals signals;
	if (signals_open(&signals, true) != STATUS_OK) return 10;
	struct pollfd ready = { .fd = signals.fd, .events = POLLIN };
	if (signals_take_hangup(&signals)) return 11;
	(void)raise(SIGHUP);
	if (poll(&ready, 1, 0) != 1) return 12;
	if (signals_take(&signals)) return 13;
	if (!signals_take_hangup(&signals) || signals_take_hangup(&signals)) return 14;
	(void)raise(SIGHUP);
	(void)raise(SIGTERM);
	if (!signals_take(&signals) || !signals_take_hangup(&signals)) return 15;
	return 0;
}

/* Nobody took it, so it does what it always does. */
static int be_ended_by_hangup(void)
{
	struct signals signals;
	if (signals_open(&signals, false) != STATUS_OK) return 10;
	pid_t child = fork();
	if (child == 0) {
		(void)raise(SIGHUP);
		_exit(0);
	}
	int status;
	if (child < 0 || waitpid(child, &status, 0) != child) return 11;
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGHUP ? 0 : 12;
}

static void signals_hangup_taken_when_wanted(void **state)
{
	(void)state;
	assert_int_equal(in_child(take_hangup), 0);
	assert_int_equal(in_child(be_ended_by_hangup), 0);
}

static void signals_first_asks_for_drain(void **state)
{
	(void)state;
	assert_int_equal(in_child(take_first), 0);
}

static void signals_second_ends_process_with_1(void **state)
{
	(void)state;
	assert_int_equal(in_child(take_second), 1);
	assert_int_equal(in_child(take_both), 1);
}

static void signals_broken_pipe_ignored(void **state)
{
	(void)state;
	assert_int_equal(in_child(survive_broken_pipe), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signals_first_asks_for_drain),
		cmocka_unit_test(signals_second_ends_process_with_1),
		cmocka_unit_test(signals_hangup_taken_when_wanted),
		cmocka_unit_test(signals_broken_pipe_ignored),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
