/* Two agents on one wire. */
#ifndef ICETUN_TESTS_TWO_AGENTS_H
#define ICETUN_TESTS_TWO_AGENTS_H

#include "daemon/core/ice/agent.h"
#include "tests/unit/ice/wire.h"

static struct wire w;

static inline int set_up(void **state)
{
	(void)state;
	wire_init(&w, 31);
	return 0;
}

static inline int tear_down(void **state)
{
	(void)state;
	wire_fini(&w);
	return 0;
}

static inline struct ice_path path_of(size_t host)
{
	struct ice_path path;

	assert_true(ice_agent_get_path(w.host[host].agent, &path));
	return path;
}

static inline void expect_completed_alike(void)
{
	struct ice_path a = path_of(0), b = path_of(1);

	assert_int_equal(wire_state(&w, 0), ICE_AGENT_COMPLETED);
	assert_int_equal(wire_state(&w, 1), ICE_AGENT_COMPLETED);
	assert_true(a.nominated && b.nominated);
	assert_true(netaddr_equal(&a.remote, &b.local));
	assert_true(netaddr_equal(&b.remote, &a.local));
	assert_int_not_equal(ice_agent_is_controlling(w.host[0].agent),
			     ice_agent_is_controlling(w.host[1].agent));
}

static inline bool drop_from_0(struct wire *wire, size_t sender, struct wire_datagram *d)
{
	(void)wire;
	(void)d;
	return sender != 0;
}

static inline bool drop_all(struct wire *wire, size_t sender, struct wire_datagram *d)
{
	(void)wire;
	(void)sender;
	(void)d;
	return false;
}

#endif
