/* Large buffers that a quiet worker does not need. Private to the room. */
#ifndef ICETUN_DATA_PAGES_H
#define ICETUN_DATA_PAGES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#define PAGE_BYTES ((uintptr_t)4096)

/* Whole pages within @len bytes at @bytes go back to the system and are zero when they are next
 * touched; where pages are larger, nothing happens. */
static inline void pages_give_back(void *bytes, size_t len)
{
	uintptr_t start = ((uintptr_t)bytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
	uintptr_t end = ((uintptr_t)bytes + len) & ~(PAGE_BYTES - 1);

	if (start < end)
		(void)madvise((uint8_t *)bytes + (start - (uintptr_t)bytes), end - start,
			      MADV_DONTNEED);
}

#endif
