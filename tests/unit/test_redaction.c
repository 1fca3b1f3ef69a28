#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/redaction.h"

static void apply_and_compare(const struct redaction *redaction, const char *text, const char *wanted)
{
	struct buffer out;
	buffer_init(&out, 65536);
	redaction_apply(redaction, bytes_of(text), &out);
	buffer_append_char(&out, '\0');
	assert_int_equal(buffer_status(&out), STATUS_OK);
	assert_string_equal(out.data, wanted);
	buffer_deinit(&out);
}

static struct redaction *redaction_of(const char *secret)
{
	struct redaction *redaction = redaction_new();
	assert_non_null(redaction);
	assert_int_equal(redaction_add(redaction, bytes_of(secret)), STATUS_OK);
	return redaction;
}

static void redaction_raw_secret_masked_everywhere(void **state)
{
	(void)state;
	struct redaction *redaction = redaction_of("sk-canary-1");
	apply_and_compare(redaction, "sk-canary-1", "****");
	apply_and_compare(redaction, "a sk-canary-1 b sk-canary-1", "a **** b ****");
	apply_and_compare(redaction, "sk-canary-1sk-canary-1", "********");
	apply_and_compare(redaction, "sk-canary-2 stays", "sk-canary-2 stays");
	apply_and_compare(redaction, "", "");
	redaction_free(redaction);
}

static void redaction_json_escaped_secret_masked(void **state)
{
	(void)state;
	struct redaction *redaction = redaction_of("pass\"word\\\n");
	apply_and_compare(redaction, "{\"a\":\"pass\\\"word\\\\\\n\"}", "{\"a\":\"****\"}");
	redaction_free(redaction);
}

static void redaction_url_encoded_secret_masked_in_both_cases(void **state)
{
	(void)state;
	struct redaction *redaction = redaction_of("pass/word?x");
	apply_and_compare(redaction, "k=pass%2Fword%3Fx&b", "k=****&b");
	apply_and_compare(redaction, "k=pass%2fword%3fx&b", "k=****&b");
	redaction_free(redaction);
}

/* "Basic " base64("user:" + secret) and the like: the secret at each of three places in its group. */
static void redaction_base64_at_every_shift_masked(void **state)
{
	(void)state;
	struct redaction *redaction = redaction_of("sk-canary-1");
	apply_and_compare(redaction, "c2stY2FuYXJ5LTE=", "****E=");         /* alone: the last digit is shared */
	apply_and_compare(redaction, "dTpzay1jYW5hcnktMQ==", "dTp****Q=="); /* "u:" before it */
	apply_and_compare(redaction, "dXNlcjpzay1jYW5hcnktMQ==", "dXNlcjp****Q==");
	redaction_free(redaction);
}

static void redaction_secret_in_digits_masked(void **state)
{
	(void)state;
	struct redaction *redaction = redaction_of("sk-Jz~");
	apply_and_compare(redaction, "736b2d4a7a7e 736B2D4A7A7E", "**** ****");
	apply_and_compare(redaction, "a=%73%6b%2d%4a%7a%7e&%73%6B%2D%4A%7A%7E", "a=****&****");
	apply_and_compare(redaction, "\"\\u0073\\u006b\\u002d\\u004a\\u007a\\u007e\"", "\"****\"");
	apply_and_compare(redaction, "\\u0073\\u006B\\u002D\\u004A\\u007A\\u007E", "****");
	redaction_free(redaction);
}

static void redaction_base64_of_the_url_alphabet_masked(void **state)
{
	(void)state;
	struct redaction *redaction = redaction_of("~~~~~~");
	apply_and_compare(redaction, "fn5+fn5+ fn5-fn5-", "**** ****");
	redaction_free(redaction);
}

static void redaction_forgotten_secret_stays_visible_and_others_masked(void **state)
{
	(void)state;
	struct redaction *redaction = redaction_of("first-secret");
	assert_int_equal(redaction_add(redaction, BYTES_LITERAL("second-secret")), STATUS_OK);
	assert_int_equal(redaction_add(redaction, BYTES_LITERAL("third-secret")), STATUS_OK);
	redaction_forget(redaction, BYTES_LITERAL("second-secret"));
	redaction_forget(redaction, BYTES_LITERAL("unknown-secret"));
	apply_and_compare(redaction, "first-secret second-secret third-secret", "**** second-secret ****");
	apply_and_compare(redaction, "dGhpcmQtc2VjcmV0", "****");
	redaction_free(redaction);
}

