#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "daemon/core/ice/checklist.h"

static struct ice_checklist l;

static struct netaddr addr(const char *text)
{
	struct netaddr a;

	assert_int_equal(netaddr_parse(text, &a), OK);
	return a;
}

static struct ice_candidate candidate(enum ice_candidate_type type, uint16_t socket,
				      const char *text, const char *foundation)
{
	struct ice_candidate c = {.type = type, .socket = socket};

	c.addr = c.base = addr(text);
	c.priority = ice_priority(type, (uint16_t)(65535 - socket));
	snprintf(c.foundation, sizeof(c.foundation), "%s", foundation);
	return c;
}

static size_t add_remote(enum ice_candidate_type type, const char *text, const char *foundation)
{
	struct ice_candidate c = candidate(type, 0, text, foundation);
	size_t index;

	assert_int_equal(ice_checklist_add_remote(&l, &c, &index), OK);
	return index;
}

static size_t pair(const struct ice_candidate *local, size_t remote)
{
	return ice_checklist_pair(&l, local, ice_priority(ICE_CANDIDATE_PRFLX, 65535), remote);
}

static int set_up(void **state)
{
	(void)state;
	ice_checklist_init(&l, 10, true);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	ice_checklist_fini(&l);
	return 0;
}

static void reflexive_candidates_are_pruned_to_their_base(void **state)
{
	struct ice_candidate host = candidate(ICE_CANDIDATE_HOST, 0, "10.0.0.1:1", "1");
	struct ice_candidate srflx = candidate(ICE_CANDIDATE_SRFLX, 0, "192.0.2.1:1", "2");
	struct ice_candidate other = candidate(ICE_CANDIDATE_HOST, 1, "10.0.0.2:1", "3");
	size_t r = add_remote(ICE_CANDIDATE_HOST, "192.0.2.9:9", "1");

	(void)state;
	srflx.base = host.base;
	/* Whatever the order, one pair for the socket, with the higher priority. */
	assert_int_equal(pair(&srflx, r), 0);
	assert_int_equal(pair(&host, r), 0);
	assert_int_equal(pair(&srflx, r), 0);
	assert_int_equal(l.pair_count, 1);
	assert_int_equal(l.pairs[0].priority,
			 ice_pair_priority(host.priority, l.remotes[r].priority));
	assert_int_equal(l.pairs[0].local_type, ICE_CANDIDATE_HOST);
	assert_int_equal(pair(&other, r), 1);
}

static void a_started_pair_is_not_changed(void **state)
{
	struct ice_candidate host = candidate(ICE_CANDIDATE_HOST, 0, "10.0.0.1:1", "1");
	struct ice_candidate srflx = candidate(ICE_CANDIDATE_SRFLX, 0, "192.0.2.1:1", "2");
	size_t r = add_remote(ICE_CANDIDATE_HOST, "192.0.2.9:9", "1");

	(void)state;
	assert_int_equal(pair(&srflx, r), 0);
	ice_checklist_set_state(&l, &l.pairs[0], ICE_PAIR_IN_PROGRESS);
	assert_int_equal(pair(&host, r), 0);
	assert_int_equal(l.pairs[0].local_type, ICE_CANDIDATE_SRFLX);
}

