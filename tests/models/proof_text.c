/* The text form of a ledger, proven by CBMC for all values within bounds: what is written is read again as it was, and
 * whatever bytes a broker holds are read without a step outside of them, and refused or made a valid text.
 *
 * Each prove_… is checked for all values that any_… can give, with every loop unwound to its end. The sources are the
 * program's own; run.py makes the window 24 offsets. What is outside is replaced: the check sum is one value, any, which
 * covers every pair of sums that could meet, also those that CRC-32C tells apart; numbers are written as the C library does,
 * up to three digits, and where the bytes come from outside as any digits. */
#include <stdarg.h>
#include <stdlib.h>

#include "common/hash.h"
#include "worker/core/ledger_text.h"

#define ASSUME(fact) __CPROVER_assume(fact)
#define PROVE(fact) __CPROVER_assert(fact, #fact)

/* A local that nothing sets has any value. */
#define ANY(name, type)              \
	static type any_##name(void) \
	{                            \
		type any;            \
		return any;          \
	}
ANY(uint64, uint64_t)
ANY(int64, int64_t)
ANY(uint8, uint8_t)
ANY(size, size_t)

enum { WATERMARK_MAX = 999, DIGITS_MAX = 19, TEXT_SIZE = 2 + 3 + 1 + 16 + 1 + 4 + 1 + 8 };

static bool is_from_outside;
static uint32_t check_sum;

uint32_t hash_crc32c(struct bytes view)
{
	PROVE(view.size > 0);
	return check_sum;
}

NORETURN void assertion_failed(const char *fact, const char *file, int line)
{
	(void)fact, (void)file, (void)line;
	__CPROVER_assert(false, "an assertion of the program");
	ASSUME(false);
}

void *memchr(const void *view, int wanted, size_t size)
{
	const char *bytes = view;
	for (size_t i = 0; i < size; i++)
		if (bytes[i] == (char)wanted) return (void *)(uintptr_t)(bytes + i);
	return NULL;
}

static size_t write_hex(char *out, uint64_t value, int digits)
{
	for (int i = 0; i < digits; i++)
		out[i] = "0123456789abcdef"[value >> (4 * (digits - 1 - i)) & 15];
	return (size_t)digits;
}

static size_t write_decimal(char *out, int64_t value)
{
	if (is_from_outside) {
		size_t size = any_size();
		ASSUME(size >= 1 && size <= DIGITS_MAX);
		for (size_t i = 0; i < DIGITS_MAX; i++)
			if (i < size) out[i] = (char)('0' + any_uint8() % 10);
		return size;
	}
	PROVE(value >= 0 && value <= WATERMARK_MAX);
	size_t size = value >= 100 ? 3 : value >= 10 ? 2 : 1;
	for (size_t i = 0; i < size; i++, value /= 10)
		out[size - 1 - i] = (char)('0' + value % 10);
	return size;
}

/* The two formats of ledger_text.c. */
int snprintf(char *out, size_t out_max, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	size_t size = 0;
	if (format[0] == '1') {
		out[size++] = '1';
		out[size++] = ':';
		size += write_decimal(out + size, va_arg(arguments, int64_t));
		out[size++] = ':';
		size += write_hex(out + size, va_arg(arguments, uint64_t), 16);
		out[size++] = ':';
	} else {
		size = write_hex(out, va_arg(arguments, uint32_t), 8);
	}
	va_end(arguments);
	PROVE(size < out_max);
	return (int)size;
}

static struct ledger_text any_text(void)
{
	struct ledger_text text = { .watermark = any_int64(), .commit_id = any_uint64(), .bitmap_size = any_size() };
	ASSUME(text.watermark >= 0 && text.watermark <= WATERMARK_MAX);
	ASSUME(text.bitmap_size <= LEDGER_BITMAP_BYTES);
	for (size_t i = 0; i < LEDGER_BITMAP_BYTES; i++)
		text.bitmap[i] = i < text.bitmap_size ? any_uint8() : 0;
	if (text.bitmap_size > 0) ASSUME(text.bitmap[text.bitmap_size - 1] != 0);
	return text;
}

static bool is_equal(const struct ledger_text *a, const struct ledger_text *b)
{
	if (a->watermark != b->watermark || a->commit_id != b->commit_id || a->bitmap_size != b->bitmap_size)
		return false;
	for (size_t i = 0; i < LEDGER_BITMAP_BYTES; i++)
		if (a->bitmap[i] != b->bitmap[i]) return false;
	return true;
}

void prove_written_is_read(void)
{
	check_sum = (uint32_t)any_uint64();
	struct ledger_text text = any_text(), again;
	char bytes[LEDGER_TEXT_MAX];
	size_t size = ledger_text_write(&text, bytes);
	PROVE(size <= LEDGER_TEXT_MAX);
	enum status status = ledger_text_read((struct bytes){ .data = bytes, .size = size }, &again);
	PROVE(status == STATUS_OK);
	PROVE(is_equal(&text, &again));
}

void prove_any_bytes_are_read_safely(void)
{
	check_sum = (uint32_t)any_uint64();
	is_from_outside = true;
	size_t size = any_size();
	ASSUME(size <= TEXT_SIZE);
	/* No byte more than there are, so that a step outside is seen. */
	char *bytes = malloc(size);
	ASSUME(bytes != NULL);
	struct ledger_text text = { .watermark = -1 };
	enum status status = ledger_text_read((struct bytes){ .data = bytes, .size = size }, &text);
	if (status != STATUS_OK) {
		PROVE(status == STATUS_INVALID);
		PROVE(text.watermark == -1);
		return;
	}
	PROVE(text.watermark >= 0);
	PROVE(text.bitmap_size <= LEDGER_BITMAP_BYTES);
	PROVE(text.bitmap_size == 0 || text.bitmap[text.bitmap_size - 1] != 0);
	for (size_t i = 0; i < LEDGER_BITMAP_BYTES; i++)
		PROVE(i < text.bitmap_size || text.bitmap[i] == 0);
}
