/* The provider object of a repeat: what may be added to, what is added, and that the rest stays byte for byte. */
#include "worker/core/openrouter_provider.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/random.h"
#include "schemas/wire.h"

enum { OBJECT_MAX = 4096 };

static void assert_written(const char *provider, const char *names, const char *expected)
{
	struct bytes list[4];
	size_t count = 0;
	char text[256];
	snprintf(text, sizeof(text), "%s", names);
	for (char *rest = text, *name; (name = strsep(&rest, "|")) != NULL;)
		list[count++] = bytes_of(name);
	struct buffer out;
	buffer_init(&out, OBJECT_MAX);
	assert_true(openrouter_provider_may_ignore(bytes_of(provider)));
	openrouter_provider_write(bytes_of(provider), list, count, &out);
	assert_int_equal(buffer_status(&out), STATUS_OK);
	buffer_append_char(&out, '\0');
	assert_string_equal(out.data, expected);
	buffer_deinit(&out);
}

static void provider_without_an_object_gets_one(void **state)
{
	(void)state;
	assert_written("", "azure", "{\"ignore\":[\"azure\"]}");
	assert_written("{}", "azure", "{\"ignore\":[\"azure\"]}");
	assert_written(" { } ", "azure", " { \"ignore\":[\"azure\"]} ");
}

static void provider_object_keeps_its_bytes(void **state)
{
	(void)state;
	assert_written("{ \"sort\" : \"latency\" }", "azure", "{ \"sort\" : \"latency\" ,\"ignore\":[\"azure\"]}");
	assert_written("{\"max_price\":{\"prompt\":1.50}}", "azure",
		"{\"max_price\":{\"prompt\":1.50},\"ignore\":[\"azure\"]}");
	assert_written("{\"x\":\"}]\\\"ignore\\\":[\",\"order\":[\"azure\"]}", "azure",
		"{\"x\":\"}]\\\"ignore\\\":[\",\"order\":[\"azure\"],\"ignore\":[\"azure\"]}");
	assert_written(
		"{\"a\":{\"ignore\":[\"no\"]}}", "azure", "{\"a\":{\"ignore\":[\"no\"]},\"ignore\":[\"azure\"]}");
}

static void provider_list_is_appended_to(void **state)
{
	(void)state;
	assert_written(
		"{\"ignore\":[\"groq\"],\"zdr\":true}", "azure", "{\"ignore\":[\"groq\",\"azure\"],\"zdr\":true}");
	assert_written("{\"ignore\": [ ] }", "azure", "{\"ignore\": [ \"azure\"] }");
	assert_written("{\"ignore\":[\"groq\" ]}", "azure", "{\"ignore\":[\"groq\" ,\"azure\"]}");
	assert_written("{\"zdr\":true,\"ignore\":null}", "azure", "{\"zdr\":true,\"ignore\":[\"azure\"]}");
}

static void provider_name_is_written_as_it_came_and_as_a_slug(void **state)
{
	(void)state;
	assert_written("", "DeepInfra", "{\"ignore\":[\"DeepInfra\",\"deepinfra\"]}");
	assert_written("", "Amazon Bedrock", "{\"ignore\":[\"Amazon Bedrock\",\"amazon-bedrock\"]}");
	assert_written("", "Z.AI", "{\"ignore\":[\"Z.AI\",\"z-ai\"]}");
	assert_written("", "Azure (EU)", "{\"ignore\":[\"Azure (EU)\",\"azure-eu\"]}");
	assert_written("", "google-vertex/us-east5", "{\"ignore\":[\"google-vertex/us-east5\"]}");
	assert_written("", "A--B  +", "{\"ignore\":[\"A--B  +\",\"a-b\"]}");
}

static void provider_names_that_are_there_are_not_repeated(void **state)
{
	(void)state;
	assert_written("{\"ignore\":[\"azure\"]}", "azure", "{\"ignore\":[\"azure\"]}");
	assert_written("{\"ignore\":[\"azure\"]}", "Azure", "{\"ignore\":[\"azure\",\"Azure\"]}");
	assert_written("{\"ignore\":[\"azure\",\"Azure\"]}", "Azure", "{\"ignore\":[\"azure\",\"Azure\"]}");
	assert_written("", "azure|groq", "{\"ignore\":[\"azure\",\"groq\"]}");
}

static void provider_preferences_that_a_list_would_contradict_allow_none(void **state)
{
	(void)state;
	static const char *const closed[] = { "{\"only\":[\"azure\"]}", "{\"only\":[\"azure\",\"groq\"]}",
		"{\"allow_fallbacks\":false}", "{\"order\":[\"azure\"],\"allow_fallbacks\":false}",
		"{\"only\":\"azure\"}", "{\"allow_fallbacks\":0}" };
	static const char *const open[] = { "", "{}", "{\"only\":null}", "{\"only\":[]}", "{\"allow_fallbacks\":true}",
		"{\"allow_fallbacks\":null}", "{\"order\":[\"azure\"]}",
		"{\"order\":[\"azure\"],\"allow_fallbacks\":true}", "{\"sort\":\"price\",\"ignore\":[]}" };
	for (size_t i = 0; i < sizeof(closed) / sizeof(closed[0]); i++)
		if (openrouter_provider_may_ignore(bytes_of(closed[i]))) fail_msg("%s", closed[i]);
	for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++)
		if (!openrouter_provider_may_ignore(bytes_of(open[i]))) fail_msg("%s", open[i]);
}

