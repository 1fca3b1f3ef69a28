/* Which libcurl is linked, and with what: for `chat-worker version`. The version at run time, which may be newer than the
 * one the program was built with. Any thread; nothing blocks. */
#ifndef WORKER_EDGE_UPSTREAM_VERSION_H
#define WORKER_EDGE_UPSTREAM_VERSION_H

#include <stddef.h>

/* "7.88.1 OpenSSL/3.0.15": version and TLS library, written NUL-terminated. */
void upstream_version(char *out_text, size_t size);

#endif
