/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the pure C files (catalog.c, frames.c, dma_table.c) need from the kernel or
 * from libc. The same files are compiled into the module, cpr-helper and the unit
 * tests.
 */
#ifndef CPR_PORT_H
#define CPR_PORT_H

#ifdef __KERNEL__

#include <linux/align.h>
#include <linux/bitmap.h>
#include <linux/crc32c.h>
#include <linux/errno.h>
#include <linux/libnvdimm.h>
#include <linux/limits.h>
#include <linux/minmax.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/sprintf.h>
#include <linux/stat.h>
#include <linux/string.h>
#include <linux/time64.h>
#include <linux/types.h>
#include <linux/uaccess.h>
#include <asm/byteorder.h>
#include <asm/cacheflush.h>

static inline u32 cpr_port_crc32c(const void *data, size_t len)
{
	return ~crc32c(~0, data, len);
}

static inline void *cpr_port_zalloc(size_t len)
{
	return kvzalloc(len, GFP_KERNEL);
}

static inline void cpr_port_free(void *p)
{
	kvfree(p);
}

/* Every store into the image goes through cpr_port_write() or cpr_port_write_word(). */
static inline void cpr_port_write(void *dst, const void *src, size_t len)
{
	memcpy(dst, src, len);
}

/* Eight bytes by one store: a crash leaves all of them or none. @dst is aligned. */
static inline void cpr_port_write_word(void *dst, const void *src)
{
	u64 word;

	memcpy(&word, src, sizeof(word));
	WRITE_ONCE(*(u64 *)dst, word);
}

/*
 * Order all stores into @dst before every later store, in memory as well: a kexec
 * does not write the caches back.
 */
static inline void cpr_port_persist(void *dst, size_t len)
{
	arch_wb_cache_pmem(dst, len);
	/* The write-back is complete before any later store. */
	wmb();
}

/* Can memory be read? Reading memory that has failed would be fatal otherwise. */
static inline bool cpr_port_readable(const void *p, size_t len)
{
	u8 chunk[256];

	for (size_t at = 0; at < len; at += sizeof(chunk))
		if (copy_mc_to_kernel(chunk, p + at, min(sizeof(chunk), len - at)))
			return false;
	return true;
}

#else /* !__KERNEL__ */

#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int64_t s64;

#define le16_to_cpu(x)	le16toh(x)
#define le32_to_cpu(x)	le32toh(x)
#define le64_to_cpu(x)	le64toh(x)
#define cpu_to_le16(x)	htole16(x)
#define cpu_to_le32(x)	htole32(x)
#define cpu_to_le64(x)	htole64(x)

#ifndef ALIGN
#define ALIGN(x, a)	(((x) + (a) - 1) & ~((__typeof__(x))(a) - 1))
#endif
#define IS_ALIGNED(x, a) (((x) & ((__typeof__(x))(a) - 1)) == 0)
#ifndef min
#define min(a, b)	((a) < (b) ? (a) : (b))
#endif
#ifndef max
#define max(a, b)	((a) > (b) ? (a) : (b))
#endif
#define BITS_TO_LONGS(n) (((n) + 8 * sizeof(long) - 1) / (8 * sizeof(long)))
#define NSEC_PER_SEC	1000000000L
#define U32_MAX		UINT32_MAX
#define U64_MAX		UINT64_MAX
#define SZ_1G		(1u << 30)
#define __printf(a, b)	__attribute__((format(printf, a, b)))

static inline bool test_bit(unsigned long nr, const unsigned long *map)
{
	return map[nr / (8 * sizeof(long))] >> (nr % (8 * sizeof(long))) & 1;
}

static inline void __set_bit(unsigned long nr, unsigned long *map)
{
	map[nr / (8 * sizeof(long))] |= 1ul << (nr % (8 * sizeof(long)));
}

static inline bool __test_and_set_bit(unsigned long nr, unsigned long *map)
{
	bool old = test_bit(nr, map);

	__set_bit(nr, map);
	return old;
}

static inline void sort(void *base, size_t num, size_t size,
			int (*cmp)(const void *, const void *), void *swap)
{
	(void)swap;
	qsort(base, num, size, cmp);
}

static inline u32 cpr_port_crc32c(const void *data, size_t len)
{
	/* Four steps of the polynomial 0x82f63b78 at once. */
	static const u32 steps[16] = {
		0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
		0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
		0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
		0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
	};
	const u8 *p = data;
	u32 crc = ~0u;

	while (len--) {
		crc ^= *p++;
		crc = crc >> 4 ^ steps[crc & 15];
		crc = crc >> 4 ^ steps[crc & 15];
	}
	return ~crc;
}

static inline void *cpr_port_zalloc(size_t len)
{
	return calloc(1, len);
}

static inline void cpr_port_free(void *p)
{
	free(p);
}

/* A unit test with memory that has failed declares and defines this itself. */
#ifndef CPR_PORT_OWN_READ
static inline bool cpr_port_readable(const void *p, size_t len)
{
	(void)p;
	(void)len;
	return true;
}
#endif

/* A unit test that interrupts a commit declares and defines these three itself. */
#ifndef CPR_PORT_OWN_WRITE
static inline void cpr_port_write(void *dst, const void *src, size_t len)
{
	memcpy(dst, src, len);
}

static inline void cpr_port_write_word(void *dst, const void *src)
{
	u64 word;

	memcpy(&word, src, sizeof(word));
	*(volatile u64 *)dst = word;
}

static inline void cpr_port_persist(void *dst, size_t len)
{
	(void)dst;
	(void)len;
	__sync_synchronize();
}
#endif

#endif /* __KERNEL__ */
#endif /* CPR_PORT_H */
