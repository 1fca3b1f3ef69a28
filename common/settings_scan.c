#include "common/settings_scan.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct scan {
	struct bytes rest;
	unsigned line;
	struct buffer *out; /* borrowed */
	const char *problem;
};

static char at(const struct scan *scan, size_t place)
{
	return place < scan->rest.size ? scan->rest.data[place] : '\0';
}

/* Copies `size` bytes and goes on behind them. */
static void take(struct scan *scan, size_t size)
{
	if (size > scan->rest.size) size = scan->rest.size;
	for (size_t i = 0; i < size; i++)
		scan->line += scan->rest.data[i] == '\n';
	buffer_append(scan->out, bytes_at(scan->rest.data, size));
	scan->rest = bytes_at(scan->rest.data + size, scan->rest.size - size);
}

static void take_string(struct scan *scan)
{
	size_t size = 1;
	while (size < scan->rest.size && at(scan, size) != '"')
		size += at(scan, size) == '\\' ? 2 : 1;
	if (size >= scan->rest.size)
		scan->problem = "a string begins here that does not end";
	else
		take(scan, size + 1);
}

static void take_line(struct scan *scan)
{
	size_t size = 0;
	while (size < scan->rest.size && at(scan, size) != '\n')
		size++;
	take(scan, size);
}

static void take_comment(struct scan *scan)
{
	size_t size = 2;
	while (size < scan->rest.size && !(at(scan, size) == '*' && at(scan, size + 1) == '/'))
		size++;
	if (size >= scan->rest.size)
		scan->problem = "a comment begins here that does not end";
	else
		take(scan, size + 2);
}

static void take_word(struct scan *scan)
{
	size_t size = 0;
	while (isalnum((unsigned char)at(scan, size)) != 0 ||
		(at(scan, size) != '\0' && strchr("_-*", at(scan, size)) != NULL))
		size++;
	take(scan, size == 0 ? 1 : size);
}

/* What is left of a number behind its whole part: `.5e+10`, `LL`. */
static void take_tail(struct scan *scan)
{
	size_t size = 0;
	while (isalnum((unsigned char)at(scan, size)) != 0 || at(scan, size) == '.' ||
		((at(scan, size) == '-' || at(scan, size) == '+') && size > 0 && (at(scan, size - 1) | 0x20) == 'e'))
		size++;
	take(scan, size);
}

/* A sign, and digits or letters of a number; a fraction or exponent is not a whole number and is only copied. */
static void take_number(struct scan *scan)
{
	char copy[32];
	size_t size = strchr("+-", at(scan, 0)) != NULL ? 1 : 0;
	bool is_hex = at(scan, size) == '0' && (at(scan, size + 1) | 0x20) == 'x';
	size += is_hex ? 2 : 0;
	while (is_hex ? isxdigit((unsigned char)at(scan, size)) != 0 : isdigit((unsigned char)at(scan, size)) != 0)
		size++;
	bool is_whole = at(scan, size) == '\0' || strchr(".eE", at(scan, size)) == NULL;
	bool has_suffix = at(scan, size) == 'L';
	size_t copied = size < sizeof copy ? size : sizeof copy - 1;
	memcpy(copy, scan->rest.data, copied);
	copy[copied] = '\0';
	errno = 0;
	long long number = strtoll(copy, NULL, is_hex ? 16 : 10);
	if (is_whole && (errno != 0 || copied < size)) scan->problem = "a number is too large";
	take(scan, size);
	bool is_large = number > INT32_MAX || number < INT32_MIN;
	if (is_whole && !has_suffix && is_large) buffer_append_char(scan->out, 'L');
	take_tail(scan);
}

static void take_one(struct scan *scan)
{
	char first = at(scan, 0), second = at(scan, 1);
	bool is_signed = (first == '-' || first == '+') && isdigit((unsigned char)second) != 0;
	if (first == '\0')
		scan->problem = "there is a NUL byte: this is not a settings file";
	else if (first == '@')
		scan->problem = "@include is not offered";
	else if (first == '"')
		take_string(scan);
	else if (first == '#' || (first == '/' && second == '/'))
		take_line(scan);
	else if (first == '/' && second == '*')
		take_comment(scan);
	else if (is_signed || isdigit((unsigned char)first) != 0)
		take_number(scan);
	else
		take_word(scan);
}

enum status settings_scan(struct bytes text, struct buffer *out_text, unsigned *out_line, const char **out_problem)
{
	struct scan scan = { .rest = text, .line = 1, .out = out_text };
	if (bytes_has_nul(text)) scan.problem = "there is a NUL byte: this is not a settings file";
	while (scan.problem == NULL && scan.rest.size > 0)
		take_one(&scan);
	if (scan.problem == NULL) return STATUS_OK;
	*out_line = scan.line;
	*out_problem = scan.problem;
	return STATUS_INVALID;
}
