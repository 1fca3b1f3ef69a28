#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/settings_scan.h"

static void assert_scanned(const char *text, const char *wanted)
{
	struct buffer out;
	buffer_init(&out, 4096);
	unsigned line;
	const char *problem;
	assert_int_equal(settings_scan(bytes_of(text), &out, &line, &problem), STATUS_OK);
	buffer_append_char(&out, '\0');
	assert_string_equal(out.data, wanted);
	buffer_deinit(&out);
}

static void assert_refused(struct bytes text, unsigned line, const char *problem)
{
	struct buffer out;
	buffer_init(&out, 4096);
	unsigned found_line = 0;
	const char *found = "";
	assert_int_equal(settings_scan(text, &out, &found_line, &found), STATUS_INVALID);
	assert_int_equal(found_line, line);
	assert_non_null(strstr(found, problem));
	buffer_deinit(&out);
}

static void settings_scan_large_numbers_get_suffix(void **state)
{
	(void)state;
	assert_scanned("a = 2147483647;", "a = 2147483647;");
	assert_scanned("a = 2147483648;", "a = 2147483648L;");
	assert_scanned("a = 2147483648L;", "a = 2147483648L;");
	assert_scanned("a=-2147483648; b=-2147483649;", "a=-2147483648; b=-2147483649L;");
	assert_scanned("a = [4294967296, 1, +5];", "a = [4294967296L, 1, +5];");
	assert_scanned("a = 0xffffffff; b = 0x7F;", "a = 0xffffffffL; b = 0x7F;");
	assert_scanned("a=9999999999", "a=9999999999L");
}

static void settings_scan_everything_else_left_alone(void **state)
{
	(void)state;
	static const char *const texts[] = { "", "a = \"4294967296\";", "a = \"x\\\"4294967296\";",
		"# 4294967296\na=1;", "// 4294967296 @include\na=1;", "/* 4294967296\n@include */ a = 1;",
		"a4294967296 = 1;", "a = 4294967296.5;", "a = 1e10; b = 4294967296e-3; c = 4294967296E+3;",
		"a-4294967296 = true;", "a = ;;{}[]()", "\xff\xfe" };
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		assert_scanned(texts[i], texts[i]);
}

static void settings_scan_refused_with_line(void **state)
{
	(void)state;
	assert_refused(BYTES_LITERAL("a = 1;\nb = 9223372036854775808;"), 2, "too large");
	assert_refused(BYTES_LITERAL("a = 9223372036854775808L;"), 1, "too large");
	assert_refused(BYTES_LITERAL("a = 111111111111111111111111111111111111111111111111;"), 1, "too large");
	assert_refused(BYTES_LITERAL("\n\n@include \"x\""), 3, "@include");
	assert_refused(BYTES_LITERAL("/*\n*/\n\"\n\" @"), 4, "@include");
	assert_refused(BYTES_LITERAL("a\0b"), 1, "NUL");
	assert_refused(BYTES_LITERAL("\na = \"b;\n\n"), 2, "a string begins here that does not end");
	assert_refused(BYTES_LITERAL("a = \"b\\"), 1, "a string begins here");
	assert_refused(BYTES_LITERAL("\n\n/* b;\n*"), 3, "a comment begins here that does not end");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(settings_scan_large_numbers_get_suffix),
		cmocka_unit_test(settings_scan_everything_else_left_alone),
		cmocka_unit_test(settings_scan_refused_with_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
