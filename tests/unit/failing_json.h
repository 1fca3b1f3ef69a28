/* The JSON library takes its memory from failing_memory.h, too: its own calls of malloc() are in a shared library, where
 * the linker's hooks do not reach, so every reader that names no allocator gets one that asks there.
 *
 * A test that includes this is linked with --wrap for yyjson_read_opts as well (fail_json() in CMakeLists.txt). */
#ifndef TESTS_UNIT_FAILING_JSON_H
#define TESTS_UNIT_FAILING_JSON_H

#include <yyjson.h>

#include "tests/unit/failing_memory.h"

yyjson_doc *__real_yyjson_read_opts(
	char *data, size_t size, yyjson_read_flag flags, const yyjson_alc *allocator, yyjson_read_err *error);
yyjson_doc *__wrap_yyjson_read_opts(
	char *data, size_t size, yyjson_read_flag flags, const yyjson_alc *allocator, yyjson_read_err *error);

static void *json_malloc(void *context, size_t size)
{
	(void)context;
	return __wrap_malloc(size);
}

static void *json_realloc(void *context, void *memory, size_t size_before, size_t size)
{
	(void)context;
	(void)size_before;
	return __wrap_realloc(memory, size);
}

static void json_free(void *context, void *memory)
{
	(void)context;
	__wrap_free(memory);
}

yyjson_doc *__wrap_yyjson_read_opts(
	char *data, size_t size, yyjson_read_flag flags, const yyjson_alc *allocator, yyjson_read_err *error)
{
	const yyjson_alc failing = { .malloc = json_malloc, .realloc = json_realloc, .free = json_free };
	return __real_yyjson_read_opts(data, size, flags, allocator == NULL ? &failing : allocator, error);
}

#endif
