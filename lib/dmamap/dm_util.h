/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Small helpers for C: minimum, alignment, pointer arithmetic, attributes.
 *
 * Nothing here depends on DPDK or on any other header of the library, so that the sources are the
 * same with and without the EAL. Used by every part of the library and by the mock kernel.
 */

#ifndef DM_UTIL_H
#define DM_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/** Paste two names, after macro expansion. */
#define DM_NAME_PASTED(a, b) a##b
#define DM_NAME(a, b) DM_NAME_PASTED(a, b)
/** Body of DM_MIN() and DM_MAX(). Unique variable names, so that calls may be nested. */
#define DM_CHOOSE(op, a, b, val_a, val_b)                                                          \
	__extension__({                                                                            \
		const __typeof__(a) val_a = (a);                                                   \
		const __typeof__(b) val_b = (b);                                                   \
		val_b op val_a ? val_b : val_a;                                                    \
	})
/** The smaller of two values; each is evaluated once. Not for constant expressions. */
#define DM_MIN(a, b)                                                                               \
	DM_CHOOSE(<, a, b, DM_NAME(dm_val_, __COUNTER__), DM_NAME(dm_val_, __COUNTER__))
/** The larger of two values; each is evaluated once. Not for constant expressions. */
#define DM_MAX(a, b)                                                                               \
	DM_CHOOSE(>, a, b, DM_NAME(dm_val_, __COUNTER__), DM_NAME(dm_val_, __COUNTER__))
/** Exchange two variables of one type. */
#define DM_SWAP(a, b)                                                                              \
	do {                                                                                       \
		const __typeof__(a) dm_swap_a = (a);                                               \
		(a) = (b);                                                                         \
		(b) = dm_swap_a;                                                                   \
	} while (0)

/** Number of elements of an array. */
#define DM_DIM(array) (sizeof(array) / sizeof((array)[0]))
/** A 64-bit word in which bit n is set; n is below 64. */
#define DM_BIT64(n) (UINT64_C(1) << (n))

/** The next lower multiple of a power of two, in the type of val. */
#define DM_ALIGN_FLOOR(val, align) ((__typeof__(val))((val) & ~((__typeof__(val))(align)-1)))
/** The next higher multiple of a power of two, in the type of val; may wrap around to 0. */
#define DM_ALIGN_CEIL(val, align) DM_ALIGN_FLOOR((val) + ((__typeof__(val))(align)-1), align)

/** A pointer moved up by a number of bytes. */
#define DM_PTR_ADD(ptr, bytes) ((void *)((uintptr_t)(ptr) + (bytes)))
/** A pointer moved down by a number of bytes. */
#define DM_PTR_SUB(ptr, bytes) ((void *)((uintptr_t)(ptr) - (bytes)))
/** Bytes from b up to a. */
#define DM_PTR_DIFF(a, b) ((uintptr_t)(a) - (uintptr_t)(b))
/** A pointer rounded up to a multiple of a power of two. */
#define DM_PTR_ALIGN_CEIL(ptr, align) ((void *)DM_ALIGN_CEIL((uintptr_t)(ptr), align))

/** The structure that contains the member at ptr. */
#define DM_CONTAINER_OF(ptr, type, member) ((type *)DM_PTR_SUB(ptr, offsetof(type, member)))

/** Hints for the compiler's layout of a branch. */
#define DM_LIKELY(cond) __builtin_expect(!!(cond), 1)
/** @see DM_LIKELY() */
#define DM_UNLIKELY(cond) __builtin_expect(!!(cond), 0)

/**
 * Bytes from one variable to another that never share a cache line. Some 64-bit Arm and POWER
 * processors have lines of 128 bytes.
 */
#if defined(__aarch64__) || defined(__powerpc64__)
#define DM_CACHE_LINE 128
#else
#define DM_CACHE_LINE 64
#endif
/** Start a cache line. */
#define DM_CACHE_ALIGNED __attribute__((aligned(DM_CACHE_LINE)))
/** An unused parameter. */
#define DM_UNUSED __attribute__((unused))
/** Inlined in unoptimized builds as well. */
#define DM_ALWAYS_INLINE inline __attribute__((always_inline))
/** The function takes a printf(3) format as parameter `fmt`, and values from `args` on, from 1. */
#define DM_PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/** Whether exactly one bit is set. */
static inline bool
dm_is_power_of_2(uint64_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

/** The smallest power of two that is not below n; n is from 1 to 2^63. */
static inline uint64_t
dm_align_power_of_2(uint64_t n)
{
	return n <= 1 ? 1 : UINT64_C(1) << (64 - __builtin_clzll(n - 1));
}

/**
 * Copy a string into a buffer of `size` bytes, truncated if it does not fit. The result is
 * terminated unless size is 0.
 * @return the length of src; it was truncated if that is not below size.
 */
static inline size_t
dm_strlcpy(char *dst, const char *src, size_t size)
{
	const size_t len = strlen(src), copied = len < size ? len : size - 1;

	if (size > 0) {
		memcpy(dst, src, copied);
		dst[copied] = '\0';
	}
	return len;
}

#endif /* DM_UTIL_H */
