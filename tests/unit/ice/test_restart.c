/* One generation after another: the path of the old one stays in use until the owner switches. */
#include "tests/unit/ice/wire.h"

#include "daemon/core/ice/agent.h"

static struct wire w;

static int set_up(void **state)
{
	(void)state;
	wire_init(&w, 61);
	wire_connect(&w);
	wire_run(&w, US_PER_S);
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_COMPLETED);
	assert_int_equal(wire_state(&w, 1), ICE_AGENT_COMPLETED);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	wire_fini(&w);
	return 0;
}

static void restart(size_t host)
{
	assert_int_equal(ice_agent_restart(w.host[host].agent, w.now_us), OK);
}

/* Host 0 restarts; offer and answer are exchanged. */
static void restart_both(void)
{
	restart(0);
	wire_tell(&w, 1);
	wire_tell(&w, 0);
}

static void switch_to(size_t host, uint32_t generation)
{
	assert_int_equal(ice_agent_switch(w.host[host].agent, w.now_us, generation), OK);
}

/* The first check of a restart goes to where the data went, though another address is better. */
static void what_has_worked_is_checked_first(void **state)
{
	struct ice_description d;
	struct wire_datagram sent;
	struct stun_message m;

	(void)state;
	restart(0);
	restart(1);
	ice_agent_get_description(w.host[1].agent, &d);
	assert_int_equal(d.candidate_count, 1);
	d.candidates[1] = d.candidates[0];
	d.candidates[1].addr = wire_addr("192.0.2.77:7777");
	d.candidates[1].priority++;
	strcpy(d.candidates[1].foundation, "other");
	d.candidate_count = 2;
	while (!wire_is_silent(&w, 0))
		;
	assert_int_equal(ice_agent_set_remote(w.host[0].agent, w.now_us, &d), OK);
	wire_take(&w, 0, &sent, &m);
	assert_true(netaddr_equal(&sent.to, &w.host[1].addr[0]));
}

static void the_next_one_is_made_beside_the_current_one(void **state)
{
	struct ice_description before, after;
	struct ice_path next;

	(void)state;
	ice_agent_get_description(w.host[0].agent, &before);
	restart_both();
	ice_agent_get_description(w.host[0].agent, &after);
	assert_string_not_equal(before.ufrag, after.ufrag);
	assert_string_not_equal(before.pwd, after.pwd);
	wire_run(&w, US_PER_S);
	for (size_t i = 0; i < WIRE_HOSTS; i++) {
		/* The path is the old one; nobody was told anything else of it. */
		assert_int_equal(wire_path(&w, i).generation, 0);
		assert_int_equal(w.host[i].path_events, 2);
		assert_int_equal(wire_state(&w, i), ICE_AGENT_COMPLETED);
		assert_int_equal(w.host[i].states[ICE_AGENT_DISCONNECTED], 0);
		assert_true(w.host[i].next_path_events > 0);
		assert_int_equal(w.host[i].last_next.generation, 1);
		assert_true(ice_agent_get_next_path(w.host[i].agent, &next));
		assert_true(next.nominated);
		assert_int_equal(next.generation, 1);
	}
	assert_int_equal(ice_agent_switch(w.host[0].agent, w.now_us, 2), ERR_WRONG_STATE);
	switch_to(0, 1);
	assert_int_equal(wire_path(&w, 0).generation, 1);
	assert_int_equal(wire_path(&w, 1).generation, 0);
	switch_to(1, 1);
	assert_int_equal(ice_agent_switch(w.host[0].agent, w.now_us, 1), ERR_WRONG_STATE);
	wire_run(&w, 60 * US_PER_S);
	for (size_t i = 0; i < WIRE_HOSTS; i++) {
		assert_int_equal(wire_path(&w, i).generation, 1);
		assert_int_equal(wire_state(&w, i), ICE_AGENT_COMPLETED);
		assert_int_equal(w.host[i].states[ICE_AGENT_DISCONNECTED], 0);
	}
}

static void roles_are_kept(void **state)
{
	(void)state;
	/* Whoever restarts. */
	for (size_t i = 0; i < WIRE_HOSTS; i++) {
		restart(i);
		wire_tell(&w, 1 - i);
		wire_tell(&w, i);
		wire_run(&w, US_PER_S);
		switch_to(0, (uint32_t)i + 1);
		switch_to(1, (uint32_t)i + 1);
		assert_true(ice_agent_is_controlling(w.host[0].agent));
		assert_false(ice_agent_is_controlling(w.host[1].agent));
	}
}

