/* SipHash-2-4 and CRC-32C: see the header. */
#include "common/hash.h"

#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "hash_keyed() reads words in little-endian order"
#endif

struct sip {
	uint64_t v0, v1, v2, v3;
};

static uint64_t rotate(uint64_t value, int by)
{
	return (value << by) | (value >> (64 - by));
}

static void sip_round(struct sip *sip)
{
	sip->v0 += sip->v1;
	sip->v1 = rotate(sip->v1, 13) ^ sip->v0;
	sip->v0 = rotate(sip->v0, 32);
	sip->v2 += sip->v3;
	sip->v3 = rotate(sip->v3, 16) ^ sip->v2;
	sip->v0 += sip->v3;
	sip->v3 = rotate(sip->v3, 21) ^ sip->v0;
	sip->v2 += sip->v1;
	sip->v1 = rotate(sip->v1, 17) ^ sip->v2;
	sip->v2 = rotate(sip->v2, 32);
}

static void sip_word(struct sip *sip, uint64_t word)
{
	sip->v3 ^= word;
	sip_round(sip);
	sip_round(sip);
	sip->v0 ^= word;
}

uint64_t hash_keyed(struct hash_key key, struct bytes view)
{
	struct sip sip = {
		.v0 = key.k0 ^ 0x736f6d6570736575ULL,
		.v1 = key.k1 ^ 0x646f72616e646f6dULL,
		.v2 = key.k0 ^ 0x6c7967656e657261ULL,
		.v3 = key.k1 ^ 0x7465646279746573ULL,
	};
	size_t words = view.size / 8;
	uint64_t word;
	for (size_t i = 0; i < words; i++) {
		memcpy(&word, view.data + i * 8, 8);
		sip_word(&sip, word);
	}
	word = 0;
	if (view.size % 8 > 0) memcpy(&word, view.data + words * 8, view.size % 8);
	sip_word(&sip, word | ((uint64_t)view.size << 56));

	sip.v2 ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(&sip);
	return sip.v0 ^ sip.v1 ^ sip.v2 ^ sip.v3;
}

uint32_t hash_crc32c(struct bytes view)
{
	uint32_t sum = 0xffffffffU;
	for (size_t i = 0; i < view.size; i++) {
		sum ^= (unsigned char)view.data[i];
		for (int bit = 0; bit < 8; bit++)
			sum = (sum >> 1) ^ (0x82f63b78U & (0U - (sum & 1U)));
	}
	return ~sum;
}
