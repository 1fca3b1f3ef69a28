/* Reads until the end. */
#include "replay/file.h"

enum status file_read_stream(FILE *stream, struct buffer *out)
{
	char piece[16384];
	size_t size;
	while ((size = fread(piece, 1, sizeof piece, stream)) > 0) {
		buffer_append(out, bytes_at(piece, size));
		if (buffer_status(out) != STATUS_OK) return buffer_status(out);
	}
	return ferror(stream) == 0 ? STATUS_OK : STATUS_IO;
}

enum status file_read(const char *path, struct buffer *out)
{
	FILE *stream = fopen(path, "rb");
	if (stream == NULL) return STATUS_NOT_FOUND;
	enum status status = file_read_stream(stream, out);
	fclose(stream);
	return status;
}
