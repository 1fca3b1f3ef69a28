/* Providers that a repeat of the same model leaves out: see flow_internal.h and openrouter_provider.h. */
#include "common/assertion.h"
#include "worker/core/flow_internal.h"
#include "worker/core/openrouter_body.h"
#include "worker/core/openrouter_provider.h"

static bool is_ignored(const struct job *job, struct bytes provider)
{
	ASSERT(job->ignored_count <= JOB_IGNORED_MAX);
	for (size_t i = 0; i < job->ignored_count; i++)
		if (bytes_equal(job->ignored[i], provider)) return true;
	return false;
}

static bool may_ignore(struct flow *flow, const struct job *job, struct instant now)
{
	if (job->ignored_count == JOB_IGNORED_MAX) return false;
	ASSERT(job->ignored_count < JOB_IGNORED_MAX);
	if (flow->guard.models[flow_guard_number(flow, job)].alone_until_ms > now.mono_ms) return false;
	return openrouter_provider_may_ignore(openrouter_body_provider(&job->request, flow->options.provider));
}

void flow_ignore_failed(struct flow *flow, struct job *job, const struct call *call, struct instant now)
{
	ASSERT(job->state == JOB_CALLING);
	struct bytes provider = call->result.failed_provider;
	ASSERT(call->result.failure.reason != REASON_NONE);
	if (!bytes_is_given(provider) || failure_blame(&call->result.failure) != FAILURE_BLAME_MODEL) return;
	if (is_ignored(job, provider) || !may_ignore(flow, job, now)) return;
	ASSERT(openrouter_provider_name_is_sane(provider));
	/* Without memory the repeat is made as it was. */
	if (arena_copy(job->arena, provider, &job->ignored[job->ignored_count]) == STATUS_OK) job->ignored_count++;
}

void flow_ignore_take_back(struct flow *flow, struct job *job, const struct failure *before, struct instant now)
{
	ASSERT(job->ignored_count > 0);
	ASSERT(job->failure.reason == REASON_NO_PROVIDER);
	ASSERT(before->reason != REASON_NONE);
	flow->guard.models[flow_guard_number(flow, job)].alone_until_ms = now.mono_ms + FLOW_ALONE_MS;
	job->ignored_count = 0;
	job->failure = *before;
	job->failure.action = FAILURE_ACTION_NEXT;
	/* That time has passed. */
	job->failure.retry_after_ms = -1;
}
