/* Fuzzer of the event splitter (libFuzzer, clang): however a stream is cut into pieces, the events are the same, none is
 * larger than the bound, and what ends the feeding is the same too. The first byte chooses how it is cut, the second the
 * bound. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/assertion.h"
#include "worker/core/sse.h"

enum { NOTES_MAX = 1 << 20 };

struct notes {
	struct buffer text; /* each event with its size before it */
	size_t size_max;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum status note(void *context, struct bytes data)
{
	struct notes *notes = context;
	ASSERT(data.size <= notes->size_max);
	buffer_append_int(&notes->text, (int64_t)data.size);
	buffer_append_char(&notes->text, ':');
	buffer_append(&notes->text, data);
	return STATUS_OK;
}

/* Pieces of `step` bytes, each in memory of its own. */
static enum status split(struct bytes stream, size_t step, struct notes *notes)
{
	struct sse sse;
	sse_init(&sse, notes->size_max);
	buffer_init(&notes->text, NOTES_MAX);
	enum status status = STATUS_OK;
	for (size_t at = 0; at < stream.size && status == STATUS_OK; at += step) {
		size_t size = stream.size - at < step ? stream.size - at : step;
		char *piece = malloc(size);
		ASSERT(piece != NULL);
		memcpy(piece, stream.data + at, size);
		status = sse_feed(&sse, bytes_at(piece, size), note, notes);
		free(piece);
	}
	if (status == STATUS_OK) status = sse_finish(&sse, note, notes);
	sse_deinit(&sse);
	return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 3) return 0;
	struct bytes stream = bytes_at((const char *)data + 2, size - 2);
	struct notes whole = { .size_max = 1 + (size_t)data[1] }, cut = whole;
	enum status whole_status = split(stream, stream.size, &whole);
	enum status cut_status = split(stream, 1 + (size_t)data[0] % 64, &cut);
	ASSERT(whole_status == STATUS_OK || whole_status == STATUS_TOO_LARGE);
	ASSERT(whole_status == cut_status);
	ASSERT(bytes_equal(buffer_bytes(&whole.text), buffer_bytes(&cut.text)));
	buffer_deinit(&whole.text);
	buffer_deinit(&cut.text);
	return 0;
}
