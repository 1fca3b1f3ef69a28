/* Fuzzer of the headers Retry-After and X-RateLimit-Reset (libFuzzer, clang): no waiting time is longer than a day or
 * shorter than nothing, white space around the value changes nothing, and digits alone are never junk. */
#include <stdint.h>

#include "common/assertion.h"
#include "common/buffer.h"
#include "worker/core/failure.h"

enum { DAY_MS = 86400000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_digits(struct bytes text)
{
	for (size_t i = 0; i < text.size; i++)
		if (text.data[i] < '0' || text.data[i] > '9') return false;
	return text.size > 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1) return 0;
	bool in_ms = (data[0] & 1) != 0;
	/* From 1970 to 2083. */
	int64_t now_ms = (int64_t)(data[0] >> 1) * 28000000000;
	struct bytes value = bytes_at((const char *)data + 1, size - 1);
	int64_t wait_ms = failure_retry_after(value, in_ms, now_ms);
	ASSERT(wait_ms >= -1);
	ASSERT(wait_ms <= DAY_MS);
	if (is_digits(value)) ASSERT(wait_ms >= 0);
	int64_t reset_ms = failure_rate_limit_reset(value, now_ms);
	ASSERT(reset_ms >= -1);
	ASSERT(reset_ms <= DAY_MS);

	struct buffer padded;
	buffer_init(&padded, size + 8);
	buffer_append_text(&padded, " \t");
	buffer_append(&padded, value);
	buffer_append_text(&padded, "\r\n");
	ASSERT(failure_retry_after(buffer_bytes(&padded), in_ms, now_ms) == wait_ms);
	buffer_deinit(&padded);
	return 0;
}
