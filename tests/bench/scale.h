/* What the two halves of bench_scale share. */
#ifndef ICETUN_BENCH_SCALE_H
#define ICETUN_BENCH_SCALE_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/netaddr.h"
#include "daemon/core/tunnel/keys.h"
#include "daemon/data/plane.h"

struct memory {
	size_t heap;	 /* of malloc(), with its own overhead */
	size_t locked;	 /* secrets, in pages of libsodium's */
	size_t resident; /* all that the kernel counts, with what malloc() keeps free */
};

double seconds(void);
/* Of the process: other work of the machine does not count. */
double cpu_seconds(void);
struct memory memory_now(void);
/* The growth, for each of @count. */
void report(const char *what, struct memory from, struct memory to, size_t count, double took_s);
/* Ends the program. */
void die(const char *what, size_t i);
void need(enum err e);

struct plane {
	size_t peers;
	struct data_plane *data;
	struct route_table *routes;
	int tun[2], udp, sink;
	struct netaddr bound;	   /* of udp */
	struct tunnel_tx **remote; /* what each peer seals with */
};

struct netaddr address_of(size_t i);
uint32_t next_random(void);
/* For qsort() of doubles. */
int by_value(const void *a, const void *b);
/* A UDP packet of @len bytes. */
void inner_packet(uint8_t *packet, size_t len, const struct netaddr *source,
		  const struct netaddr *destination);

/* scale_overlay.c, scale_data.c, scale_system.c */
void overlay_bench(size_t peers);
void data_bench(size_t peers);
void system_bench(struct plane *p);

#endif
