/* The text of a ledger written a second time, by other means: an independent judge of worker/core/ledger_text.c.
 *
 * The bitmap is read as one string of bits, the check sum uses a table. */
#ifndef TESTS_UNIT_LEDGER_JUDGE_H
#define TESTS_UNIT_LEDGER_JUDGE_H

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/bytes.h"

enum { JUDGE_TEXT_MAX = 4096 };

static inline uint32_t judge_crc32c(const char *data, size_t size)
{
	uint32_t table[256], sum = ~0U;
	for (uint32_t i = 0; i < 256; i++) {
		table[i] = i;
		for (int bit = 0; bit < 8; bit++)
			table[i] = table[i] & 1 ? table[i] >> 1 ^ 0x82f63b78U : table[i] >> 1;
	}
	for (size_t i = 0; i < size; i++)
		sum = table[(sum ^ (unsigned char)data[i]) & 0xff] ^ sum >> 8;
	return ~sum;
}

/* Appends the check sum to `size` characters and returns the new size. */
static inline size_t judge_seal(char *text, size_t size)
{
	return size + (size_t)sprintf(text + size, "%08" PRIx32, judge_crc32c(text, size));
}

/* A body such as "1:5:00000000000000ff:AQ:" with its check sum. */
static inline struct bytes judge_sealed(const char *body, char out_text[static JUDGE_TEXT_MAX])
{
	size_t size = strlen(body);
	memcpy(out_text, body, size);
	return bytes_at(out_text, judge_seal(out_text, size));
}

/* `finished[i]` says whether offset `watermark` + i is finished, for `count` offsets. */
static inline struct bytes judge_text(
	int64_t watermark, uint64_t commit_id, const bool *finished, size_t count, char out_text[static JUDGE_TEXT_MAX])
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	size_t size = (size_t)sprintf(out_text, "1:%" PRId64 ":%016" PRIx64 ":", watermark, commit_id);
	while (count > 0 && !finished[count - 1])
		count--;
	size_t bits = (count + 7) / 8 * 8;
	for (size_t at = 0; at < bits; at += 6) {
		unsigned sextet = 0;
		for (size_t bit = at; bit < at + 6; bit++) {
			/* The string has each byte's highest bit first, the bitmap its lowest. */
			size_t offset = bit / 8 * 8 + (7 - bit % 8);
			sextet = sextet << 1 | (offset < count && finished[offset]);
		}
		out_text[size++] = alphabet[sextet];
	}
	out_text[size++] = ':';
	return bytes_at(out_text, judge_seal(out_text, size));
}

#endif
