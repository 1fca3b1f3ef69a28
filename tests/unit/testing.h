/* What every unit test begins with: cmocka, after the headers it wants before it. */
#ifndef TESTS_UNIT_TESTING_H
#define TESTS_UNIT_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/bytes.h"

/* Views compare by content and by being given, which bytes_equal() leaves out. */
#define assert_bytes_equal(view, expected)                                                         \
	do {                                                                                       \
		struct bytes seen_ = (view), wanted_ = (expected);                                 \
		assert_int_equal(seen_.size, wanted_.size);                                        \
		assert_int_equal(seen_.data == NULL, wanted_.data == NULL);                        \
		if (wanted_.size > 0) assert_memory_equal(seen_.data, wanted_.data, wanted_.size); \
	} while (0)

#define assert_text_equal(view, text) assert_bytes_equal(view, bytes_of(text))

/* For random tests: a failure names the seed, so that it can be run again alone. */
#define assert_for_seed(seed, fact)                                                        \
	do {                                                                               \
		if (!(fact)) fail_msg("seed %llu: %s", (unsigned long long)(seed), #fact); \
	} while (0)

#endif
