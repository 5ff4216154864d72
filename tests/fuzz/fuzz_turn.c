/*
 * The life of one allocation as the input dictates it, beside a server that answers right until the
 * input makes it do otherwise: refuse with any code, fall silent, be restarted, rotate its nonce.
 * Bytes of the input arrive as datagrams of the server's, too, as they are or with the id of a
 * request that waits.
 */
#include <string.h>

#include "daemon/core/base/cursor.h"
#include "daemon/core/crypto/secret.h"
#include "daemon/core/turn/allocation.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/turn_server.h"

enum op {
	OP_WAIT,
	OP_RAW,
	OP_ANSWER,
	OP_PERMIT,
	OP_UNPERMIT,
	OP_BIND,
	OP_UNBIND,
	OP_WRAP,
	OP_REFUSE,
	OP_SERVER,
	OP_RESTART,
	OP_RELEASE,
	OP_VERIFY,
	OP_CREDENTIALS,
	OP_CLOSED,
	OP_COUNT,
};

struct run {
	struct rd r;
	uint64_t now_us;
	struct turn_server server;
	struct turn_allocation *a;
	struct netaddr client;
	uint8_t txid[STUN_TXID_BYTES];
};

static struct netaddr address(struct run *f)
{
	uint8_t ip[4] = {192, 0, 2, rd_u8(&f->r) % 8};

	return netaddr_from_ip4(ip, 1000);
}

static void input(struct run *f, const uint8_t *bytes, size_t len)
{
	struct turn_data data;
	enum err e = turn_allocation_input(f->a, f->now_us, bytes, len, &data);

	fuzz_check(e == OK || (err_is_drop(e) && data.kind == TURN_DATA_NONE));
	if (data.kind == TURN_DATA_BYTES && data.len > 0)
		fuzz_check(data.bytes >= bytes && data.bytes + data.len <= bytes + len);
}

static void pump(struct run *f)
{
	uint8_t buf[TURN_REQUEST_MAX_BYTES];
	struct turn_server_datagram d;
	struct turn_event event;
	size_t len, rounds = 0;

	do {
		fuzz_check(++rounds < 1000);
		while (turn_allocation_pop_transmit(f->a, buf, sizeof(buf), &len)) {
			memcpy(f->txid, buf + 8, sizeof(f->txid));
			turn_server_input(&f->server, f->now_us, &f->server.address, &f->client,
					  buf, len);
		}
		while (turn_server_pop(&f->server, &d)) {
			if (netaddr_equal(&d.to, &f->client))
				input(f, d.bytes, d.len);
		}
	} while (turn_allocation_pop_event(f->a, &event));
}

static void wait(struct run *f)
{
	uint64_t end_us = f->now_us + (uint64_t)rd_u16be(&f->r) * 20 * US_PER_MS;

	for (size_t n = 0; turn_allocation_next_deadline(f->a) <= end_us; n++) {
		uint64_t due = turn_allocation_next_deadline(f->a);

		fuzz_check(n < 10000);
		f->now_us = due > f->now_us ? due : f->now_us;
		turn_allocation_on_deadline(f->a, f->now_us);
		pump(f);
	}
	f->now_us = end_us;
}

static void arrive(struct run *f, bool answer)
{
	size_t len = rd_u8(&f->r);
	const uint8_t *bytes = rd_bytes(&f->r, len);
	uint8_t copy[256];

	if (!bytes)
		return;
	memcpy(copy, bytes, len);
	if (answer && len >= STUN_HEADER_BYTES)
		memcpy(copy + 8, f->txid, sizeof(f->txid));
	input(f, copy, len);
}

static void change_server(struct run *f)
{
	uint8_t bits = rd_u8(&f->r);

	f->server.config.silent = bits & 1;
	f->server.config.ip6 = bits & 2;
	f->server.config.algorithms = (enum turn_server_algorithms)(bits >> 2 & 3);
	f->server.config.error_bare = bits & 16;
	f->server.config.nonce_life_us = (bits & 32) ? US_PER_S : 3600 * US_PER_S;
	if (bits & 64)
		turn_server_restart(&f->server, f->now_us);
}

static void wrap(struct run *f)
{
	uint8_t in[64] = {0}, out[128];
	struct netaddr peer = address(f);
	size_t len = rd_u8(&f->r) % sizeof(in), cap = rd_u8(&f->r) % sizeof(out), n;

	if (turn_allocation_wrap(f->a, f->now_us, &peer, in, len, out, cap, &n) == OK)
		fuzz_check(n <= cap && n >= len + TURN_CHANNEL_HEADER_BYTES &&
			   n <= len + TURN_WRAP_MAX_BYTES);
}

static void step(struct run *f)
{
	struct netaddr peer;

	switch ((enum op)(rd_u8(&f->r) % OP_COUNT)) {
	case OP_WAIT:
		wait(f);
		break;
	case OP_RAW:
		arrive(f, false);
		break;
	case OP_ANSWER:
		arrive(f, true);
		break;
	case OP_PERMIT:
		peer = address(f);
		(void)!turn_allocation_permit(f->a, f->now_us, &peer, 1);
		break;
	case OP_UNPERMIT:
		peer = address(f);
		turn_allocation_unpermit(f->a, &peer);
		break;
	case OP_BIND:
		peer = address(f);
		(void)!turn_allocation_bind(f->a, f->now_us, &peer);
		break;
	case OP_UNBIND:
		peer = address(f);
		turn_allocation_unbind(f->a, &peer);
		break;
	case OP_WRAP:
		wrap(f);
		break;
	case OP_REFUSE:
		f->server.config.error_method = rd_u8(&f->r) % 10;
		f->server.config.error_code = 300 + rd_u16be(&f->r) % 400;
		f->server.config.error_times = rd_u8(&f->r) % 8;
		break;
	case OP_SERVER:
		change_server(f);
		break;
	case OP_RESTART:
		(void)!turn_allocation_restart(f->a, f->now_us, NULL);
		break;
	case OP_RELEASE:
		turn_allocation_release(f->a, f->now_us);
		break;
	case OP_VERIFY:
		turn_allocation_verify(f->a, f->now_us);
		break;
	case OP_CREDENTIALS:
		(void)!turn_allocation_set_credentials(f->a, f->now_us, "user",
						       rd_u8(&f->r) & 1 ? "secret" : "wrong");
		break;
	case OP_CLOSED:
		turn_allocation_on_stream_closed(f->a, f->now_us);
		break;
	case OP_COUNT:
		break;
	}
	pump(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct run f;
	struct random_seeded seed;
	struct turn_params params = {
		.username = "user", .password = "secret", .max_permissions = 4, .max_channels = 3};

	fuzz_check(crypto_start() == OK);
	f = (struct run){.r = rd_init(data, size), .now_us = US_PER_S};
	fuzz_check(netaddr_parse("203.0.113.1:3478", &params.server) == OK);
	fuzz_check(netaddr_parse("198.51.100.1:4000", &f.client) == OK);
	turn_server_init(&f.server, &params.server, f.now_us, 1);
	random_seeded_init(&seed, 2);
	params.random = random_seeded_source(&seed);
	params.stream = size > 0 && data[0] & 0x80;
	params.family = size > 0 && data[0] & 0x40 ? NETADDR_NONE : NETADDR_IP4;
	fuzz_check(turn_allocation_create(&f.a, &params, f.now_us) == OK);
	pump(&f);
	while (rd_left(&f.r) > 0)
		step(&f);
	turn_allocation_destroy(f.a);
	return 0;
}
