/* SPDX-License-Identifier: GPL-2.0-only */
/**
 * DOC: Pseudo-random numbers and bytes
 *
 * A seed determines all that a tester does, so that a failure can be repeated. The bytes of
 * a file are a slice of one large buffer, the noise. The number of the slice determines them.
 */
#ifndef RANDOM_H
#define RANDOM_H

#include <stdint.h>
#include <stdlib.h>

/* splitmix64 */
static inline uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static inline uint64_t random_below(uint64_t *state, uint64_t limit)
{
	return random_next(state) % limit;
}

#define NOISE_SLICES	65536

static inline const unsigned char *noise_make(size_t longest)
{
	size_t words = (longest + NOISE_SLICES) / sizeof(uint64_t) + 1;
	uint64_t *noise = malloc(words * sizeof(*noise)), state = 0;

	if (!noise)
		abort();
	for (size_t i = 0; i < words; i++)
		noise[i] = random_next(&state);
	return (const unsigned char *)noise;
}

static inline const unsigned char *noise_slice(const unsigned char *noise, uint32_t slice)
{
	return noise + slice % NOISE_SLICES;
}

#endif /* RANDOM_H */