static void families_and_scopes(void **state)
{
	struct ice_candidate v4 = candidate(ICE_CANDIDATE_HOST, 0, "10.0.0.1:1", "1");
	struct ice_candidate v6 = candidate(ICE_CANDIDATE_HOST, 1, "[2001:db8::1]:1", "2");
	struct ice_candidate ll = candidate(ICE_CANDIDATE_HOST, 2, "[fe80::1]:1", "3");
	size_t r4 = add_remote(ICE_CANDIDATE_HOST, "192.0.2.9:9", "1");
	size_t r6 = add_remote(ICE_CANDIDATE_HOST, "[2001:db8::9]:9", "2");
	size_t rll = add_remote(ICE_CANDIDATE_HOST, "[fe80::9]:9", "3");
	size_t index;

	(void)state;
	ll.base.scope_id = 5;
	assert_int_equal(pair(&v4, r6), ICE_NO_PAIR);
	assert_int_equal(pair(&v6, r4), ICE_NO_PAIR);
	assert_int_equal(pair(&v6, rll), ICE_NO_PAIR);
	assert_int_equal(pair(&ll, r6), ICE_NO_PAIR);
	assert_int_not_equal(pair(&v4, r4), ICE_NO_PAIR);
	assert_int_not_equal(pair(&v6, r6), ICE_NO_PAIR);
	index = pair(&ll, rll);
	assert_int_not_equal(index, ICE_NO_PAIR);
	/* The scope is our socket's: the peer's means nothing here. */
	assert_int_equal(l.pairs[index].to.scope_id, 5);
}

static void the_list_keeps_the_best(void **state)
{
	struct ice_candidate host = candidate(ICE_CANDIDATE_HOST, 0, "10.0.0.1:1", "1");
	char text[32];
	uint64_t worst = UINT64_MAX;

	(void)state;
	for (int i = 1; i <= 10; i++) {
		snprintf(text, sizeof(text), "192.0.2.%d:9", i);
		assert_int_not_equal(pair(&host, add_remote(ICE_CANDIDATE_SRFLX, text, "1")),
				     ICE_NO_PAIR);
	}
	assert_int_equal(l.pair_count, 10);
	assert_int_equal(pair(&host, add_remote(ICE_CANDIDATE_RELAY, "192.0.2.100:9", "1")),
			 ICE_NO_PAIR);
	/* A check under way and a queued one stay, an idle one gives way. */
	for (size_t i = 0; i < 8; i++)
		ice_checklist_set_state(&l, &l.pairs[i], ICE_PAIR_IN_PROGRESS);
	ice_checklist_trigger(&l, 8);
	assert_int_equal(pair(&host, add_remote(ICE_CANDIDATE_HOST, "192.0.2.101:9", "1")), 9);
	assert_int_equal(pair(&host, add_remote(ICE_CANDIDATE_HOST, "192.0.2.102:9", "1")),
			 ICE_NO_PAIR);
	assert_int_equal(l.pair_count, 10);
	assert_int_equal(l.state_count[ICE_PAIR_IN_PROGRESS], 8);
	assert_int_equal(l.state_count[ICE_PAIR_FROZEN], 2);
	for (size_t i = 0; i < 10; i++)
		worst = l.pairs[i].priority < worst ? l.pairs[i].priority : worst;
	assert_int_equal(worst, l.pairs[0].priority);
}

/* Families of two agents that interleave their preferences: the list is a fair mix, whichever of
 * them works, and however many addresses the other has (RFC 8421 s. 4). */
static void families_take_turns(void **state)
{
	static const char *const texts[2][4] = {
		{"[2001:db8::1]:1", "10.0.0.1:1", "[2001:db8::2]:1", "10.0.0.2:1"},
		{"[2001:db8::8]:1", "10.0.0.8:1", "[2001:db8::9]:1", "10.0.0.9:1"}};
	/* The best of each, then those of which the worse end is the second of its family. */
	static const char expected[] = "64666444";
	char order[sizeof(expected)] = "";
	size_t at;

	(void)state;
	for (uint16_t i = 0; i < 4; i++) {
		struct ice_candidate local = candidate(ICE_CANDIDATE_HOST, i, texts[0][i], "1");

		for (uint16_t k = 0; k < 4; k++) {
			struct ice_candidate c = candidate(ICE_CANDIDATE_HOST, k, texts[1][k], "1");

			assert_int_equal(ice_checklist_add_remote(&l, &c, &at), OK);
			(void)pair(&local, at);
		}
	}
	assert_int_equal(l.pair_count, strlen(expected));
	for (size_t i = 0; i < l.pair_count; i++)
		ice_checklist_set_state(&l, &l.pairs[i], ICE_PAIR_WAITING);
	for (size_t i = 0; (at = ice_checklist_next(&l)) != ICE_NO_PAIR; i++) {
		order[i] = l.pairs[at].to.family == NETADDR_IP6 ? '6' : '4';
		ice_checklist_set_state(&l, &l.pairs[at], ICE_PAIR_IN_PROGRESS);
	}
	assert_string_equal(order, expected);
}

