/* Lines and colours. */
#include "replay/demo_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_SHOWN = 72 };

static const char GREEN[] = "\033[32m", RED[] = "\033[31m", GREY[] = "\033[90m", PLAIN[] = "\033[0m";

bool demo_table_wants_colour(void)
{
	const char *no_colour = getenv("NO_COLOR");
	return (no_colour == NULL || no_colour[0] == 0) && isatty(STDOUT_FILENO) == 1;
}

static void print_mark(const char *mark, const char *colour, bool has_colour)
{
	printf("%s%-7s%s", has_colour ? colour : "", mark, has_colour ? PLAIN : "");
}

static void print_verdict(bool is_held, bool has_colour)
{
	print_mark(is_held ? "ok" : "BROKEN", is_held ? GREEN : RED, has_colour);
}

void demo_table_sent(const struct demo_case *row, bool has_colour)
{
	print_mark("sent", GREY, has_colour);
	printf("%-14s %s\n", row->title, row->text);
	fflush(stdout);
}

/* One line of at most TEXT_SHOWN bytes, cut between characters. */
static void print_shortened(struct bytes text)
{
	size_t size = text.size;
	if (size > TEXT_SHOWN) {
		size = TEXT_SHOWN;
		while (size > 0 && ((unsigned char)text.data[size] & 0xC0) == 0x80)
			size--;
	}
	printf("       %-14s ", "");
	for (size_t i = 0; i < size; i++)
		putchar((unsigned char)text.data[i] < ' ' ? ' ' : text.data[i]);
	printf("%s\n", size < text.size ? "..." : "");
}

static void print_broken(struct bytes broken)
{
	while (broken.size > 0) {
		const char *end = memchr(broken.data, '\n', broken.size);
		size_t size = end != NULL ? (size_t)(end - broken.data) : broken.size;
		printf("       %-14s - %.*s\n", "", (int)size, broken.data);
		size_t taken = end != NULL ? size + 1 : size;
		broken = bytes_at(broken.data + taken, broken.size - taken);
	}
}

static struct bytes shown(struct bytes text)
{
	return text.size > 0 ? text : BYTES_LITERAL("-");
}

void demo_table_reply(const struct demo_case *row, const struct chat_client_response *response, int64_t ms,
	struct bytes broken, bool has_colour)
{
	struct bytes outcome = shown(response->outcome), reason = shown(response->reason),
		     model = shown(response->model);
	print_verdict(broken.size == 0, has_colour);
	printf("%-14s %-9.*s %-8.*s attempts %" PRId64 "  %-16.*s %6" PRId64 " ms\n", row->title, (int)outcome.size,
		outcome.data, (int)reason.size, reason.data, response->attempts, (int)model.size, model.data, ms);
	if (bytes_is_given(response->tool_calls_json))
		print_shortened(response->tool_calls_json);
	else
		print_shortened(shown(response->content));
	print_broken(broken);
	fflush(stdout);
}

void demo_table_promise(const char *title, const char *what, bool is_held, bool has_colour)
{
	print_verdict(is_held, has_colour);
	printf("%-14s %s\n", title, what);
	fflush(stdout);
}
