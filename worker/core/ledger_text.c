/* The text form of a ledger: see ledger.h for the format. */
#include "worker/core/ledger_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/assertion.h"
#include "common/hash.h"

enum { CRC_SIZE = 8, COMMIT_ID_SIZE = 16 };

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* base64url (RFC 4648 §5) without padding. */
static size_t base64_write(const uint8_t *data, size_t size, char *out)
{
	ASSERT(size <= LEDGER_BITMAP_BYTES);
	size_t written = 0;
	for (size_t i = 0; i < size; i += 3) {
		size_t left = size - i < 3 ? size - i : 3;
		uint32_t group = (uint32_t)data[i] << 16;
		if (left > 1) group |= (uint32_t)data[i + 1] << 8;
		if (left > 2) group |= data[i + 2];
		for (size_t k = 0; k <= left; k++)
			out[written++] = digits[(group >> (18 - 6 * k)) & 63];
	}
	ASSERT(written == (size * 4 + 2) / 3);
	return written;
}

static int base64_value(char one)
{
	if (one >= 'A' && one <= 'Z') return one - 'A';
	if (one >= 'a' && one <= 'z') return one - 'a' + 26;
	if (one >= '0' && one <= '9') return one - '0' + 52;
	if (one == '-') return 62;
	if (one == '_') return 63;
	return -1;
}

static enum status base64_read(struct bytes text, uint8_t *out, size_t out_max, size_t *out_size)
{
	size_t size = text.size / 4 * 3 + (text.size % 4 == 0 ? 0 : text.size % 4 - 1);
	if (text.size % 4 == 1 || size > out_max) return STATUS_INVALID;
	ASSERT(size <= out_max);
	uint32_t group = 0;
	size_t written = 0;
	int bits = 0;
	for (size_t i = 0; i < text.size; i++) {
		int value = base64_value(text.data[i]);
		if (value < 0) return STATUS_INVALID;
		group = (group << 6) | (uint32_t)value;
		bits += 6;
		if (bits < 8) continue;
		bits -= 8;
		out[written++] = (uint8_t)(group >> bits);
	}
	ASSERT(written == size);
	*out_size = size;
	return STATUS_OK;
}

static enum status hex_read(struct bytes text, uint64_t *out_value)
{
	ASSERT(text.size <= COMMIT_ID_SIZE);
	uint64_t value = 0;
	for (size_t i = 0; i < text.size; i++) {
		char one = text.data[i];
		uint64_t digit;
		if (one >= '0' && one <= '9')
			digit = (uint64_t)(one - '0');
		else if (one >= 'a' && one <= 'f')
			digit = (uint64_t)(one - 'a') + 10;
		else
			return STATUS_INVALID;
		value = value << 4 | digit;
	}
	*out_value = value;
	return STATUS_OK;
}

static bool is_trimmed(const struct ledger_text *text)
{
	ASSERT(text->bitmap_size <= LEDGER_BITMAP_BYTES);
	return text->bitmap_size == 0 || text->bitmap[text->bitmap_size - 1] != 0;
}

size_t ledger_text_write(const struct ledger_text *text, char out_text[static LEDGER_TEXT_MAX])
{
	ASSERT(text->watermark >= 0);
	ASSERT(text->bitmap_size <= LEDGER_BITMAP_BYTES);
	ASSERT(is_trimmed(text));
	char head[64];
	int head_size = snprintf(head, sizeof(head), "1:%" PRId64 ":%016" PRIx64 ":", text->watermark, text->commit_id);
	ASSERT(head_size > 0 && (size_t)head_size < sizeof(head));
	memcpy(out_text, head, (size_t)head_size);

	size_t size = (size_t)head_size;
	size += base64_write(text->bitmap, text->bitmap_size, out_text + size);
	out_text[size++] = ':';
	char crc[CRC_SIZE + 1];
	snprintf(crc, sizeof(crc), "%08" PRIx32, hash_crc32c(bytes_at(out_text, size)));
	memcpy(out_text + size, crc, CRC_SIZE);
	size += CRC_SIZE;
	ASSERT(size <= LEDGER_TEXT_MAX);
	return size;
}

/* Cuts the field up to the next colon off the front of `rest`. */
static enum status cut_field(struct bytes *rest, struct bytes *out_field)
{
	const char *colon = rest->size == 0 ? NULL : memchr(rest->data, ':', rest->size);
	if (colon == NULL) return STATUS_INVALID;
	size_t size = (size_t)(colon - rest->data);
	ASSERT(size < rest->size);
	*out_field = bytes_at(rest->data, size);
	*rest = bytes_at(colon + 1, rest->size - size - 1);
	return STATUS_OK;
}

/* Writing what was read must give the same text: that holds the check sum, and refuses leading zeros, a bitmap that is not
 * trimmed and all else that this program does not write. */
static bool is_canonical(const struct ledger_text *text, struct bytes view)
{
	char again[LEDGER_TEXT_MAX];
	if (text->watermark < 0 || !is_trimmed(text)) return false;
	size_t size = ledger_text_write(text, again);
	ASSERT(size <= sizeof(again));
	return bytes_equal(bytes_at(again, size), view);
}

enum status ledger_text_read(struct bytes view, struct ledger_text *out_text)
{
	ASSERT(out_text != NULL);
	struct ledger_text text = { 0 };
	struct bytes rest = view, version, watermark, commit_id, bitmap;
	if (cut_field(&rest, &version) != STATUS_OK || !bytes_equal_text(version, "1")) return STATUS_INVALID;
	if (cut_field(&rest, &watermark) != STATUS_OK) return STATUS_INVALID;
	if (cut_field(&rest, &commit_id) != STATUS_OK || commit_id.size != COMMIT_ID_SIZE) return STATUS_INVALID;
	if (cut_field(&rest, &bitmap) != STATUS_OK || rest.size != CRC_SIZE) return STATUS_INVALID;

	if (bytes_to_int64(watermark, &text.watermark) != STATUS_OK) return STATUS_INVALID;
	if (hex_read(commit_id, &text.commit_id) != STATUS_OK) return STATUS_INVALID;
	if (base64_read(bitmap, text.bitmap, sizeof(text.bitmap), &text.bitmap_size) != STATUS_OK)
		return STATUS_INVALID;
	if (!is_canonical(&text, view)) return STATUS_INVALID;
	ASSERT(text.watermark >= 0);
	*out_text = text;
	return STATUS_OK;
}
