/*
 * What the process does not need while nothing happens goes back to the system.
 *
 * Two things make an idle daemon look large. Start-up and handshakes leave holes in the heap. And
 * they run through megabytes of library code once (self-tests of the ciphers, loading of
 * libcrypto's algorithms), which then stays mapped though nobody runs it: unmapped pages of code
 * cost a minor fault each time they are wanted again, for they are still in the page cache.
 *
 * Queues and buffers are made in full at the start, and most of them are never filled. They are
 * mappings of their own, so that only what is written takes memory.
 */
#ifndef ICETUN_APP_MEMORY_H
#define ICETUN_APP_MEMORY_H

/* First of all. */
void memory_start(void);
/* By the control thread, when nothing has happened for a while. */
void memory_give_back(void);

#endif