static void provider_that_is_not_understood_stays_as_it_is(void **state)
{
	(void)state;
	static const char *const odd[] = { "[]", "\"azure\"", "null", "{", "{}{}", "{\"ignore\":\"azure\"}",
		"{\"ignore\":[],\"ignore\":[\"azure\"]}", "{\"a\":1,\"a\":2}", "{\"ignore\":{}}", " " };
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		if (openrouter_provider_may_ignore(bytes_of(odd[i]))) fail_msg("%s", odd[i]);
}

static void provider_key_in_escapes_is_the_same_key(void **state)
{
	(void)state;
	assert_false(openrouter_provider_may_ignore(BYTES_LITERAL("{\"on\\u006cy\":[\"azure\"]}")));
	assert_written("{\"ignor\\u0065\":[\"groq\"]}", "azure", "{\"ignor\\u0065\":[\"groq\",\"azure\"]}");
}

static void provider_names_are_short_and_plain(void **state)
{
	(void)state;
	static const char *const sane[] = { "OpenAI", "a", "Amazon Bedrock", "Z.AI", "AI21", "google-vertex/eu",
		"01.AI", "Azure (EU)", "C&A+" };
	static const char *const not_sane[] = { "", " Azure", "Azure ", "-", "a\"b", "a\\b", "a\nb", "a\x01",
		"Gr\xc3\xbc", "{\"a\":1}", "a,b", "a:b", "a\x7f", "a<b", "a'b", "a@b" };
	char text[80];
	memset(text, 'x', sizeof(text));
	for (size_t i = 0; i < sizeof(sane) / sizeof(sane[0]); i++)
		assert_true(openrouter_provider_name_is_sane(bytes_of(sane[i])));
	for (size_t i = 0; i < sizeof(not_sane) / sizeof(not_sane[0]); i++)
		assert_false(openrouter_provider_name_is_sane(bytes_of(not_sane[i])));
	assert_true(openrouter_provider_name_is_sane(bytes_at(text, OPENROUTER_PROVIDER_NAME_MAX)));
	assert_false(openrouter_provider_name_is_sane(bytes_at(text, OPENROUTER_PROVIDER_NAME_MAX + 1)));
	assert_false(openrouter_provider_name_is_sane(bytes_at("a\0b", 3)));
}

static struct bytes random_name(struct random *random, char text[static OPENROUTER_PROVIDER_NAME_MAX])
{
	static const char letters[] = "abXY09 ._-/()&+";
	size_t size = 1 + (size_t)random_below(random, OPENROUTER_PROVIDER_NAME_MAX);
	for (size_t i = 0; i < size; i++)
		text[i] = letters[random_below(random, sizeof(letters) - 1)];
	return bytes_at(text, size);
}

/* Whatever sane name it is: the object is an object, with the name in its list, and what was there before in front. */
static void provider_random_names_give_objects(void **state)
{
	(void)state;
	static const char *const objects[] = { "", "{}", "{\"ignore\":[\"groq\"]}", "{\"sort\":\"price\"}" };
	for (uint64_t seed = 1; seed <= 20000; seed++) {
		struct random random;
		random_init(&random, seed);
		char text[OPENROUTER_PROVIDER_NAME_MAX];
		struct bytes name = random_name(&random, text);
		if (!openrouter_provider_name_is_sane(name)) continue;
		struct buffer out;
		buffer_init(&out, OBJECT_MAX);
		openrouter_provider_write(bytes_of(objects[random_below(&random, 4)]), &name, 1, &out);
		struct wire_value value;
		struct wire_fault fault;
		bool is_object = wire_open(CHAT_CODING_JSON, buffer_bytes(&out), 8, &value, &fault) == STATUS_OK &&
				 value.kind == WIRE_MAP && fault.reason == REASON_NONE;
		if (!is_object || memmem(out.data, out.size, name.data, name.size) == NULL)
			fail_msg("seed %llu: %.*s", (unsigned long long)seed, (int)out.size, out.data);
		buffer_deinit(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(provider_without_an_object_gets_one),
		cmocka_unit_test(provider_object_keeps_its_bytes),
		cmocka_unit_test(provider_list_is_appended_to),
		cmocka_unit_test(provider_name_is_written_as_it_came_and_as_a_slug),
		cmocka_unit_test(provider_names_that_are_there_are_not_repeated),
		cmocka_unit_test(provider_preferences_that_a_list_would_contradict_allow_none),
		cmocka_unit_test(provider_that_is_not_understood_stays_as_it_is),
		cmocka_unit_test(provider_key_in_escapes_is_the_same_key),
		cmocka_unit_test(provider_names_are_short_and_plain),
		cmocka_unit_test(provider_random_names_give_objects),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
