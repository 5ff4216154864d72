#include "tests/sim/ice_scenario.h"

#include <inttypes.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/time.h"
#include "daemon/core/crypto/random.h"

static const struct {
	const char *name;
	enum nat_dependence mapping, filtering;
} homes[ICE_HOME_COUNT] = {
	[ICE_HOME_OPEN] = {"open", NAT_INDEPENDENT, NAT_INDEPENDENT},
	[ICE_HOME_EIM_EIF] = {"eim-eif", NAT_INDEPENDENT, NAT_INDEPENDENT},
	[ICE_HOME_EIM_ADF] = {"eim-adf", NAT_INDEPENDENT, NAT_ADDRESS},
	[ICE_HOME_EIM_APDF] = {"eim-apdf", NAT_INDEPENDENT, NAT_ADDRESS_AND_PORT},
	[ICE_HOME_ADM_EIF] = {"adm-eif", NAT_ADDRESS, NAT_INDEPENDENT},
	[ICE_HOME_ADM_ADF] = {"adm-adf", NAT_ADDRESS, NAT_ADDRESS},
	[ICE_HOME_ADM_APDF] = {"adm-apdf", NAT_ADDRESS, NAT_ADDRESS_AND_PORT},
	[ICE_HOME_APDM_EIF] = {"apdm-eif", NAT_ADDRESS_AND_PORT, NAT_INDEPENDENT},
	[ICE_HOME_APDM_ADF] = {"apdm-adf", NAT_ADDRESS_AND_PORT, NAT_ADDRESS},
	[ICE_HOME_APDM_APDF] = {"apdm-apdf", NAT_ADDRESS_AND_PORT, NAT_ADDRESS_AND_PORT},
	[ICE_HOME_BLOCKED] = {"blocked", NAT_INDEPENDENT, NAT_INDEPENDENT},
};

static const char *const layouts[ICE_LAYOUT_COUNT] = {
	[ICE_APART] = "apart",
	[ICE_SAME_LAN] = "same-lan",
	[ICE_SAME_CARRIER] = "same-carrier",
	[ICE_OWN_CARRIERS] = "own-carriers",
};

static const char *const moods[ICE_MOOD_COUNT] = {
	[ICE_MOOD_GOOD] = "good",
	[ICE_MOOD_SLOW] = "slow",
	[ICE_MOOD_DEAD] = "dead",
	[ICE_MOOD_REFUSES] = "refuses",
};

enum nat_dependence ice_home_mapping(enum ice_home home)
{
	return homes[home].mapping;
}

enum nat_dependence ice_home_filtering(enum ice_home home)
{
	return homes[home].filtering;
}

const char *ice_home_name(enum ice_home home)
{
	return homes[home].name;
}

const char *ice_way_name(enum ice_way way)
{
	static const char *const names[] = {"no path", "relayed", "direct"};

	return names[way];
}

/* --- drawing --- */

static struct simnet_link draw_link(const struct random_source *r)
{
	struct simnet_link link = {.delay_us = 500 + random_below(r, 100000)};
	uint32_t kind = random_below(r, 8);

	link.jitter_us = random_below(r, 2) ? random_below(r, link.delay_us) : 0;
	if (kind < 4)
		return link;
	/* Two links one after the other: 300 permille in all at the most. */
	link.loss_permille = (uint16_t)random_below(r, kind == 7 ? 164 : 101);
	link.duplicate_permille = (uint16_t)random_below(r, 51);
	link.reorder_permille = (uint16_t)random_below(r, 101);
	if (kind == 6)
		link.corrupt_permille = (uint16_t)random_below(r, 51);
	return link;
}

static enum ice_mood draw_mood(const struct random_source *r)
{
	return random_below(r, 6) ? ICE_MOOD_GOOD : (enum ice_mood)random_below(r, ICE_MOOD_COUNT);
}

