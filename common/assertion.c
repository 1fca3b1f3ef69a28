/* Assertions: see the header. */
#include "common/assertion.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void assertion_failed(const char *fact, const char *file, int line)
{
	/* Not through stderr: another thread may hold its lock for ever. */
	char text[512];
	int size = snprintf(text, sizeof(text), "%s:%d: assertion failed: %s\n", file, line, fact);
	size_t shown = size < 0 ? 0 : (size_t)size < sizeof(text) ? (size_t)size : sizeof(text) - 1;
	ssize_t written = write(STDERR_FILENO, text, shown);
	(void)written;
	abort();
}
