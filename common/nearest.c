#include "common/nearest.h"

#include <string.h>

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t nearest_distance(struct bytes a, struct bytes b)
{
	if (a.size > NEAREST_WORD_MAX || b.size > NEAREST_WORD_MAX) return SIZE_MAX;
	size_t before[NEAREST_WORD_MAX + 1], last[NEAREST_WORD_MAX + 1], row[NEAREST_WORD_MAX + 1];
	for (size_t j = 0; j <= b.size; j++)
		last[j] = before[j] = j;
	for (size_t i = 1; i <= a.size; i++) {
		row[0] = i;
		for (size_t j = 1; j <= b.size; j++) {
			bool is_same = a.data[i - 1] == b.data[j - 1];
			row[j] = least(least(last[j] + 1, row[j - 1] + 1), last[j - 1] + (is_same ? 0 : 1));
			bool is_swap =
				i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] && a.data[i - 2] == b.data[j - 1];
			if (is_swap) row[j] = least(row[j], before[j - 2] + 1);
		}
		memcpy(before, last, sizeof before);
		memcpy(last, row, sizeof last);
	}
	return last[b.size];
}

bool nearest_is_slip(size_t distance, size_t word_size)
{
	return distance <= 2 + word_size / 8 && distance * 2 < word_size;
}
