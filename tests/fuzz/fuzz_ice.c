/*
 * The life of one agent as the input dictates it: time passes, sockets and servers come and go, the
 * peer's description arrives, and datagrams come in that carry whatever attributes the input has.
 * They are signed with the right passwords and answer real transaction ids, since no fuzzer guesses
 * those; some are left as they are.
 */
#include <string.h>

#include "daemon/core/base/cursor.h"
#include "daemon/core/crypto/random.h"
#include "daemon/core/ice/engine.h"
#include "daemon/core/stun/writer.h"
#include "tests/fuzz/fuzz.h"

#define MAX_PAIRS 12
#define PEER_PWD  "peerpasswordpeerpassword"
#define REMEMBER  8

enum op {
	OP_WAIT,
	OP_DEADLINE,
	OP_REQUEST,
	OP_RESPONSE,
	OP_RAW,
	OP_REMOTE,
	OP_CANDIDATE,
	OP_ADD_SOCKET,
	OP_REMOVE_SOCKET,
	OP_SERVERS,
	OP_SEND_ERROR,
	OP_AUTHENTICATED,
	OP_END,
	OP_COUNT,
};

struct run {
	struct rd r;
	uint64_t now_us;
	struct ice_engine *e;
	struct ice_agent *a;
	struct ice_description us;
	/* The last requests that left, to be answered. */
	struct {
		uint16_t socket;
		struct netaddr to;
		uint8_t txid[STUN_TXID_BYTES];
	} sent[REMEMBER];
	size_t sent_count;
};

/* A few addresses, good and bad ones. */
static struct netaddr address(struct run *f)
{
	static const char *const table[] = {"192.0.2.1:1", "192.0.2.2:2",     "10.0.0.9:9",
					    "127.0.0.1:5", "[2001:db8::1]:6", "[fe80::1]:7",
					    "224.0.0.1:8", "192.0.2.3:3"};
	uint8_t choice = rd_u8(&f->r);
	struct netaddr a;

	fuzz_check(netaddr_parse(table[choice % ARRAY_SIZE(table)], &a) == OK);
	a.port = (uint16_t)(a.port + choice / ARRAY_SIZE(table));
	return a;
}

static void drain(struct run *f)
{
	uint8_t buf[ICE_TRANSMIT_MAX_BYTES];
	struct ice_transmit t;
	struct stun_message m;
	struct ice_event ev;
	struct ice_path path;
	size_t events = 0;

	while (ice_engine_pop_transmit(f->e, &t, buf, sizeof(buf))) {
		fuzz_check(stun_decode(&m, buf, t.len) == OK);
		fuzz_check(stun_has(&m, STUN_FINGERPRINT));
		fuzz_check(ice_is_usable_address(&t.to));
		if (m.class != STUN_CLASS_REQUEST)
			continue;
		f->sent[f->sent_count % REMEMBER].socket = t.socket;
		f->sent[f->sent_count % REMEMBER].to = t.to;
		memcpy(f->sent[f->sent_count++ % REMEMBER].txid, m.txid, STUN_TXID_BYTES);
	}
	while (ice_engine_pop_event(f->e, &ev))
		fuzz_check(++events < 100);
	switch (ice_agent_get_state(f->a)) {
	case ICE_AGENT_CONNECTED:
		fuzz_check(ice_agent_get_path(f->a, &path) && !path.nominated);
		break;
	case ICE_AGENT_COMPLETED:
		fuzz_check(ice_agent_get_path(f->a, &path) && path.nominated);
		break;
	case ICE_AGENT_NEW:
	case ICE_AGENT_CHECKING:
	case ICE_AGENT_DISCONNECTED:
	case ICE_AGENT_FAILED:
		fuzz_check(!ice_agent_get_path(f->a, &path));
		break;
	}
	fuzz_check(ice_agent_get_pairs(f->a, NULL, 0) <= MAX_PAIRS);
}

/* Whatever happens, the engine comes to rest at any one time. */
static void settle(struct run *f)
{
	for (int i = 0; ice_engine_next_deadline(f->e) <= f->now_us; i++) {
		fuzz_check(i < 100);
		ice_engine_on_deadline(f->e, f->now_us);
		drain(f);
	}
}

/* A message with the next bytes of the input as its attributes. */
static size_t make(struct run *f, enum stun_class class, const uint8_t *txid, const char *pwd,
		   uint8_t *buf, size_t cap)
{
	uint8_t choices = rd_u8(&f->r);
	struct stun_writer w;
	size_t len;
	struct rd attributes = rd_sub(&f->r, rd_u8(&f->r));
	size_t bytes = rd_left(&attributes) & ~(size_t)3;

	stun_write_begin(&w, buf, cap, class, STUN_METHOD_BINDING, txid);
	if (choices & 1)
		stun_write_username(&w, f->us.ufrag, choices & 2 ? "peer" : "else");
	if (choices & 4)
		stun_write_number(&w, STUN_PRIORITY, choices * 1000u);
	if (choices & 8)
		stun_write_flag(&w, STUN_USE_CANDIDATE);
	if (choices & 16) {
		struct netaddr mapped = address(f);

		stun_write_address(&w, STUN_XOR_MAPPED_ADDRESS, &mapped);
	}
	if (class == STUN_CLASS_ERROR)
		stun_write_error(&w, choices & 32 ? 487 : choices & 64 ? 403 : 400);
	else if (choices & 32)
		stun_write_number(&w, choices & 64 ? STUN_ICE_CONTROLLING : STUN_ICE_CONTROLLED,
				  rd_u64be(&f->r));
	wr_bytes(&w.wr, rd_bytes(&attributes, bytes), bytes);
	if (stun_write_finish(&w, choices & 128 ? NULL : pwd, strlen(pwd), true, &len) != OK)
		return 0;
	return len;
}

