/* UTF-8 against the table of well-formed sequences in the Unicode Standard (table 3-7), exhaustively where it decides,
 * and blanks against the property White_Space. */
#include <string.h>

#include "common/bytes.h"
#include "tests/unit/testing.h"

struct range {
	unsigned char low, high;
};

/* One row of table 3-7: the range of each byte; the rest of a row is zero. */
struct sequence {
	size_t size;
	struct range bytes[4];
};

static const struct sequence sequences[] = {
	{ 1, { { 0x00, 0x7f } } },
	{ 2, { { 0xc2, 0xdf }, { 0x80, 0xbf } } },
	{ 3, { { 0xe0, 0xe0 }, { 0xa0, 0xbf }, { 0x80, 0xbf } } },
	{ 3, { { 0xe1, 0xec }, { 0x80, 0xbf }, { 0x80, 0xbf } } },
	{ 3, { { 0xed, 0xed }, { 0x80, 0x9f }, { 0x80, 0xbf } } },
	{ 3, { { 0xee, 0xef }, { 0x80, 0xbf }, { 0x80, 0xbf } } },
	{ 4, { { 0xf0, 0xf0 }, { 0x90, 0xbf }, { 0x80, 0xbf }, { 0x80, 0xbf } } },
	{ 4, { { 0xf1, 0xf3 }, { 0x80, 0xbf }, { 0x80, 0xbf }, { 0x80, 0xbf } } },
	{ 4, { { 0xf4, 0xf4 }, { 0x80, 0x8f }, { 0x80, 0xbf }, { 0x80, 0xbf } } },
};

static bool sequence_fits(const struct sequence *sequence, const unsigned char *at, size_t left)
{
	if (left < sequence->size) return false;
	for (size_t i = 0; i < sequence->size; i++)
		if (at[i] < sequence->bytes[i].low || at[i] > sequence->bytes[i].high) return false;
	return true;
}

static bool judge(const unsigned char *at, size_t size)
{
	while (size > 0) {
		size_t step = 0;
		for (size_t i = 0; i < sizeof(sequences) / sizeof(sequences[0]); i++)
			if (sequence_fits(&sequences[i], at, size)) step = sequences[i].size;
		if (step == 0) return false;
		at += step;
		size -= step;
	}
	return true;
}

static void assert_judged(const unsigned char *text, size_t size)
{
	bool seen = bytes_is_utf8(bytes_at((const char *)text, size));
	if (seen != judge(text, size))
		fail_msg("%02x %02x %02x %02x, size %zu: said %d", text[0], text[1], text[2], text[3], size, seen);
}

/* The bytes at which some rule changes. */
static const unsigned char borders[] = { 0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xe0, 0xff };
enum { BORDERS = sizeof(borders) };

static void bytes_utf8_all_pairs_as_the_standard_says(void **state)
{
	(void)state;
	for (unsigned first = 0; first < 256; first++) {
		unsigned char text[4] = { (unsigned char)first };
		assert_judged(text, 1);
		for (unsigned second = 0; second < 256; second++) {
			text[1] = (unsigned char)second;
			assert_judged(text, 2);
		}
	}
}

static void bytes_utf8_triples_as_the_standard_says(void **state)
{
	(void)state;
	for (unsigned pair = 0; pair < 65536; pair++) {
		unsigned char text[4] = { (unsigned char)(pair >> 8), (unsigned char)pair };
		for (size_t i = 0; i < BORDERS; i++) {
			text[2] = borders[i];
			assert_judged(text, 3);
		}
	}
}

static void bytes_utf8_quadruples_as_the_standard_says(void **state)
{
	(void)state;
	for (unsigned pair = 0xee00; pair < 65536; pair++) {
		unsigned char text[4] = { (unsigned char)(pair >> 8), (unsigned char)pair };
		for (size_t i = 0; i < (size_t)BORDERS * BORDERS; i++) {
			text[2] = borders[i / BORDERS];
			text[3] = borders[i % BORDERS];
			assert_judged(text, 4);
		}
	}
}

static size_t encode(uint32_t point, char out[static 4])
{
	if (point < 0x80) {
		out[0] = (char)point;
		return 1;
	}
	size_t size = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
	for (size_t i = size - 1; i > 0; i--) {
		out[i] = (char)(0x80 | (point & 0x3f));
		point >>= 6;
	}
	out[0] = (char)((0xf00 >> size & 0xff) | point);
	return size;
}

