/* Texts of `enum status`, from its table. */
#include "common/status.h"

#include "common/assertion.h"

const char *status_text(enum status status)
{
#define STATUS_CASE(member, text) \
	case member:              \
		return text;
	switch (status) {
		STATUS_TABLE(STATUS_CASE)
	}
#undef STATUS_CASE
	ASSERT_UNREACHABLE();
}
