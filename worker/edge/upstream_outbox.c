/* What an upstream thread has to say: see the header. */
#include "worker/edge/upstream_outbox.h"

#include "common/assertion.h"

void upstream_outbox_flush(struct upstream_outbox *outbox)
{
	for (size_t i = 0; i < outbox->count; i++) {
		enum status status = mailbox_put(outbox->done, outbox->messages[i]);
		ASSERT(status == STATUS_OK);
	}
	outbox->count = 0;
}

void upstream_outbox_put(struct upstream_outbox *outbox, struct call_message *message)
{
	ASSERT(message != NULL);
	if (outbox->count == UPSTREAM_OUTBOX_MAX) upstream_outbox_flush(outbox);
	outbox->messages[outbox->count++] = message;
}