static void draw_families(struct ice_scenario *s, const struct random_source *r)
{
	uint32_t families = random_below(r, 10);

	for (size_t i = 0; i < 2; i++) {
		bool dual;

		s->ip6[i] = families == 7 || families == 8 || (families == 9 && random_below(r, 2));
		s->ip4[i] = families != 8 && (families != 9 || !s->ip6[i] || random_below(r, 2));
		dual = s->ip4[i] && s->ip6[i];
		s->broken_ip6[i] = dual && random_below(r, 4) == 0;
		s->broken_ip4[i] = dual && !s->broken_ip6[i] && random_below(r, 6) == 0;
	}
}

struct ice_scenario ice_scenario_draw(uint64_t seed)
{
	struct ice_scenario s = {.seed = seed};
	struct random_seeded seeded;
	struct random_source r;
	uint32_t relays;

	random_seeded_init(&seeded, ~seed);
	r = random_seeded_source(&seeded);
	s.layout = random_below(&r, 4) ? ICE_APART : random_below(&r, ICE_LAYOUT_COUNT);
	s.hairpin = random_below(&r, 2);
	s.twin_addresses = random_below(&r, 4) == 0;
	s.glare = random_below(&r, 8) == 0;
	s.early = random_below(&r, 3) == 0;
	s.signalling_us = 1000 + random_below(&r, 400000);
	s.mapping_us = (20 + random_below(&r, 100)) * US_PER_S;
	s.stun_servers = 1 + random_below(&r, ICE_SCENARIO_STUN_SERVERS);
	for (size_t i = 0; i < s.stun_servers; i++)
		s.stun[i] = draw_mood(&r);
	s.turn = draw_mood(&r);
	if (s.turn == ICE_MOOD_REFUSES)
		s.turn = ICE_MOOD_DEAD;
	relays = random_below(&r, 4);
	s.relay[0] = relays & 1;
	s.relay[1] = relays & 2;
	s.forge_permille = random_below(&r, 4) ? 0 : (uint16_t)random_below(&r, 300);
	s.events = random_below(&r, 3) ? 0 : 1 + random_below(&r, 8);
	draw_families(&s, &r);
	for (size_t i = 0; i < 2; i++) {
		s.home[i] = random_below(&r, ICE_HOME_COUNT);
		s.link[i] = draw_link(&r);
		s.ta_ms[i] = (uint16_t)(5 + random_below(&r, 46));
	}
	return s;
}

void ice_scenario_print(const struct ice_scenario *s, FILE *f)
{
	fprintf(f, "seed %" PRIu64 ": %s, signalling %" PRIu64 " us, mappings %" PRIu64 " s, stun",
		s->seed, layouts[s->layout], s->signalling_us,
		(uint64_t)(s->mapping_us / US_PER_S));
	for (size_t i = 0; i < s->stun_servers; i++)
		fprintf(f, " %s", moods[s->stun[i]]);
	fprintf(f, ", turn %s%s%s%s%s, forged %u, %zu events; possible: %s\n", moods[s->turn],
		s->hairpin ? ", hairpin" : "", s->twin_addresses ? ", twin addresses" : "",
		s->glare ? ", glare" : "", s->early ? ", early" : "", s->forge_permille, s->events,
		ice_way_name(ice_scenario_way(s)));
	for (size_t i = 0; i < 2; i++)
		fprintf(f,
			"  end %zu: %s%s%s%s%s%s, ta %u ms, link %u us + %u, loss %u, dup %u, "
			"reorder %u, corrupt %u\n",
			i, homes[s->home[i]].name, s->ip4[i] ? " ip4" : "",
			s->broken_ip4[i] ? " (broken)" : "", s->ip6[i] ? " ip6" : "",
			s->broken_ip6[i] ? " (broken)" : "", s->relay[i] ? " relay" : "",
			s->ta_ms[i], s->link[i].delay_us, s->link[i].jitter_us,
			s->link[i].loss_permille, s->link[i].duplicate_permille,
			s->link[i].reorder_permille, s->link[i].corrupt_permille);
}

/* --- truth --- */

