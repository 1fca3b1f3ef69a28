/* The parts of an absolute http or https URL, checked strictly.
 *
 * Stricter than the standard on purpose: what is refused here cannot confuse another parser later about which host the
 * key is sent to. Pure. */
#ifndef COMMON_URL_H
#define COMMON_URL_H

#include "common/bytes.h"

struct url {
	bool is_https;
	struct bytes host; /* without brackets; never empty */
	bool is_loopback;  /* localhost, 127.0.0.0/8 or ::1 */
	unsigned port;     /* the scheme's own when none is given */
	struct bytes path; /* from the first slash on; may be empty */
};

/* On STATUS_INVALID `*out_problem` is a static phrase ("must begin with https://") that quotes nothing. User names and
 * passwords, queries, fragments, blanks and control characters are not taken. Views point into `text`. */
NODISCARD enum status url_parse(struct bytes text, struct url *out_url, const char **out_problem);

#endif