static size_t count_of(uint8_t family)
{
	size_t n = 0;

	for (size_t i = 0; i < l.pair_count; i++)
		n += l.pairs[i].to.family == family;
	return n;
}

/* A peer whose IPv6 addresses would fill the list, all of them better than its IPv4 ones. */
static void no_family_is_crowded_out(void **state)
{
	struct ice_candidate v6 = candidate(ICE_CANDIDATE_HOST, 0, "[2001:db8::1]:1", "1");
	struct ice_candidate v4 = candidate(ICE_CANDIDATE_HOST, 1, "10.0.0.1:1", "2");
	char text[32];

	(void)state;
	for (int i = 0; i < 12; i++) {
		snprintf(text, sizeof(text), "[2001:db8::%d]:9", i + 10);
		(void)pair(&v6, add_remote(ICE_CANDIDATE_HOST, text, "1"));
	}
	assert_int_equal(count_of(NETADDR_IP6), 10);
	/* A quarter of the list, be they as bad as they may. */
	for (int i = 0; i < 4; i++) {
		snprintf(text, sizeof(text), "192.0.2.%d:9", i + 1);
		(void)pair(&v4, add_remote(ICE_CANDIDATE_SRFLX, text, "2"));
	}
	assert_int_equal(count_of(NETADDR_IP4), 2);
	assert_int_equal(l.pair_count, 10);
	/* Better ones of the other family do not push them out again, nor checks that were
	 * begun. */
	(void)pair(&v6, add_remote(ICE_CANDIDATE_HOST, "[2001:db8::99]:9", "1"));
	assert_int_equal(count_of(NETADDR_IP4), 2);
	/* But a better one of their own does. */
	assert_int_not_equal(pair(&v4, add_remote(ICE_CANDIDATE_HOST, "192.0.2.9:9", "3")),
			     ICE_NO_PAIR);
	assert_int_equal(count_of(NETADDR_IP4), 2);
	/* What has begun stays. */
	for (size_t i = 0; i < l.pair_count; i++) {
		if (l.pairs[i].to.family == NETADDR_IP6)
			ice_checklist_set_state(&l, &l.pairs[i], ICE_PAIR_IN_PROGRESS);
	}
	(void)pair(&v4, add_remote(ICE_CANDIDATE_HOST, "192.0.2.10:9", "3"));
	assert_int_equal(count_of(NETADDR_IP6), 8);
}

/* A list full of pairs that came to nothing takes new ones, worse ones too. */
static void what_is_over_gives_way(void **state)
{
	struct ice_candidate host = candidate(ICE_CANDIDATE_HOST, 0, "10.0.0.1:1", "1");
	char text[32];

	(void)state;
	for (int i = 1; i <= 10; i++) {
		snprintf(text, sizeof(text), "192.0.2.%d:9", i);
		pair(&host, add_remote(ICE_CANDIDATE_HOST, text, "1"));
	}
	for (size_t i = 0; i < 10; i++)
		ice_checklist_set_state(&l, &l.pairs[i], ICE_PAIR_IN_PROGRESS);
	assert_int_equal(pair(&host, add_remote(ICE_CANDIDATE_RELAY, "192.0.2.100:9", "1")),
			 ICE_NO_PAIR);
	ice_checklist_set_state(&l, &l.pairs[4], ICE_PAIR_FAILED);
	ice_checklist_set_state(&l, &l.pairs[7], ICE_PAIR_FAILED);
	l.pairs[7].via = ice_via_none();
	assert_int_equal(pair(&host, add_remote(ICE_CANDIDATE_RELAY, "192.0.2.101:9", "1")), 7);
	assert_int_equal(pair(&host, add_remote(ICE_CANDIDATE_RELAY, "192.0.2.102:9", "1")), 4);
	assert_int_equal(pair(&host, add_remote(ICE_CANDIDATE_RELAY, "192.0.2.103:9", "1")),
			 ICE_NO_PAIR);
	assert_int_equal(l.state_count[ICE_PAIR_FROZEN], 2);
	assert_int_equal(l.state_count[ICE_PAIR_FAILED], 0);
}

