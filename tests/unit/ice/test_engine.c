/* Limits, many agents at one pacer, and whatever strangers send. */
#include "tests/unit/ice/wire.h"

#include "daemon/core/ice/private.h"

static struct wire w;

static int tear_down(void **state)
{
	(void)state;
	wire_fini(&w);
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	wire_init(&w, 51);
	return 0;
}

static void parameters(void **state)
{
	struct random_seeded seed;
	struct ice_engine_params good, p;
	struct ice_engine *e = NULL;

	(void)state;
	random_seeded_init(&seed, 1);
	good = (struct ice_engine_params){.random = random_seeded_source(&seed), .max_agents = 1};
#define REFUSED(change)                                                                            \
	do {                                                                                       \
		p = good;                                                                          \
		change;                                                                            \
		assert_int_equal(ice_engine_create(&e, &p), ERR_INVALID);                          \
		assert_null(e);                                                                    \
	} while (0)
	REFUSED(p.random.fill = NULL);
	REFUSED(p.max_agents = 0);
	REFUSED(p.max_sockets = 33);
	REFUSED(p.ta_ms = 4);
	REFUSED(p.rc = 17);
	REFUSED(p.max_pairs = 1001);
	assert_int_equal(ice_engine_create(&e, &good), OK);
	ice_engine_destroy(e);
	ice_engine_destroy(NULL);
}

static void sockets(void **state)
{
	struct ice_engine *e = w.host[0].engine;
	struct netaddr ok = wire_addr("192.0.2.1:1"), loop = wire_addr("127.0.0.1:1");
	struct netaddr any = wire_addr("0.0.0.0:1"), overlay_addr = wire_addr("100.64.0.1:1");
	struct netprefix overlay[ICE_MAX_BLOCKED + 1];

	(void)state;
	assert_int_equal(netprefix_parse("100.64.0.0/10", &overlay[0]), OK);
	assert_int_equal(ice_engine_set_blocked(e, overlay, ICE_MAX_BLOCKED + 1), ERR_LIMIT);
	assert_int_equal(ice_engine_set_blocked(e, overlay, 1), OK);
	assert_int_equal(ice_engine_add_socket(e, 0, 1, &loop, 1), ERR_INVALID);
	assert_int_equal(ice_engine_add_socket(e, 0, 1, &any, 1), ERR_INVALID);
	assert_int_equal(ice_engine_add_socket(e, 0, UINT16_MAX, &ok, 1), ERR_INVALID);
	assert_int_equal(ice_engine_add_socket(e, 0, 1, &overlay_addr, 1), DROP_BLOCKED);
	for (uint16_t i = 0; i < 16; i++)
		assert_int_equal(ice_engine_add_socket(e, 0, i, &ok, i), OK);
	assert_int_equal(ice_engine_add_socket(e, 0, 3, &ok, 1), ERR_EXISTS);
	assert_int_equal(ice_engine_add_socket(e, 0, 16, &ok, 1), ERR_LIMIT);
	ice_engine_remove_socket(e, 0, 77);
}

static void agents_are_limited(void **state)
{
	struct ice_agent_params p = {0};
	struct ice_agent *a[5];

	(void)state;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(ice_agent_open(&a[i], w.host[0].engine, 0, &p), OK);
	assert_int_equal(ice_agent_open(&a[4], w.host[0].engine, 0, &p), ERR_LIMIT);
	ice_agent_close(a[2], 0);
	assert_int_equal(ice_agent_open(&a[4], w.host[0].engine, 0, &p), OK);
}

/* Pretends to be @count peers that never answer; returns when each agent sent its first check. */
static void many_agents(size_t count, size_t worthy, uint64_t *first_us)
{
	struct ice_agent *agents[64];
	struct ice_description d = {.ta_ms = 10};
	struct ice_transmit t;
	uint64_t last_us = 0;
	uint8_t buf[ICE_TRANSMIT_MAX_BYTES];

	assert_in_range(count, 1, ARRAY_SIZE(agents));
	strcpy(d.ufrag, "theirs");
	strcpy(d.pwd, "theirpasswordtheirpassword");
	for (size_t j = 0; j < 4; j++) {
		d.candidates[j].priority = (uint32_t)(1000 - j);
		snprintf(d.candidates[j].foundation, 33, "%zu", j);
	}
	d.candidate_count = 4;
	for (size_t i = 0; i < count; i++) {
		struct ice_agent_params p = {.worth = i == worthy};

		assert_int_equal(ice_agent_open(&agents[i], w.host[0].engine, w.now_us, &p), OK);
		for (size_t j = 0; j < 4; j++) {
			d.candidates[j].addr = wire_addr("198.51.100.1:1");
			d.candidates[j].addr.port = (uint16_t)(1 + 4 * i + j);
		}
		assert_int_equal(ice_agent_set_remote(agents[i], w.now_us, &d), OK);
		first_us[i] = 0;
	}
	/* Every new transaction, in the first 490 ms before any is sent again. */
	for (uint64_t end_us = w.now_us + 490 * US_PER_MS; w.now_us < end_us;) {
		while (ice_engine_pop_transmit(w.host[0].engine, &t, buf, sizeof(buf))) {
			size_t i = (size_t)(t.to.port - 1) / 4;

			assert_true(last_us == 0 || w.now_us - last_us >= ICE_PACER_FLOOR_US);
			last_us = w.now_us;
			if (!first_us[i])
				first_us[i] = w.now_us;
		}
		w.now_us = ice_engine_next_deadline(w.host[0].engine);
		ice_engine_on_deadline(w.host[0].engine, w.now_us);
	}
}

