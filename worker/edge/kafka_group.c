/* Group identities, checked: see the header. */
#include "worker/edge/kafka_group.h"

#include <stdlib.h>
#include <string.h>

#include "common/assertion.h"

#if RD_KAFKA_VERSION >= 0x020800ff

static bool is_usable(const rd_kafka_consumer_group_metadata_t *group)
{
	const char *member = rd_kafka_consumer_group_metadata_member_id(group);
	return rd_kafka_consumer_group_metadata_generation_id(group) >= 0 && member != NULL && *member != '\0';
}

#else

/* Before 2.8.0 there is nothing to ask, only the serialised form:
 * "CGMDv2:", generation (int32, this machine's order), group id, NUL, member id, NUL, … */
#define MAGIC "CGMDv2:"
enum { MAGIC_SIZE = sizeof(MAGIC) - 1, GENERATION_SIZE = sizeof(int32_t) };

static bool text_is_usable(struct bytes text)
{
	if (text.size <= MAGIC_SIZE + GENERATION_SIZE) return false;
	if (memcmp(text.data, MAGIC, MAGIC_SIZE) != 0) return false;
	int32_t generation;
	memcpy(&generation, text.data + MAGIC_SIZE, sizeof(generation));
	const char *group = text.data + MAGIC_SIZE + GENERATION_SIZE;
	const char *end = text.data + text.size;
	const char *group_end = memchr(group, '\0', (size_t)(end - group));
	if (group_end == NULL || group_end + 1 >= end) return false;
	return generation >= 0 && group_end[1] != '\0';
}

static bool is_usable(const rd_kafka_consumer_group_metadata_t *group)
{
	void *data = NULL;
	size_t size = 0;
	rd_kafka_error_t *error = rd_kafka_consumer_group_metadata_write(group, &data, &size);
	if (error != NULL) {
		rd_kafka_error_destroy(error);
		return false;
	}
	bool usable = text_is_usable(bytes_at(data, size));
	rd_kafka_mem_free(NULL, data);
	return usable;
}

#endif

static struct bytes copy_of(const rd_kafka_consumer_group_metadata_t *group)
{
	void *data = NULL;
	size_t size = 0;
	rd_kafka_error_t *error = rd_kafka_consumer_group_metadata_write(group, &data, &size);
	if (error != NULL) {
		rd_kafka_error_destroy(error);
		return BYTES_NONE;
	}
	char *copy = malloc(size);
	if (copy != NULL) memcpy(copy, data, size);
	rd_kafka_mem_free(NULL, data);
	return copy == NULL ? BYTES_NONE : bytes_at(copy, size);
}

struct bytes kafka_group_capture(rd_kafka_t *rk)
{
	ASSERT(rk != NULL);
	rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(rk);
	if (group == NULL) return BYTES_NONE;
	struct bytes copy = is_usable(group) ? copy_of(group) : BYTES_NONE;
	rd_kafka_consumer_group_metadata_destroy(group);
	return copy;
}

rd_kafka_consumer_group_metadata_t *kafka_group_open(struct bytes identity)
{
	if (!bytes_is_given(identity)) return NULL;
	rd_kafka_consumer_group_metadata_t *group = NULL;
	rd_kafka_error_t *error = rd_kafka_consumer_group_metadata_read(&group, identity.data, identity.size);
	if (error != NULL) {
		rd_kafka_error_destroy(error);
		return NULL;
	}
	if (is_usable(group)) return group;
	rd_kafka_consumer_group_metadata_destroy(group);
	return NULL;
}