static void frozen_by_foundation(void **state)
{
	struct ice_candidate a = candidate(ICE_CANDIDATE_HOST, 0, "10.0.0.1:1", "1");
	struct ice_candidate b = candidate(ICE_CANDIDATE_HOST, 1, "10.0.0.1:2", "1");
	size_t r1 = add_remote(ICE_CANDIDATE_HOST, "192.0.2.1:9", "x");
	size_t r2 = add_remote(ICE_CANDIDATE_SRFLX, "192.0.2.2:9", "y");
	size_t a1 = pair(&a, r1), b1 = pair(&b, r1), a2 = pair(&a, r2), b2 = pair(&b, r2);

	(void)state;
	ice_checklist_thaw(&l);
	/* One waits for each foundation, the better one. */
	assert_int_equal(l.pairs[a1].state, ICE_PAIR_WAITING);
	assert_int_equal(l.pairs[b1].state, ICE_PAIR_FROZEN);
	assert_int_equal(l.pairs[a2].state, ICE_PAIR_WAITING);
	assert_int_equal(l.pairs[b2].state, ICE_PAIR_FROZEN);
	assert_int_equal(ice_checklist_pending(&l), 2);
	assert_int_equal(ice_checklist_next(&l), a1);
	ice_checklist_set_state(&l, &l.pairs[a1], ICE_PAIR_IN_PROGRESS);
	assert_int_equal(ice_checklist_next(&l), a2);
	ice_checklist_set_state(&l, &l.pairs[a2], ICE_PAIR_IN_PROGRESS);
	/* Both foundations are busy. */
	assert_int_equal(ice_checklist_next(&l), ICE_NO_PAIR);
	assert_false(ice_checklist_has_next(&l));
	/* A repeated check and a failure free the foundation, a success thaws it. */
	l.pairs[a1].repeated = true;
	assert_int_equal(ice_checklist_next(&l), b1);
	assert_true(ice_checklist_has_next(&l));
	l.pairs[a1].repeated = false;
	ice_checklist_set_state(&l, &l.pairs[a2], ICE_PAIR_FAILED);
	assert_int_equal(ice_checklist_next(&l), b2);
	ice_checklist_set_state(&l, &l.pairs[a1], ICE_PAIR_SUCCEEDED);
	ice_checklist_thaw_foundation(&l, l.pairs[a1].foundation);
	assert_int_equal(l.pairs[b1].state, ICE_PAIR_WAITING);
	assert_int_equal(l.pairs[b2].state, ICE_PAIR_FROZEN);
	assert_int_equal(ice_checklist_next(&l), b1);
}

static void what_was_good_goes_first(void **state)
{
	struct ice_candidate a = candidate(ICE_CANDIDATE_HOST, 0, "10.0.0.1:1", "1");
	struct ice_candidate b = candidate(ICE_CANDIDATE_HOST, 1, "10.0.0.1:2", "1");
	size_t best, good, other;

	(void)state;
	l.good = addr("192.0.2.2:9");
	best = pair(&a, add_remote(ICE_CANDIDATE_HOST, "192.0.2.1:9", "x"));
	good = pair(&a, add_remote(ICE_CANDIDATE_RELAY, "192.0.2.2:9", "y"));
	other = pair(&b, 1);
	assert_false(ice_checklist_has_good_next(&l));
	ice_checklist_thaw(&l);
	/* Also the second of one foundation waits. */
	assert_int_equal(l.pairs[other].state, ICE_PAIR_WAITING);
	assert_true(ice_checklist_has_good_next(&l));
	assert_int_equal(ice_checklist_next(&l), good);
	ice_checklist_set_state(&l, &l.pairs[good], ICE_PAIR_IN_PROGRESS);
	assert_int_equal(ice_checklist_next(&l), other);
	ice_checklist_set_state(&l, &l.pairs[other], ICE_PAIR_IN_PROGRESS);
	assert_false(ice_checklist_has_good_next(&l));
	assert_int_equal(ice_checklist_next(&l), best);
}

