/* Assertions: statements about our own code that hold in every build.
 *
 * An assertion that fails is a bug of this program, never of its input or surroundings (those are reported as
 * `enum status`). It prints file, line and expression on stderr and aborts: the process is replaced and the
 * promises hold as after any crash, whereas going on with broken state could break them. Release builds keep them.
 *
 * Threads: any. Nothing is allocated and no lock is taken. */
#ifndef COMMON_ASSERTION_H
#define COMMON_ASSERTION_H

#include "common/attributes.h"

/* One fact per assertion, so that the message says which one broke. */
#define ASSERT(fact) ((fact) ? (void)0 : assertion_failed(#fact, __FILE__, __LINE__))

/* Marks a place that cannot be reached, such as the end of a switch over one of our enums. */
#define ASSERT_UNREACHABLE() assertion_failed("unreachable", __FILE__, __LINE__)

NORETURN void assertion_failed(const char *fact, const char *file, int line);

#endif
