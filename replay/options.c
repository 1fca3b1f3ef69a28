/* The option parser: finds the row, converts the value, writes the member. */
#include "replay/options.h"

#include <stdio.h>
#include <string.h>

#include "common/assertion.h"
#include "common/bytes.h"
#include "common/nearest.h"
#include "replay/duration.h"

static void print_row(const struct option_row *row)
{
	char left[48];
	const char *space = row->argument != NULL ? " " : "";
	const char *argument = row->argument != NULL ? row->argument : "";
	if (row->letter != 0)
		snprintf(left, sizeof left, "-%c, --%s%s%s", row->letter, row->name, space, argument);
	else
		snprintf(left, sizeof left, "    --%s%s%s", row->name, space, argument);
	printf("  %-30s %s\n", left, row->help);
}

static void print_help(const struct option_table *table)
{
	printf("Usage: chat-replay %s [OPTION]...%s%s\n\n%s\n\n", table->command, table->operands[0] != 0 ? " " : "",
		table->operands, table->purpose);
	for (size_t i = 0; i < table->count; i++)
		print_row(&table->rows[i]);
	printf("  %-30s %s\n", "-h, --help", "print this");
	if (table->epilogue != NULL) printf("\n%s\n", table->epilogue);
}

static enum status complain(const struct option_table *table, const char *option, const char *problem)
{
	fprintf(stderr, "chat-replay %s: %s: %s\nTry: chat-replay %s --help\n", table->command, option, problem,
		table->command);
	return STATUS_INVALID;
}

/* The row of `--name`, `--name=value` or `-x`; NULL when there is none. */
static const struct option_row *find_row(const struct option_table *table, const char *word)
{
	const char *equals = strchr(word, '=');
	size_t size = equals != NULL ? (size_t)(equals - word) : strlen(word);
	for (size_t i = 0; i < table->count; i++) {
		const struct option_row *row = &table->rows[i];
		if (row->letter != 0 && word[1] == row->letter && word[2] == 0) return row;
		if (size == strlen(row->name) + 2 && memcmp(word, "--", 2) == 0 &&
			memcmp(word + 2, row->name, size - 2) == 0)
			return row;
	}
	return NULL;
}

static enum status set_list(struct option_list *list, const char *value)
{
	if (list->count == OPTION_LIST_MAX) return STATUS_FULL;
	list->items[list->count++] = value;
	return STATUS_OK;
}

static enum status set_number(const char *value, int64_t *out_number)
{
	int64_t number = 0;
	enum status status = bytes_to_int64(bytes_of(value), &number);
	if (status != STATUS_OK) return status;
	if (number < 0) return STATUS_INVALID;
	*out_number = number;
	return STATUS_OK;
}

/* `value` is NULL for flags only. */
static enum status set_member(const struct option_row *row, const char *value, void *target)
{
	void *member = (char *)target + row->offset;
	switch (row->kind) {
	case OPTION_FLAG:
		*(bool *)member = true;
		return STATUS_OK;
	case OPTION_TEXT:
		*(const char **)member = value;
		return STATUS_OK;
	case OPTION_NUMBER:
		return set_number(value, member);
	case OPTION_MS:
		return duration_parse(bytes_of(value), 1, member);
	case OPTION_SECONDS:
		return duration_parse(bytes_of(value), 1000, member);
	case OPTION_LIST:
		return set_list(member, value);
	}
	ASSERT_UNREACHABLE();
}

static const char *problem_of(const struct option_row *row, enum status status)
{
	if (status == STATUS_FULL) return "given too often";
	if (row->kind == OPTION_NUMBER) return "wants a whole number, 0 or more";
	return "wants a duration such as 250ms, 10s or 5m";
}

/* Names the nearest option when the word looks like a slip of the pen. */
static enum status complain_unknown(const struct option_table *table, const char *word)
{
	char problem[128] = "no such option";
	struct bytes name = bytes_at(word, strcspn(word, "="));
	size_t best = SIZE_MAX;
	for (size_t i = 0; i < table->count; i++) {
		char known[64];
		snprintf(known, sizeof known, "--%s", table->rows[i].name);
		size_t distance = nearest_distance(name, bytes_of(known));
		if (distance >= best || !nearest_is_slip(distance, name.size)) continue;
		best = distance;
		snprintf(problem, sizeof problem, "no such option; did you mean %s?", known);
	}
	return complain(table, word, problem);
}

/* Handles the option at argv[*index] and moves the index past its value. */
static enum status take_option(const struct option_table *table, int argc, char **argv, int *index, void *target)
{
	const char *word = argv[*index];
	const struct option_row *row = find_row(table, word);
	if (row == NULL) return complain_unknown(table, word);
	const char *equals = word[1] == '-' ? strchr(word, '=') : NULL;
	const char *value = equals != NULL ? equals + 1 : NULL;
	if (row->kind == OPTION_FLAG && value != NULL) return complain(table, word, "takes no value");
	if (row->kind != OPTION_FLAG && value == NULL) {
		if (*index + 1 == argc) return complain(table, word, "wants a value");
		value = argv[++*index];
	}
	enum status status = set_member(row, value, target);
	return status == STATUS_OK ? STATUS_OK : complain(table, word, problem_of(row, status));
}

enum status options_parse(const struct option_table *table, int argc, char **argv, void *target, size_t *out_operands)
{
	bool only_operands = false;
	size_t operands = 0;
	for (int i = 1; i < argc; i++) {
		const char *word = argv[i];
		if (only_operands || word[0] != '-' || word[1] == 0) {
			if (operands == table->operands_max) return complain(table, word, "one argument too many");
			argv[1 + operands++] = argv[i];
		} else if (strcmp(word, "--") == 0) {
			only_operands = true;
		} else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
			print_help(table);
			return STATUS_CLOSED;
		} else if (take_option(table, argc, argv, &i, target) != STATUS_OK) {
			return STATUS_INVALID;
		}
	}
	*out_operands = operands;
	return STATUS_OK;
}