static void triggered_checks_are_a_queue(void **state)
{
	struct ice_candidate a = candidate(ICE_CANDIDATE_HOST, 0, "10.0.0.1:1", "1");
	char text[32];

	(void)state;
	for (int i = 0; i < 10; i++) {
		snprintf(text, sizeof(text), "192.0.2.%d:9", i + 1);
		pair(&a, add_remote(ICE_CANDIDATE_HOST, text, text + 8));
	}
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < 10; i++) {
			ice_checklist_trigger(&l, 9 - i);
			ice_checklist_trigger(&l, 9 - i);
		}
		/* A queued pair is not also checked in the ordinary course. */
		assert_int_equal(ice_checklist_next(&l), ICE_NO_PAIR);
		assert_true(ice_checklist_has_next(&l));
		for (size_t i = 0; i < 10; i++)
			assert_int_equal(ice_checklist_pop_triggered(&l), 9 - i);
		assert_int_equal(ice_checklist_pop_triggered(&l), ICE_NO_PAIR);
		ice_checklist_trigger(&l, 4); /* moves the ring on */
		ice_checklist_clear_triggered(&l);
		assert_false(l.pairs[4].queued);
	}
}

static void a_change_of_role_reorders(void **state)
{
	struct ice_candidate a = candidate(ICE_CANDIDATE_HOST, 0, "10.0.0.1:1", "1");
	size_t p = pair(&a, add_remote(ICE_CANDIDATE_SRFLX, "192.0.2.1:9", "x"));
	uint32_t r = ice_priority(ICE_CANDIDATE_SRFLX, 65535);

	(void)state;
	assert_int_equal(l.pairs[p].priority, ice_pair_priority(a.priority, r));
	ice_checklist_set_controlling(&l, false);
	assert_int_equal(l.pairs[p].priority, ice_pair_priority(r, a.priority));
}

static void peer_reflexive_becomes_signalled(void **state)
{
	struct ice_candidate a = candidate(ICE_CANDIDATE_HOST, 0, "10.0.0.1:1", "1");
	struct netaddr from = addr("192.0.2.1:9");
	size_t prflx, p;
	uint64_t before;

	(void)state;
	assert_int_equal(ice_checklist_add_prflx(&l, &from, 77, &prflx), OK);
	p = pair(&a, prflx);
	before = l.pairs[p].priority;
	ice_checklist_set_state(&l, &l.pairs[p], ICE_PAIR_IN_PROGRESS);
	assert_int_equal(add_remote(ICE_CANDIDATE_SRFLX, "192.0.2.1:9", "x"), prflx);
	assert_int_equal(l.remote_count, 1);
	assert_int_equal(l.remotes[prflx].type, ICE_CANDIDATE_SRFLX);
	assert_int_equal(pair(&a, prflx), p);
	assert_int_equal(l.pairs[p].state, ICE_PAIR_IN_PROGRESS);
	assert_true(l.pairs[p].priority > before);
}

static void remotes_are_bounded(void **state)
{
	struct netaddr from = addr("192.0.2.1:9");
	size_t index = 0;

	(void)state;
	for (int i = 0; i < ICE_MAX_REMOTES; i++) {
		from.port = (uint16_t)(1000 + i);
		assert_int_equal(ice_checklist_add_prflx(&l, &from, 1, &index), OK);
	}
	from.port = 1;
	assert_int_equal(ice_checklist_add_prflx(&l, &from, 1, &index), DROP_LIMIT);
	assert_int_equal(index, ICE_MAX_REMOTES - 1);
}

