#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/json_text.h"
#include "common/url.h"

static struct url parse(const char *text)
{
	struct url url;
	const char *problem = NULL;
	if (url_parse(bytes_of(text), &url, &problem) != STATUS_OK) fail_msg("%s: %s", text, problem);
	return url;
}

static void url_parts_found(void **state)
{
	(void)state;
	struct url url = parse("https://openrouter.ai/api/v1");
	assert_true(url.is_https);
	assert_true(bytes_equal_text(url.host, "openrouter.ai"));
	assert_int_equal(url.port, 443);
	assert_true(bytes_equal_text(url.path, "/api/v1"));
	assert_false(url.is_loopback);
	url = parse("http://[::1]:8080");
	assert_false(url.is_https);
	assert_true(bytes_equal_text(url.host, "::1"));
	assert_int_equal(url.port, 8080);
	assert_int_equal(url.path.size, 0);
	assert_int_equal(parse("http://x/").port, 80);
	assert_int_equal(parse("https://x:65535/").port, 65535);
}

static void url_loopback_known(void **state)
{
	(void)state;
	assert_true(parse("http://localhost:1").is_loopback);
	assert_true(parse("http://LOCALHOST").is_loopback);
	assert_true(parse("http://127.0.0.1").is_loopback);
	assert_true(parse("http://127.9.8.7/x").is_loopback);
	assert_true(parse("http://[::1]").is_loopback);
	assert_false(parse("http://127.0.0.1.example.com").is_loopback);
	assert_false(parse("http://localhost.example.com").is_loopback);
	assert_false(parse("http://10.0.0.1").is_loopback);
	assert_false(parse("http://[::2]").is_loopback);
	assert_false(parse("http://127.0.1").is_loopback);
}

static void url_malformed_refused(void **state)
{
	(void)state;
	static const char *const texts[] = { "", "openrouter.ai", "ftp://x", "https://", "https:///path",
		"https://:443", "https://user@x", "https://user:password@x/", "https://x:0", "https://x:65536",
		"https://x:", "https://x:80a", "https://x/?q=1", "https://x/#f", "https://x /", "https://x/\n",
		"https://x/\x7f", "https://x/\xc3\xa4", "https://[::1", "https://[::1]x", "https://a_b,c",
		"https://x/{}", "HTTPS://x", " https://x" };
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct url url = { .port = 7 };
		const char *problem = NULL;
		if (url_parse(bytes_of(texts[i]), &url, &problem) != STATUS_INVALID) fail_msg("taken: %s", texts[i]);
		assert_non_null(problem);
		assert_int_equal(url.port, 7);
	}
	struct url url;
	const char *problem;
	assert_int_equal(url_parse(BYTES_NONE, &url, &problem), STATUS_INVALID);
}

static void json_text_objects_known(void **state)
{
	(void)state;
	assert_true(json_text_is_object(BYTES_LITERAL("{}")));
	assert_true(json_text_is_object(BYTES_LITERAL(" {\"sort\": [\"a\", {}]} ")));
	static const char *const others[] = { "", "[]", "1", "\"a\"", "{", "{}}", "{\"a\":}", "{'a':1}", "{\"a\":1,}" };
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		assert_false(json_text_is_object(bytes_of(others[i])));
	assert_false(json_text_is_object(BYTES_NONE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(url_parts_found),
		cmocka_unit_test(url_loopback_known),
		cmocka_unit_test(url_malformed_refused),
		cmocka_unit_test(json_text_objects_known),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
