/* Turns assertions of the code under test into something a test can expect, within the same process.
 *
 * A test that includes this is linked with --wrap=assertion_failed (trap_assertions() in CMakeLists.txt) and then says
 * expect_assert_failure(call). An assertion nobody expects fails the test. What the call has allocated before it failed
 * is lost, so expect only assertions that come before any allocation. */
#ifndef TESTS_UNIT_ASSERTION_TRAP_H
#define TESTS_UNIT_ASSERTION_TRAP_H

#include <stdlib.h>

#include "common/attributes.h"
#include "tests/unit/testing.h"

NORETURN void __wrap_assertion_failed(const char *fact, const char *file, int line);

void __wrap_assertion_failed(const char *fact, const char *file, int line)
{
	mock_assert(0, fact, file, line);
	abort();
}

#endif
