/* Memory that runs out on demand: the n-th allocation, and all after it if wanted, is refused.
 *
 * A test that includes this is linked with --wrap for malloc, calloc, realloc and free (fail_allocations() in
 * CMakeLists.txt). What is allocated and not freed is counted, so that a leak shows in every build. */
#ifndef TESTS_UNIT_FAILING_MEMORY_H
#define TESTS_UNIT_FAILING_MEMORY_H

#include <stdbool.h>
#include <stdlib.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void __wrap_free(void *memory);

struct failing_memory {
	long until_failure; /* allocations that still succeed; negative: all do */
	bool goes_on;       /* after the first refusal all are refused */
	bool is_paused;     /* allocations are not counted and succeed */
	long refused;
	long living; /* allocated and not freed */
};

/* The linker's hook has no argument to carry it in. */
static struct failing_memory failing_memory = { .until_failure = -1 };

static bool refuse(void)
{
	struct failing_memory *memory = &failing_memory;
	if (memory->is_paused) return false;
	bool refused = memory->until_failure == 0 || (memory->goes_on && memory->refused > 0);
	if (memory->until_failure >= 0) memory->until_failure--;
	if (refused) memory->refused++;
	return refused;
}

void *__wrap_malloc(size_t size)
{
	if (refuse()) return NULL;
	failing_memory.living++;
	return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	if (refuse()) return NULL;
	failing_memory.living++;
	return __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
	if (refuse()) return NULL;
	if (memory == NULL) failing_memory.living++;
	return __real_realloc(memory, size);
}

void __wrap_free(void *memory)
{
	if (memory != NULL) failing_memory.living--;
	__real_free(memory);
}

#endif