static void one_pacer_for_all_agents(void **state)
{
	struct ice_engine_params p = {.max_agents = 64};
	uint64_t first_us[64], start_us;

	(void)state;
	tear_down(NULL);
	wire_init_params(&w, 52, p);
	wire_add_socket(&w, 0, 0, "192.0.2.1:1000");
	start_us = w.now_us;
	many_agents(64, 40, first_us);
	/* The one that somebody waits for is not the 41st. */
	assert_true(first_us[40] - start_us <= 5 * US_PER_MS);
	/* All have had a turn before any gets all of its turns. */
	for (size_t i = 0; i < 64; i++)
		assert_in_range(first_us[i], start_us,
				start_us + 64 * 5 * US_PER_MS + 20 * US_PER_MS);
}

static void the_transmit_queue_is_bounded(void **state)
{
	struct wire_forge f;
	struct netaddr peer = wire_addr("192.0.2.2:5");
	struct ice_description d;
	size_t queued = 0;

	(void)state;
	wire_add_socket(&w, 0, 0, "192.0.2.1:1000");
	wire_open(&w, 0, true);
	ice_agent_get_description(w.host[0].agent, &d);
	f = (struct wire_forge){.user = d.ufrag, .peer_user = "p", .pwd = d.pwd, .priority = 1};
	for (int i = 0; i < 10000; i++)
		assert_int_equal(wire_inject(&w, 0, &peer, &f), OK);
	while (!wire_is_silent(&w, 0))
		queued++;
	assert_true(queued > 100);
	assert_int_equal(wire_drops(&w, 0)->count[DROP_QUEUE_FULL], 10000 - queued);
}

static void same_calls_same_bytes(void **state)
{
	static struct wire_datagram sent[2][64];
	size_t count[2] = {0};

	(void)state;
	for (size_t run = 0; run < 2; run++) {
		tear_down(NULL);
		wire_init(&w, 53);
		wire_connect(&w);
		for (size_t i = 0; i < 64; i++) {
			struct ice_transmit t;
			struct wire_datagram *d = &sent[run][count[run]];

			while (count[run] < 64 && ice_engine_pop_transmit(w.host[0].engine, &t,
									  d->buf, sizeof(d->buf))) {
				d->len = t.len;
				d = &sent[run][++count[run]];
			}
			w.now_us += 100 * US_PER_MS;
			ice_engine_on_deadline(w.host[0].engine, w.now_us);
		}
	}
	assert_int_equal(count[0], count[1]);
	assert_true(count[0] > 3);
	for (size_t i = 0; i < count[0]; i++)
		assert_memory_equal(sent[0][i].buf, sent[1][i].buf, sent[0][i].len);
}

static void calling_early_and_late_is_harmless(void **state)
{
	(void)state;
	wire_connect(&w);
	for (int i = 0; i < 20000; i++) {
		w.now_us += 100;
		ice_engine_on_deadline(w.host[0].engine, w.now_us);
		if (i % 500 == 0)
			ice_engine_on_deadline(w.host[1].engine, w.now_us);
		wire_run_until(&w, w.now_us);
	}
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_COMPLETED);
	assert_int_equal(wire_state(&w, 1), ICE_AGENT_COMPLETED);
}

static void wrong_doors(void **state)
{
	struct netaddr peer = wire_addr("192.0.2.2:5");
	struct wire_forge f = {0};
	uint8_t buf[ICE_TRANSMIT_MAX_BYTES] = {0};
	size_t len;

	(void)state;
	wire_add_socket(&w, 0, 0, "192.0.2.1:1000");
	len = wire_forge(&f, buf);
	assert_int_equal(ice_engine_input(w.host[0].engine, 0, 5, &peer, buf, len), DROP_STATE);
	assert_int_equal(ice_engine_input(w.host[0].engine, 0, 0, &peer, buf, 0), DROP_TRUNCATED);
	assert_int_equal(ice_engine_input(w.host[0].engine, 0, 0, &peer, buf, len - 1),
			 DROP_MALFORMED);
	f.class = STUN_CLASS_SUCCESS;
	assert_int_equal(wire_inject(&w, 0, &peer, &f), DROP_NO_TRANSACTION);
	f.class = STUN_CLASS_ERROR;
	f.error = 487;
	assert_int_equal(wire_inject(&w, 0, &peer, &f), DROP_NO_TRANSACTION);
	f = (struct wire_forge){.class = STUN_CLASS_INDICATION};
	assert_int_equal(wire_inject(&w, 0, &peer, &f), OK);
	buf[1] = 3; /* Allocate: with the fingerprint of something else */
	assert_int_equal(ice_engine_input(w.host[0].engine, 0, 0, &peer, buf, len),
			 DROP_FINGERPRINT);
	assert_true(wire_is_silent(&w, 0));
}

