#include "daemon/data/bell.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum err bell_init(struct bell *b)
{
	atomic_init(&b->is_rung, false);
	b->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return b->fd < 0 ? ERR_SYSTEM : OK;
}

void bell_fini(struct bell *b)
{
	if (b->fd >= 0)
		close(b->fd);
	b->fd = -1;
}

void bell_ring(struct bell *b)
{
	static const uint64_t one = 1;

	/* Only the first since the reader has looked: it takes all that is there. */
	if (atomic_exchange(&b->is_rung, true))
		return;
	while (write(b->fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void bell_hush(struct bell *b)
{
	uint64_t ignored;

	while (read(b->fd, &ignored, sizeof(ignored)) < 0 && errno == EINTR)
		;
	atomic_exchange(&b->is_rung, false);
}