static void bytes_utf8_every_code_point_but_surrogates(void **state)
{
	(void)state;
	for (uint32_t point = 0; point < 0x120000; point++) {
		char text[4];
		size_t size = encode(point, text);
		bool is_scalar = point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
		assert_int_equal(bytes_is_utf8(bytes_at(text, size)), is_scalar);
		for (size_t cut = 1; cut < size; cut++)
			assert_false(bytes_is_utf8(bytes_at(text, cut)));
	}
}

/* ASCII is looked at in words; what is not ASCII must be found at every place in and around one. */
static void bytes_utf8_at_every_place_of_a_text(void **state)
{
	(void)state;
	static const char *good[] = { "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80" };
	static const char *bad[] = { "\x80", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\xff" };
	for (size_t size = 0; size < 40; size++) {
		for (size_t at = 0; at <= size; at++) {
			char text[64];
			memset(text, 'a', sizeof(text));
			for (size_t i = 0; i < 3; i++) {
				memcpy(text + at, good[i], strlen(good[i]));
				assert_true(bytes_is_utf8(bytes_at(text, at + strlen(good[i]))));
				assert_true(bytes_is_utf8(bytes_at(text, size + 4)));
				memset(text, 'a', sizeof(text));
			}
			for (size_t i = 0; i < 6; i++) {
				memcpy(text + at, bad[i], strlen(bad[i]));
				assert_false(bytes_is_utf8(bytes_at(text, at + strlen(bad[i]))));
				assert_false(bytes_is_utf8(bytes_at(text, size + 4)));
				memset(text, 'a', sizeof(text));
			}
		}
	}
}

static void bytes_utf8_nothing_and_nul_are_well_formed(void **state)
{
	(void)state;
	assert_true(bytes_is_utf8(BYTES_NONE));
	assert_true(bytes_is_utf8(BYTES_LITERAL("")));
	assert_true(bytes_is_utf8(BYTES_LITERAL("a\0b")));
}

/* White_Space of the Unicode character database, and the zero-width ones that the header adds. */
static const uint32_t blanks[] = { 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x20, 0x85, 0xa0, 0x1680, 0x2000, 0x2001, 0x2002,
	0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008, 0x2009, 0x200a, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000, 0x200b,
	0x200c, 0x200d, 0x2060, 0xfeff };

static bool is_listed_blank(uint32_t point)
{
	for (size_t i = 0; i < sizeof(blanks) / sizeof(blanks[0]); i++)
		if (blanks[i] == point) return true;
	return false;
}

static void bytes_blank_every_code_point_as_listed(void **state)
{
	(void)state;
	for (uint32_t point = 0; point <= 0x10ffff; point++) {
		char text[4];
		size_t size = encode(point, text);
		assert_int_equal(bytes_is_blank(bytes_at(text, size)), is_listed_blank(point));
	}
}

static void bytes_blank_texts(void **state)
{
	(void)state;
	assert_true(bytes_is_blank(BYTES_NONE));
	assert_true(bytes_is_blank(BYTES_LITERAL("")));
	assert_true(bytes_is_blank(BYTES_LITERAL(" \t\n\xe2\x80\x8b\xc2\xa0\xef\xbb\xbf ")));
	assert_false(bytes_is_blank(BYTES_LITERAL("   .")));
	assert_false(bytes_is_blank(BYTES_LITERAL(".   ")));
	assert_false(bytes_is_blank(BYTES_LITERAL("\0")));
	assert_false(bytes_is_blank(BYTES_LITERAL(" \xe2\x80")));
	assert_false(bytes_is_blank(BYTES_LITERAL("\xa0")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_utf8_all_pairs_as_the_standard_says),
		cmocka_unit_test(bytes_utf8_triples_as_the_standard_says),
		cmocka_unit_test(bytes_utf8_quadruples_as_the_standard_says),
		cmocka_unit_test(bytes_utf8_every_code_point_but_surrogates),
		cmocka_unit_test(bytes_utf8_at_every_place_of_a_text),
		cmocka_unit_test(bytes_utf8_nothing_and_nul_are_well_formed),
		cmocka_unit_test(bytes_blank_every_code_point_as_listed),
		cmocka_unit_test(bytes_blank_texts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
