/* One agent, whose peer the test plays. */
#ifndef ICETUN_TESTS_PLAYED_PEER_H
#define ICETUN_TESTS_PLAYED_PEER_H

#include "daemon/core/ice/agent.h"
#include "tests/unit/ice/wire.h"

#define PWD "theirpasswordtheirpassword"

static struct wire w;
static struct netaddr remote;
static struct ice_checklist *list;

/* Host 0 controls and checks one remote address; the test plays the peer. */
static inline int set_up(void **state)
{
	struct ice_description d = {.ufrag = "theirs", .pwd = PWD, .ta_ms = 20};

	(void)state;
	wire_init(&w, 21);
	wire_add_socket(&w, 0, 0, "192.0.2.1:1000");
	wire_open(&w, 0, true);
	remote = wire_addr("192.0.2.2:2000");
	d.candidates[0].addr = remote;
	d.candidates[0].priority = 1000;
	strcpy(d.candidates[0].foundation, "1");
	d.candidate_count = 1;
	assert_int_equal(ice_agent_set_remote(w.host[0].agent, w.now_us, &d), OK);
	list = &w.host[0].agent->current->list;
	return 0;
}

static inline int tear_down(void **state)
{
	(void)state;
	wire_fini(&w);
	return 0;
}

static inline void take_check(struct wire_datagram *d, struct stun_message *m)
{
	wire_take(&w, 0, d, m);
	assert_int_equal(m->class, STUN_CLASS_REQUEST);
	assert_true(netaddr_equal(&d->to, &remote));
}

static inline enum err answer(const struct stun_message *request, const struct netaddr *from,
			      struct wire_forge f)
{
	f.txid = request->txid;
	if (!f.class)
		f.class = STUN_CLASS_SUCCESS;
	return wire_inject(&w, 0, from, &f);
}

static inline enum err answer_well(const struct stun_message *request)
{
	return answer(request, &remote,
		      (struct wire_forge){.pwd = PWD, .mapped = &w.host[0].addr[0]});
}

/* The host's clock goes to its next deadline. */
static inline void advance(void)
{
	uint64_t at = ice_engine_next_deadline(w.host[0].engine);

	assert_int_not_equal(at, DEADLINE_NONE);
	w.now_us = at > w.now_us ? at : w.now_us;
	ice_engine_on_deadline(w.host[0].engine, w.now_us);
}

#endif