/* Keys are changed for as long as a process lives. */
static void redaction_added_and_forgotten_for_ever_never_full(void **state)
{
	(void)state;
	struct redaction *redaction = redaction_of("the-first-secret");
	for (int i = 0; i < 2 * REDACTION_FORMS_MAX; i++) {
		char secret[32];
		snprintf(secret, sizeof(secret), "secret-%d-\"/+", i);
		assert_int_equal(redaction_add(redaction, bytes_of(secret)), STATUS_OK);
		redaction_forget(redaction, bytes_of(secret));
	}
	apply_and_compare(redaction, "the-first-secret secret-0-\"/+", "**** secret-0-\"/+");
	redaction_free(redaction);
}

static void redaction_two_secrets_both_masked(void **state)
{
	(void)state;
	struct redaction *redaction = redaction_of("first-secret");
	assert_int_equal(redaction_add(redaction, BYTES_LITERAL("first-secret-longer")), STATUS_OK);
	apply_and_compare(redaction, "first-secret first-secret-longer", "**** ****");
	redaction_free(redaction);
}

static void redaction_bounds_refused(void **state)
{
	(void)state;
	struct redaction *redaction = redaction_new();
	static char large[REDACTION_SECRET_MAX + 1];
	memset(large, 'x', sizeof large);
	assert_int_equal(redaction_add(redaction, BYTES_LITERAL("short")), STATUS_INVALID);
	assert_int_equal(redaction_add(redaction, BYTES_NONE), STATUS_INVALID);
	assert_int_equal(redaction_add(redaction, bytes_at(large, sizeof large)), STATUS_TOO_LARGE);
	assert_int_equal(redaction_add(redaction, bytes_at(large, sizeof large - 1)), STATUS_OK);
	enum status status = STATUS_OK;
	for (int i = 0; i < REDACTION_FORMS_MAX && status == STATUS_OK; i++) {
		large[0] = (char)i;
		status = redaction_add(redaction, bytes_at(large, 32));
	}
	assert_int_equal(status, STATUS_FULL);
	redaction_free(redaction);
}

static void redaction_none_registered_copies(void **state)
{
	(void)state;
	struct redaction *redaction = redaction_new();
	apply_and_compare(redaction, "as it is", "as it is");
	redaction_free(redaction);
	redaction_free(NULL);
}

static void redaction_names_of_secrets_known(void **state)
{
	(void)state;
	static const char *const secret[] = { "sasl.password", "ssl.key.pem", "ssl.key.password", "sasl.jaas.config",
		"sasl.oauthbearer.client.secret", "Authorization", "SASL.PASSWORD", "x-api-token" };
	static const char *const plain[] = { "bootstrap.servers", "sasl.username", "debug", "", "linger.ms",
		"passwor" };
	for (size_t i = 0; i < sizeof secret / sizeof secret[0]; i++)
		assert_true(redaction_name_is_secret(bytes_of(secret[i])));
	for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
		assert_false(redaction_name_is_secret(bytes_of(plain[i])));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(redaction_raw_secret_masked_everywhere),
		cmocka_unit_test(redaction_json_escaped_secret_masked),
		cmocka_unit_test(redaction_url_encoded_secret_masked_in_both_cases),
		cmocka_unit_test(redaction_base64_at_every_shift_masked),
		cmocka_unit_test(redaction_secret_in_digits_masked),
		cmocka_unit_test(redaction_base64_of_the_url_alphabet_masked),
		cmocka_unit_test(redaction_forgotten_secret_stays_visible_and_others_masked),
		cmocka_unit_test(redaction_added_and_forgotten_for_ever_never_full),
		cmocka_unit_test(redaction_two_secrets_both_masked),
		cmocka_unit_test(redaction_bounds_refused),
		cmocka_unit_test(redaction_none_registered_copies),
		cmocka_unit_test(redaction_names_of_secrets_known),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
