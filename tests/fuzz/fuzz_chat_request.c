/* Fuzzer of the request's reader (libFuzzer, clang): whatever the bytes are, there is one verdict, and a reply and a
 * dead letter can be made of it. The first byte chooses content type and key. */
#include <stdint.h>
#include <stdlib.h>

#include "common/assertion.h"
#include "schemas/chat_request.h"
#include "schemas/chat_response.h"
#include "schemas/dead_letter.h"

enum { ARENA_MAX = 16 * 1024 * 1024, REPLY_MAX = 4 * 1024 * 1024 };

static const struct chat_limits limits = { .record_bytes = 1024 * 1024, .depth = 32, .messages = 512, .id_bytes = 128 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void make_reply(const struct record *record, const struct chat_request *request,
	const struct chat_rejection *rejection, struct arena *arena)
{
	struct chat_response reply = {
		.coding = request->coding,
		.request_id = request->request_id,
		.conversation_id = request->conversation_id,
		.outcome = rejection->reason == REASON_NONE ? CHAT_OUTCOME_ANSWERED : CHAT_OUTCOME_REJECTED,
		.answer = { .content = record->value },
		.reason = rejection->reason,
		.detail = rejection->detail,
	};
	struct chat_reply_address address = { .request_headers = &record->headers, .span_id = 1 };
	struct outgoing outgoing;
	enum status status = chat_response_write(&reply, &address, REPLY_MAX, arena, &outgoing);
	ASSERT(status == STATUS_OK || status == STATUS_TOO_LARGE || status == STATUS_NO_MEMORY);
}

static void make_dead_letter(const struct record *record, const struct chat_rejection *rejection, struct arena *arena)
{
	struct dead_letter letter = { .record = record, .reason = rejection->reason, .message = rejection->detail };
	struct outgoing outgoing;
	enum status status = dead_letter_write(&letter, arena, &outgoing);
	ASSERT(status == STATUS_OK || status == STATUS_NO_MEMORY);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0) return 0;
	struct record_header header = {
		.name = BYTES_LITERAL("content-type"),
		.value = (data[0] & 1) == 0 ? BYTES_LITERAL("application/msgpack") : BYTES_LITERAL("application/json"),
	};
	struct record record = {
		.key = (data[0] & 2) == 0 ? BYTES_NONE : BYTES_LITERAL("key"),
		.value = bytes_at((const char *)data + 1, size - 1),
		.headers = { .items = &header, .count = 1 },
	};
	struct arena *arena = arena_new(ARENA_MAX);
	if (arena == NULL) return 0;
	struct chat_request request;
	struct chat_rejection rejection;
	enum status status = chat_request_read(&record, &limits, arena, &request, &rejection);
	ASSERT(status == STATUS_OK || status == STATUS_INVALID || status == STATUS_NO_MEMORY);
	ASSERT((status == STATUS_INVALID) == (rejection.reason != REASON_NONE) || status == STATUS_NO_MEMORY);
	if (status != STATUS_NO_MEMORY) make_reply(&record, &request, &rejection, arena);
	if (status == STATUS_INVALID) make_dead_letter(&record, &rejection, arena);
	arena_free(arena);
	return 0;
}