/* Random bytes, mutations of real datagrams, replays of real datagrams: 10^5 of them while two
 * agents live their life. */
static void strangers_do_no_harm(void **state)
{
	static struct wire_datagram recorded[64];
	struct random_seeded seed;
	struct random_source r;
	struct ice_engine_params params = {.max_agents = 4, .max_pairs = 20};
	struct ice_event ev;
	size_t count = 0, i;

	(void)state;
	random_seeded_init(&seed, 54);
	r = random_seeded_source(&seed);
	tear_down(NULL);
	wire_init_params(&w, 55, params);
	wire_connect(&w);
	/* Record what the two say to each other until they are done. */
	while (count < ARRAY_SIZE(recorded)) {
		wire_drain(&w);
		for (i = 0; i < WIRE_SLOTS && count < ARRAY_SIZE(recorded); i++) {
			if (w.slots[i].used)
				recorded[count++] = w.slots[i];
		}
		wire_run(&w, 5 * US_PER_MS);
	}
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_COMPLETED);
	for (i = 0; i < 100000; i++) {
		struct wire_datagram d = recorded[random_below(&r, ARRAY_SIZE(recorded))];
		size_t host = random_below(&r, 2);
		struct netaddr from = w.host[1 - host].addr[0];
		struct ice_transmit t;

		if (random_below(&r, 4) == 0) {
			d.len = random_below(&r, sizeof(d.buf) + 1);
			random_bytes(&r, d.buf, d.len);
			d.buf[0] &= 3;
		}
		for (uint32_t n = random_below(&r, 4); n && d.len; n--)
			d.buf[random_below(&r, (uint32_t)d.len)] ^=
				(uint8_t)(1u << random_below(&r, 8));
		if (random_below(&r, 8) == 0)
			d.len = random_below(&r, (uint32_t)d.len + 1);
		if (random_below(&r, 2) == 0)
			random_bytes(&r, &from.port, sizeof(from.port));
		if (random_below(&r, 16) == 0)
			random_bytes(&r, from.ip, 4);
		(void)!ice_engine_input(w.host[host].engine, w.now_us, 0, &from, d.buf, d.len);
		while (ice_engine_pop_transmit(w.host[host].engine, &t, d.buf, sizeof(d.buf)))
			;
		while (ice_engine_pop_event(w.host[host].engine, &ev))
			;
		if (i % 100 == 0)
			wire_run(&w, 20 * US_PER_MS);
	}
	/* Replayed requests are real ones: they may have made pairs, within bounds. */
	for (i = 0; i < 2; i++) {
		struct ice_generation *g = w.host[i].agent->current;

		assert_true(g->list.pair_count <= 20);
		assert_true(g->list.remote_count <= ICE_MAX_REMOTES);
		assert_int_equal(wire_state(&w, i), ICE_AGENT_COMPLETED);
		assert_true(netaddr_equal(&g->list.pairs[g->path].to, &w.host[1 - i].addr[0]));
	}
}

/* The same, against agents that are looking for each other. */
static void strangers_cannot_prevent_a_session(void **state)
{
	struct random_seeded seed;
	struct random_source r;

	(void)state;
	random_seeded_init(&seed, 56);
	r = random_seeded_source(&seed);
	wire_connect(&w);
	for (int i = 0; i < 2000; i++) {
		struct netaddr from = wire_addr("198.51.100.66:6");
		struct wire_forge f = {.class = (enum stun_class)random_below(&r, 4),
				       .user = "someone1",
				       .peer_user = "x",
				       .pwd = "wrongwrongwrongwrongwrong",
				       .priority = 1,
				       .use_candidate = true,
				       .controlling = true,
				       .tie_breaker = UINT64_MAX};

		if (random_below(&r, 2))
			from = w.host[1].addr[0];
		(void)!wire_inject(&w, 0, &from, &f);
		w.now_us += 100;
		wire_run_until(&w, w.now_us);
	}
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_COMPLETED);
	assert_int_equal(wire_state(&w, 1), ICE_AGENT_COMPLETED);
	assert_true(ice_agent_is_controlling(w.host[0].agent));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(parameters),
		T(sockets),
		T(agents_are_limited),
		T(one_pacer_for_all_agents),
		T(the_transmit_queue_is_bounded),
		T(same_calls_same_bytes),
		T(calling_early_and_late_is_harmless),
		T(wrong_doors),
		T(strangers_do_no_harm),
		T(strangers_cannot_prevent_a_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