static bool has_ip4(const struct ice_scenario *s, size_t i)
{
	return s->ip4[i] && !s->broken_ip4[i];
}

static bool has_ip6(const struct ice_scenario *s, size_t i)
{
	return s->ip6[i] && !s->broken_ip6[i];
}

/* The router that @i goes out by. */
static enum ice_home home_of(const struct ice_scenario *s, size_t i)
{
	return s->home[s->layout == ICE_SAME_LAN ? 0 : i];
}

bool ice_scenario_has_udp(const struct ice_scenario *s, size_t end)
{
	return home_of(s, end) != ICE_HOME_BLOCKED && (has_ip4(s, end) || has_ip6(s, end));
}

/* Both mappings differ by destination. A packet from behind @a gets to b's mapping for the STUN
 * server, b's answer to a's mapping for that, and then one of the two has to stay where it is. */
static bool chases(enum ice_home a, enum ice_home b)
{
	return homes[b].filtering == NAT_INDEPENDENT &&
	       homes[a].filtering != NAT_ADDRESS_AND_PORT &&
	       (homes[a].mapping == NAT_ADDRESS || homes[b].mapping == NAT_ADDRESS);
}

static bool do_homes_meet(enum ice_home a, enum ice_home b)
{
	if (homes[a].mapping == NAT_INDEPENDENT)
		return homes[b].mapping == NAT_INDEPENDENT ||
		       homes[a].filtering != NAT_ADDRESS_AND_PORT;
	if (homes[b].mapping == NAT_INDEPENDENT)
		return homes[b].filtering != NAT_ADDRESS_AND_PORT;
	return chases(a, b) || chases(b, a);
}

static bool is_direct_ip4(const struct ice_scenario *s)
{
	bool open = s->home[0] == ICE_HOME_OPEN || s->home[1] == ICE_HOME_OPEN;

	if (!has_ip4(s, 0) || !has_ip4(s, 1))
		return false;
	/* Behind one carrier an open end has a host candidate that the other can reach; reflexive
	 * ones lead back through the carrier's box. */
	if (s->layout == ICE_SAME_CARRIER && (open || !s->hairpin))
		return open;
	return do_homes_meet(s->home[0], s->home[1]);
}

static bool is_direct(const struct ice_scenario *s)
{
	bool ip6 = has_ip6(s, 0) && has_ip6(s, 1);

	if (s->layout == ICE_SAME_LAN)
		return ip6 || (has_ip4(s, 0) && has_ip4(s, 1));
	if (s->home[0] == ICE_HOME_BLOCKED || s->home[1] == ICE_HOME_BLOCKED)
		return false;
	return ip6 || is_direct_ip4(s);
}

/* One allocation has addresses of both families, and streams pass everywhere. */
static bool has_relay(const struct ice_scenario *s, size_t i)
{
	return s->relay[i] && s->turn != ICE_MOOD_DEAD && (has_ip4(s, i) || has_ip6(s, i));
}

enum ice_way ice_scenario_way(const struct ice_scenario *s)
{
	if (is_direct(s))
		return ICE_WAY_DIRECT;
	for (size_t i = 0; i < 2; i++)
		if (has_relay(s, i) && (has_relay(s, !i) || ice_scenario_has_udp(s, !i)))
			return ICE_WAY_RELAYED;
	return ICE_WAY_NONE;
}

bool ice_scenario_is_rough(const struct ice_scenario *s)
{
	return s->link[0].loss_permille + s->link[0].corrupt_permille + s->link[1].loss_permille +
		       s->link[1].corrupt_permille >
	       200;
}

bool ice_scenario_is_clean(const struct ice_scenario *s)
{
	bool clean = s->turn == ICE_MOOD_GOOD && s->forge_permille == 0;

	for (size_t i = 0; i < 2; i++)
		clean = clean && s->link[i].loss_permille == 0 && s->link[i].corrupt_permille == 0;
	for (size_t i = 0; i < s->stun_servers; i++)
		clean = clean && s->stun[i] == ICE_MOOD_GOOD;
	return clean;
}