/* RFC 8445 s. 9: both ufrag and pwd change. */
static void half_new_credentials_are_refused(void **state)
{
	struct ice_description old, new, mixed;
	struct ice_path next;

	(void)state;
	ice_agent_get_description(w.host[0].agent, &old);
	restart(0);
	ice_agent_get_description(w.host[0].agent, &new);
	mixed = new;
	memcpy(mixed.pwd, old.pwd, sizeof(mixed.pwd));
	assert_int_equal(ice_agent_set_remote(w.host[1].agent, w.now_us, &mixed), ERR_INVALID);
	mixed = old;
	memcpy(mixed.pwd, new.pwd, sizeof(mixed.pwd));
	assert_int_equal(ice_agent_set_remote(w.host[1].agent, w.now_us, &mixed), ERR_INVALID);
	assert_int_equal(ice_agent_set_remote(w.host[1].agent, w.now_us, &old), ERR_EXISTS);
	assert_null(w.host[1].agent->next);
	assert_int_equal(ice_agent_set_remote(w.host[1].agent, w.now_us, &new), OK);
	assert_int_equal(ice_agent_set_remote(w.host[1].agent, w.now_us, &new), ERR_EXISTS);
	assert_false(ice_agent_get_next_path(w.host[1].agent, &next));
	assert_int_equal(ice_agent_switch(w.host[1].agent, w.now_us, 1), ERR_WRONG_STATE);
}

static bool drop_new_offers(struct wire *wire, size_t sender, struct wire_datagram *d)
{
	struct stun_message m;

	(void)sender;
	if (stun_decode(&m, d->buf, d->len) != OK || !stun_has(&m, STUN_USERNAME))
		return true;
	for (size_t i = 0; i < WIRE_HOSTS; i++) {
		const struct ice_generation *g = wire->host[i].agent->next;

		if (g && memcmp(m.username.p, g->ufrag, ICE_OUR_UFRAG_BYTES) == 0)
			return false;
	}
	return true;
}

static void one_in_vain_costs_nothing(void **state)
{
	uint64_t start_us = w.now_us;

	(void)state;
	/* Nobody answers the offer. */
	restart(0);
	wire_run_until(&w, start_us + ICE_PATIENCE_US - 1);
	assert_int_equal(w.host[0].next_failed_events, 0);
	wire_run_until(&w, start_us + ICE_PATIENCE_US);
	assert_int_equal(w.host[0].next_failed_events, 1);
	assert_int_equal(w.host[0].last_next.generation, 1);
	assert_null(w.host[0].agent->next);
	/* It is answered, but no check gets through. */
	w.filter = drop_new_offers;
	start_us = w.now_us;
	restart_both();
	wire_run_until(&w, start_us + ICE_PATIENCE_US);
	for (size_t i = 0; i < WIRE_HOSTS; i++) {
		assert_int_equal(w.host[i].next_failed_events, 2 - i);
		assert_int_equal(w.host[i].next_path_events, 0);
		assert_int_equal(wire_path(&w, i).generation, 0);
		assert_int_equal(w.host[i].states[ICE_AGENT_DISCONNECTED], 0);
	}
	/* The next try has a number of its own. */
	w.filter = NULL;
	restart_both();
	wire_run(&w, US_PER_S);
	assert_int_equal(w.host[0].last_next.generation, 3);
	switch_to(0, 3);
}

static void a_later_one_takes_the_place(void **state)
{
	struct ice_description first, second;
	struct ice_path next;

	(void)state;
	restart(0);
	ice_agent_get_description(w.host[0].agent, &first);
	wire_tell(&w, 1);
	restart(0);
	ice_agent_get_description(w.host[0].agent, &second);
	assert_string_not_equal(first.ufrag, second.ufrag);
	wire_tell(&w, 1);
	wire_tell(&w, 0);
	wire_run(&w, US_PER_S);
	assert_true(ice_agent_get_next_path(w.host[0].agent, &next));
	assert_int_equal(next.generation, 2);
	assert_true(ice_agent_get_next_path(w.host[1].agent, &next));
	assert_string_equal(w.host[1].agent->next->remote_ufrag, second.ufrag);
	assert_int_equal(w.host[0].next_failed_events, 0);
	/* Given up: nothing is left of it, and nobody is told what he did. */
	ice_agent_abandon_restart(w.host[0].agent, w.now_us);
	assert_false(ice_agent_get_next_path(w.host[0].agent, &next));
	wire_run(&w, 60 * US_PER_S);
	assert_int_equal(w.host[0].next_failed_events, 0);
	assert_int_equal(wire_path(&w, 0).generation, 0);
}

/* Is a check with these credentials, from an address that nobody knows, answered by host 1? */
static bool is_answered(const struct ice_description *its, const struct ice_description *mine)
{
	struct netaddr from = wire_addr("203.0.113.77:7777");
	struct wire_forge f = {.user = its->ufrag,
			       .peer_user = mine->ufrag,
			       .pwd = its->pwd,
			       .priority = 1,
			       .use_candidate = true,
			       .controlling = true};
	struct stun_message m;
	struct wire_datagram d;

	while (!wire_is_silent(&w, 1))
		;
	(void)!wire_inject(&w, 1, &from, &f);
	wire_take(&w, 1, &d, &m);
	return m.class == STUN_CLASS_SUCCESS;
}

