#include <inttypes.h>

#include "tests/sim/ice_world.h"

const char *ice_home_name(enum ice_home home)
{
	switch (home) {
	case ICE_HOME_OPEN:
		return "open";
	case ICE_HOME_FULL:
		return "full";
	case ICE_HOME_ADDRESS:
		return "adf";
	case ICE_HOME_PORT:
		return "home";
	case ICE_HOME_SYMMETRIC:
		return "symmetric";
	case ICE_HOME_BLOCKED:
		return "blocked";
	case ICE_HOME_COUNT:
		break;
	}
	return "?";
}

static const char *layout_name(enum ice_layout layout)
{
	switch (layout) {
	case ICE_APART:
		return "apart";
	case ICE_SAME_LAN:
		return "same-lan";
	case ICE_SAME_CARRIER:
		return "same-carrier";
	case ICE_LAYOUT_COUNT:
		break;
	}
	return "?";
}

/* One end's mapping differs by destination and the other end's filter asks for the port. */
static bool never_meet(enum ice_home a, enum ice_home b)
{
	return a == ICE_HOME_SYMMETRIC && (b == ICE_HOME_SYMMETRIC || b == ICE_HOME_PORT);
}

static bool is_direct_ip4(const struct ice_scenario *s)
{
	bool open = s->home[0] == ICE_HOME_OPEN || s->home[1] == ICE_HOME_OPEN;

	if (!s->ip4[0] || !s->ip4[1])
		return false;
	/* Behind one carrier an open end has a host candidate that the other can reach; reflexive
	 * ones lead back through the carrier's box. */
	if (s->layout == ICE_SAME_CARRIER && (open || !s->hairpin))
		return open;
	return !never_meet(s->home[0], s->home[1]) && !never_meet(s->home[1], s->home[0]);
}

bool ice_scenario_is_direct(const struct ice_scenario *s)
{
	bool ip6 = s->ip6[0] && s->ip6[1];

	if (s->layout == ICE_SAME_LAN)
		return ip6 || (s->ip4[0] && s->ip4[1]);
	if (s->home[0] == ICE_HOME_BLOCKED || s->home[1] == ICE_HOME_BLOCKED)
		return false;
	return ip6 || is_direct_ip4(s);
}

void ice_scenario_print(const struct ice_scenario *s, FILE *f)
{
	fprintf(f, "seed %" PRIu64 ": %s, signalling %" PRIu64 " us, %zu servers%s%s%s%s\n",
		s->seed, layout_name(s->layout), s->signalling_us, s->stun_servers,
		s->hairpin ? ", hairpin" : "", s->twin_addresses ? ", twin addresses" : "",
		s->glare ? ", glare" : "", s->early ? ", early" : "");
	for (size_t i = 0; i < 2; i++)
		fprintf(f,
			"  end %zu: %s%s%s, ta %u ms, link %u us + %u, loss %u, dup %u, reorder "
			"%u\n",
			i, ice_home_name(s->home[i]), s->ip4[i] ? " ip4" : "",
			s->ip6[i] ? " ip6" : "", s->ta_ms[i], s->link[i].delay_us,
			s->link[i].jitter_us, s->link[i].loss_permille,
			s->link[i].duplicate_permille, s->link[i].reorder_permille);
}
