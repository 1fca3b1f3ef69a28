/* One attempt at the upstream: see the header. */
#include "worker/core/call.h"

#include <stdlib.h>

#include "common/assertion.h"

struct call *call_new(uint64_t id, size_t body_max, size_t result_max)
{
	ASSERT(result_max > 0);
	ASSERT(id != 0);
	struct call *call = calloc(1, sizeof(*call));
	if (call == NULL) return NULL;
	call->id = id;
	call->content_begun = (struct call_message){ .call = call };
	call->end = (struct call_message){ .call = call, .is_end = true };
	buffer_init(&call->body, body_max);
	call->arena = arena_new(result_max);
	if (call->arena == NULL) {
		free(call);
		return NULL;
	}
	return call;
}

void call_free(struct call *call)
{
	if (call == NULL) return;
	buffer_deinit(&call->body);
	arena_free(call->arena);
	free(call);
}
