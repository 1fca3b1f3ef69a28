/* The one result type of fallible functions.
 *
 * Zero is success. A status is never tested as a truth value (`if (thing())`), because a failure would read like a
 * success; compare it with STATUS_OK or switch over it without `default`, so that a new member is a build error in
 * every place that has to think about it. Foreign error codes are translated into one of these at the edge.
 *
 * On failure, out-parameters are untouched unless the function says otherwise. */
#ifndef COMMON_STATUS_H
#define COMMON_STATUS_H

#include "common/attributes.h"

/* member, text */
#define STATUS_TABLE(ROW)                        \
	ROW(STATUS_OK, "ok")                     \
	ROW(STATUS_NO_MEMORY, "out of memory")   \
	ROW(STATUS_FULL, "bound reached")        \
	ROW(STATUS_EMPTY, "nothing there")       \
	ROW(STATUS_NOT_FOUND, "not found")       \
	ROW(STATUS_INVALID, "malformed")         \
	ROW(STATUS_TOO_LARGE, "too large")       \
	ROW(STATUS_UNSUPPORTED, "not supported") \
	ROW(STATUS_DENIED, "not allowed")        \
	ROW(STATUS_TIMEOUT, "timed out")         \
	ROW(STATUS_CLOSED, "closed")             \
	ROW(STATUS_BUSY, "busy")                 \
	ROW(STATUS_IO, "input/output error")     \
	ROW(STATUS_FATAL, "cannot go on")

#define STATUS_MEMBER(member, text) member,
enum status { STATUS_TABLE(STATUS_MEMBER) };
#undef STATUS_MEMBER

/* A short lower-case text for logs; static, never NULL. */
const char *status_text(enum status status);

#endif