static void the_old_one_answers_for_three_seconds(void **state)
{
	struct ice_description old, mine, new, mine_new;

	(void)state;
	ice_agent_get_description(w.host[0].agent, &mine);
	ice_agent_get_description(w.host[1].agent, &old);
	restart_both();
	wire_run(&w, US_PER_S);
	ice_agent_get_description(w.host[0].agent, &mine_new);
	ice_agent_get_description(w.host[1].agent, &new);
	switch_to(0, 1);
	switch_to(1, 1);
	wire_run(&w, ICE_OLD_GENERATION_US - 1);
	/* And nothing else: no candidate is learnt, no check triggered. */
	assert_true(is_answered(&old, &mine));
	assert_true(wire_is_silent(&w, 1));
	assert_int_equal(w.host[1].agent->old->list.remote_count, 1);
	assert_int_equal(w.host[1].agent->current->list.remote_count, 1);
	wire_run(&w, 1);
	assert_false(is_answered(&old, &mine));
	assert_null(w.host[1].agent->old);
	assert_true(is_answered(&new, &mine_new));
}

/* RFC 8838: a candidate belongs to the generation whose fragment it names. */
static void candidates_belong_to_a_generation(void **state)
{
	struct ice_agent *a = w.host[1].agent;
	struct ice_description old, new;
	struct ice_candidate c;

	(void)state;
	ice_agent_get_description(w.host[0].agent, &old);
	c = old.candidates[0];
	restart(0);
	ice_agent_get_description(w.host[0].agent, &new);
	/* Before the offer that it belongs to: it waits. */
	c.addr.port = 1001;
	assert_int_equal(ice_agent_add_remote_candidate(a, w.now_us, new.ufrag, &c), OK);
	ice_agent_end_remote(a, w.now_us, new.ufrag);
	assert_int_equal(a->current->list.remote_count, 1);
	new.end_of_candidates = false;
	assert_int_equal(ice_agent_set_remote(a, w.now_us, &new), OK);
	assert_int_equal(a->next->list.remote_count, 2);
	assert_true(a->next->remote_ended);
	c.addr.port = 1002;
	assert_int_equal(ice_agent_add_remote_candidate(a, w.now_us, new.ufrag, &c),
			 ERR_WRONG_STATE);
	wire_tell(&w, 0);
	wire_run(&w, US_PER_S);
	switch_to(0, 1);
	switch_to(1, 1);
	/* After its generation has gone. */
	assert_int_equal(ice_agent_add_remote_candidate(a, w.now_us, old.ufrag, &c), DROP_STALE);
	/* No more of them wait than there is room for. */
	for (uint16_t i = 0; i < 2 * ICE_MAX_EARLY_CANDIDATES; i++)
		assert_int_equal(ice_agent_add_remote_candidate(a, w.now_us, "unheard", &c), OK);
	assert_int_equal(a->early_count, ICE_MAX_EARLY_CANDIDATES);
}

static void a_lost_path_comes_back_in_the_next_one(void **state)
{
	struct ice_path next;

	(void)state;
	/* The address is gone; a new one is there. */
	ice_engine_remove_socket(w.host[0].engine, w.now_us, 0);
	w.host[0].addr[0] = (struct netaddr){0};
	wire_add_socket(&w, 0, 1, "192.0.2.50:1000");
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_DISCONNECTED);
	restart_both();
	wire_run(&w, 100 * US_PER_MS);
	for (size_t i = 0; i < WIRE_HOSTS; i++) {
		assert_true(ice_agent_get_next_path(w.host[i].agent, &next));
		switch_to(i, 1);
	}
	assert_int_equal(wire_path(&w, 1).remote.ip[3], 50);
	wire_run(&w, US_PER_S);
	assert_int_equal(wire_state(&w, 0), ICE_AGENT_COMPLETED);
	assert_int_equal(wire_state(&w, 1), ICE_AGENT_COMPLETED);
}

static void not_before_the_peer_is_known(void **state)
{
	(void)state;
	tear_down(NULL);
	wire_init(&w, 62);
	wire_open(&w, 0, true);
	assert_int_equal(ice_agent_restart(w.host[0].agent, w.now_us), ERR_WRONG_STATE);
	ice_agent_abandon_restart(w.host[0].agent, w.now_us);
	assert_int_equal(ice_agent_switch(w.host[0].agent, w.now_us, 0), ERR_WRONG_STATE);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(what_has_worked_is_checked_first),
		T(the_next_one_is_made_beside_the_current_one),
		T(roles_are_kept),
		T(half_new_credentials_are_refused),
		T(one_in_vain_costs_nothing),
		T(a_later_one_takes_the_place),
		T(the_old_one_answers_for_three_seconds),
		T(candidates_belong_to_a_generation),
		T(a_lost_path_comes_back_in_the_next_one),
		T(not_before_the_peer_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