static void request(struct run *f)
{
	uint8_t buf[ICE_TRANSMIT_MAX_BYTES];
	uint8_t txid[STUN_TXID_BYTES] = {rd_u8(&f->r)};
	struct netaddr from = address(f);
	size_t len = make(f, STUN_CLASS_REQUEST, txid, f->us.pwd, buf, sizeof(buf));

	(void)!ice_engine_input(f->e, f->now_us, rd_u8(&f->r) % 3, &from, buf, len);
}

static void response(struct run *f)
{
	uint8_t choice = rd_u8(&f->r);
	uint8_t buf[ICE_TRANSMIT_MAX_BYTES];
	size_t len, i;

	if (f->sent_count == 0)
		return;
	i = choice % (f->sent_count < REMEMBER ? f->sent_count : REMEMBER);
	len = make(f, choice & 128 ? STUN_CLASS_ERROR : STUN_CLASS_SUCCESS, f->sent[i].txid,
		   PEER_PWD, buf, sizeof(buf));
	if (choice & 64)
		f->sent[i].to.port++;
	(void)!ice_engine_input(f->e, f->now_us, f->sent[i].socket, &f->sent[i].to, buf, len);
}

static void raw(struct run *f)
{
	struct netaddr from = address(f);
	struct rd sub = rd_sub(&f->r, rd_u8(&f->r));
	size_t len = rd_left(&sub);

	(void)!ice_engine_input(f->e, f->now_us, 0, &from, rd_bytes(&sub, len), len);
}

static void candidate(struct run *f, struct ice_candidate *c)
{
	uint8_t choice = rd_u8(&f->r);

	memset(c, 0, sizeof(*c));
	c->type = choice % ICE_CANDIDATE_TYPE_COUNT;
	c->transport = choice & 128 ? ICE_TRANSPORT_TCP_SO : ICE_TRANSPORT_UDP;
	c->foundation[0] = (char)('a' + choice % 8);
	c->priority = rd_u32be(&f->r);
	c->addr = address(f);
}

static void remote(struct run *f)
{
	static struct ice_description d;
	uint8_t choice = rd_u8(&f->r);

	memset(&d, 0, sizeof(d));
	strcpy(d.ufrag, "peer");
	strcpy(d.pwd, PEER_PWD);
	d.lite = choice & 1;
	d.end_of_candidates = choice & 2;
	d.ta_ms = choice & 4 ? 5 : 0;
	d.candidate_count = choice % ICE_MAX_CANDIDATES;
	for (size_t i = 0; i < d.candidate_count; i++)
		candidate(f, &d.candidates[i]);
	(void)!ice_agent_set_remote(f->a, f->now_us, &d);
}

static void step(struct run *f)
{
	struct netaddr a;
	struct ice_candidate c;
	uint16_t socket;

	switch ((enum op)(rd_u8(&f->r) % OP_COUNT)) {
	case OP_WAIT:
		f->now_us += rd_u16be(&f->r) * US_PER_MS;
		break;
	case OP_DEADLINE:
		if (ice_engine_next_deadline(f->e) != DEADLINE_NONE &&
		    ice_engine_next_deadline(f->e) > f->now_us)
			f->now_us = ice_engine_next_deadline(f->e);
		settle(f);
		break;
	case OP_REQUEST:
		request(f);
		break;
	case OP_RESPONSE:
		response(f);
		break;
	case OP_RAW:
		raw(f);
		break;
	case OP_REMOTE:
		remote(f);
		break;
	case OP_CANDIDATE:
		candidate(f, &c);
		(void)!ice_agent_add_remote_candidate(f->a, f->now_us, NULL, &c);
		break;
	case OP_ADD_SOCKET:
		socket = rd_u8(&f->r) % 3;
		a = address(f);
		(void)!ice_engine_add_socket(f->e, f->now_us, socket, &a, (uint16_t)(100 - socket));
		break;
	case OP_REMOVE_SOCKET:
		ice_engine_remove_socket(f->e, f->now_us, rd_u8(&f->r) % 3);
		break;
	case OP_SERVERS:
		a = address(f);
		(void)!ice_engine_set_stun_servers(f->e, f->now_us, &a, rd_u8(&f->r) % 2);
		break;
	case OP_SEND_ERROR:
		a = address(f);
		ice_engine_on_send_error(f->e, f->now_us, rd_u8(&f->r) % 3, &a);
		break;
	case OP_AUTHENTICATED:
		ice_agent_on_authenticated(f->a, f->now_us);
		break;
	case OP_END:
		ice_agent_end_remote(f->a, f->now_us, NULL);
		break;
	case OP_COUNT:
		break;
	}
	drain(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct run f;
	struct random_seeded seed;
	struct ice_engine_params params = {
		.max_agents = 1, .max_sockets = 2, .max_pairs = MAX_PAIRS};
	struct ice_agent_params agent = {0};
	struct netaddr a;

	random_seeded_init(&seed, 1);
	params.random = random_seeded_source(&seed);
	f = (struct run){.r = rd_init(data, size), .now_us = US_PER_S};
	agent.controlling = rd_u8(&f.r) & 1;
	fuzz_check(ice_engine_create(&f.e, &params) == OK);
	fuzz_check(netaddr_parse("192.0.2.100:100", &a) == OK);
	fuzz_check(ice_engine_add_socket(f.e, f.now_us, 0, &a, 100) == OK);
	fuzz_check(ice_agent_open(&f.a, f.e, f.now_us, &agent) == OK);
	ice_agent_get_description(f.a, &f.us);
	while (rd_ok(&f.r) && !rd_at_end(&f.r))
		step(&f);
	settle(&f);
	ice_agent_close(f.a, f.now_us);
	ice_engine_destroy(f.e);
	return 0;
}
