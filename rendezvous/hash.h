/* uthash for this room: running out of memory is an error of the one call, not the end. */
#ifndef ICETUN_RENDEZVOUS_HASH_H
#define ICETUN_RENDEZVOUS_HASH_H

#define HASH_NONFATAL_OOM 1

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
#include <uthash.h>
#include <utlist.h>
#pragma GCC diagnostic pop

#endif