static void the_best_pair(void **state)
{
	struct ice_candidate a = candidate(ICE_CANDIDATE_HOST, 0, "10.0.0.1:1", "1");
	size_t good = pair(&a, add_remote(ICE_CANDIDATE_HOST, "192.0.2.1:9", "x"));
	size_t bad = pair(&a, add_remote(ICE_CANDIDATE_RELAY, "192.0.2.2:9", "y"));
	struct netaddr mapped = addr("192.0.2.50:1");

	(void)state;
	assert_int_equal(ice_checklist_best(&l), ICE_NO_PAIR);
	ice_checklist_set_valid(&l, &l.pairs[bad], 5, &mapped, ICE_CANDIDATE_SRFLX,
				ice_priority(ICE_CANDIDATE_SRFLX, 1));
	assert_int_equal(ice_checklist_best(&l), bad);
	ice_checklist_set_valid(&l, &l.pairs[good], 6, &mapped, ICE_CANDIDATE_PRFLX,
				ice_priority(ICE_CANDIDATE_PRFLX, 1));
	assert_int_equal(ice_checklist_best(&l), good);
	l.pairs[bad].nominated = true;
	assert_int_equal(ice_checklist_best(&l), bad);
	ice_checklist_set_invalid(&l.pairs[bad]);
	assert_int_equal(ice_checklist_best(&l), good);
	/* Valid since the first time. */
	ice_checklist_set_valid(&l, &l.pairs[good], 9, &mapped, ICE_CANDIDATE_PRFLX, 1);
	assert_int_equal(l.pairs[good].valid_since_us, 6);
}

/* The table of requests points to them. */
static void checks_stay_where_they_are(void **state)
{
	static const uint8_t txid[STUN_TXID_BYTES] = {1};
	struct ice_candidate host = candidate(ICE_CANDIDATE_HOST, 0, "10.0.0.1:1", "1");
	struct ice_pair_requests *checks;

	(void)state;
	assert_int_equal(pair(&host, add_remote(ICE_CANDIDATE_HOST, "192.0.2.1:9", "1")), 0);
	assert_null(l.pairs[0].requests);
	assert_true(ice_checklist_make_requests(&l.pairs[0]));
	checks = l.pairs[0].requests;
	stun_transaction_start(&checks->check.txn, txid, 1, STUN_RTO_US, STUN_RC, STUN_RM);
	for (int i = 1; i < 6; i++) {
		char text[32];

		snprintf(text, sizeof(text), "192.0.2.%d:9", 1 + i);
		assert_int_equal(pair(&host, add_remote(ICE_CANDIDATE_HOST, text, "1")), i);
		assert_true(ice_checklist_make_requests(&l.pairs[i]));
	}
	assert_ptr_equal(l.pairs[0].requests, checks);
	assert_true(ice_pair_is_checking(&l.pairs[0]));
	/* At rest those are kept that are under way. */
	ice_checklist_rest(&l);
	assert_int_equal(l.pair_room, 6);
	assert_int_equal(l.remote_room, 6);
	assert_ptr_equal(l.pairs[0].requests, checks);
	for (int i = 1; i < 6; i++)
		assert_null(l.pairs[i].requests);
	stun_transaction_stop(&checks->check.txn);
	ice_checklist_rest(&l);
	assert_null(l.pairs[0].requests);
	assert_int_equal(pair(&host, add_remote(ICE_CANDIDATE_HOST, "192.0.2.99:9", "1")), 6);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(reflexive_candidates_are_pruned_to_their_base),
		T(a_started_pair_is_not_changed),
		T(families_and_scopes),
		T(the_list_keeps_the_best),
		T(families_take_turns),
		T(no_family_is_crowded_out),
		T(what_is_over_gives_way),
		T(frozen_by_foundation),
		T(what_was_good_goes_first),
		T(triggered_checks_are_a_queue),
		T(a_change_of_role_reorders),
		T(peer_reflexive_becomes_signalled),
		T(remotes_are_bounded),
		T(the_best_pair),
		T(checks_stay_where_they_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
