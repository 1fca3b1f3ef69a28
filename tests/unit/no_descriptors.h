/* File descriptors that run out on demand. */
#ifndef TESTS_UNIT_NO_DESCRIPTORS_H
#define TESTS_UNIT_NO_DESCRIPTORS_H

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/unit/testing.h"

/* From here on only `count` more can be opened. Returns the limit for allow_descriptors(). */
static inline struct rlimit leave_descriptors(unsigned count)
{
	struct rlimit before;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	/* The lowest free one comes next; what is behind it is free, too, unless a library keeps it. */
	int next = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
	assert_true(next >= 0);
	assert_int_equal(close(next), 0);
	struct rlimit now = before;
	now.rlim_cur = (rlim_t)next + count;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
	return before;
}

static inline void allow_descriptors(struct rlimit before)
{
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

#endif
