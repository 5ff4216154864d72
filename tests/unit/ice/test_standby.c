/* What carries the data when the path is lost, and how the other end follows. */
#include "tests/unit/ice/wire.h"

#include "daemon/core/ice/agent.h"

static struct wire w;
static uint16_t dead_port; /* nothing passes from or to it; 0 = none */

static bool pass_living(struct wire *wire, size_t sender, struct wire_datagram *d)
{
	(void)wire;
	(void)sender;
	return !dead_port || (d->from.port != dead_port && d->to.port != dead_port);
}

/* Host 0 has two sockets, host 1 one; @controlling is the number of the host that is so. */
static void connect_with(size_t controlling)
{
	wire_init(&w, 31 + controlling);
	dead_port = 0;
	w.filter = pass_living;
	wire_add_socket(&w, 0, 0, "192.0.2.1:1000");
	wire_add_socket(&w, 0, 1, "192.0.2.3:1001");
	wire_add_socket(&w, 1, 0, "192.0.2.2:2000");
	wire_open(&w, 0, controlling == 0);
	wire_open(&w, 1, controlling == 1);
	wire_tell(&w, 0);
	wire_tell(&w, 1);
	wire_run(&w, 10 * US_PER_S);
}

static int set_up(void **state)
{
	(void)state;
	connect_with(0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	wire_fini(&w);
	return 0;
}

static size_t standby_of(size_t host, struct ice_path ret[ICE_MAX_STANDBY])
{
	return ice_agent_get_standby(w.host[host].agent, ret);
}

static void lose_socket(size_t host, uint16_t socket)
{
	ice_engine_remove_socket(w.host[host].engine, w.now_us, socket);
	w.host[host].addr[socket] = (struct netaddr){0};
}

static enum err tell_moved(size_t to)
{
	struct ice_path path = wire_path(&w, 1 - to);

	return ice_agent_on_peer_moved(w.host[to].agent, w.now_us, &path.local, &path.remote);
}

static void it_carries_the_data_in_the_same_call(void **state)
{
	struct ice_path standby[ICE_MAX_STANDBY];

	(void)state;
	for (size_t controlling = 0; controlling < 2; controlling++) {
		tear_down(NULL);
		connect_with(controlling);
		assert_int_equal(wire_path(&w, 0).socket, 0);
		assert_int_equal(standby_of(0, standby), 1);
		assert_int_equal(standby[0].socket, 1);
		/* However long ago the checks were. */
		wire_run(&w, 300 * US_PER_S);
		lose_socket(0, 0);
		assert_int_equal(wire_path(&w, 0).socket, 1);
		assert_int_equal(wire_path(&w, 0).lost, 1);
		assert_true(wire_path(&w, 0).consented);
		assert_int_equal(tell_moved(1), OK);
		assert_int_equal(wire_path(&w, 1).remote.port, 1001);
		/* A round trip, and one place in the pacer. */
		wire_run(&w, 2 * w.delay_us + ICE_PACER_FLOOR_US);
		assert_true(wire_path(&w, 0).nominated && wire_path(&w, 1).nominated);
		assert_int_equal(w.host[0].states[ICE_AGENT_DISCONNECTED], 0);
		assert_int_equal(w.host[1].states[ICE_AGENT_DISCONNECTED], 0);
		wire_run(&w, 100 * US_PER_S);
		assert_int_equal(wire_path(&w, 0).socket, 1);
		assert_int_equal(wire_path(&w, 1).remote.port, 1001);
	}
}

/* The end that controls has no need to say it: its nomination does. */
static void a_nomination_is_followed_without_a_word(void **state)
{
	(void)state;
	lose_socket(0, 0);
	wire_run(&w, 2 * w.delay_us + ICE_PACER_FLOOR_US);
	assert_int_equal(wire_path(&w, 1).remote.port, 1001);
	assert_true(wire_path(&w, 0).nominated && wire_path(&w, 1).nominated);
}

static void what_comes_after_the_nomination_stands_by(void **state)
{
	struct ice_path standby[ICE_MAX_STANDBY];
	struct ice_description d;
	struct ice_candidate c;

	/* While more may come. */
	(void)state;
	tear_down(NULL);
	wire_init(&w, 35);
	dead_port = 0;
	w.filter = pass_living;
	wire_add_socket(&w, 0, 0, "192.0.2.1:1000");
	wire_add_socket(&w, 1, 0, "192.0.2.2:2000");
	wire_open(&w, 0, true);
	wire_open(&w, 1, false);
	ice_agent_get_description(w.host[1].agent, &d);
	d.end_of_candidates = false;
	assert_int_equal(ice_agent_set_remote(w.host[0].agent, w.now_us, &d), OK);
	wire_tell(&w, 1);
	wire_run(&w, 10 * US_PER_S);
	wire_add_socket(&w, 1, 1, "192.0.2.4:2001");
	wire_drain(&w);
	c = w.host[1].last_candidate;
	assert_int_equal(c.addr.port, 2001);
	assert_int_equal(ice_agent_add_remote_candidate(w.host[0].agent, w.now_us, NULL, &c), OK);
	wire_run(&w, US_PER_S);
	assert_int_equal(standby_of(1, standby), 1);
	assert_int_equal(standby[0].socket, 1);
	lose_socket(1, 0);
	assert_int_equal(wire_path(&w, 1).socket, 1);
	assert_int_equal(tell_moved(0), OK);
	assert_int_equal(wire_path(&w, 0).remote.port, 2001);
	wire_run(&w, US_PER_S);
	assert_true(wire_path(&w, 0).nominated && wire_path(&w, 1).nominated);
}

static void a_relay_stands_by_behind_a_direct_path(void **state)
{
	struct ice_path standby[ICE_MAX_STANDBY];

	(void)state;
	tear_down(NULL);
	wire_init(&w, 33);
	wire_add_socket(&w, 0, 0, "192.0.2.1:1000");
	wire_add_relay(&w, 0, 1, 0, "198.51.100.9:50000");
	wire_add_socket(&w, 1, 0, "192.0.2.2:2000");
	wire_open(&w, 0, true);
	wire_open(&w, 1, false);
	wire_tell(&w, 0);
	wire_tell(&w, 1);
	wire_run(&w, 10 * US_PER_S);
	assert_int_equal(wire_path(&w, 0).relay, 0);
	for (size_t i = 0; i < WIRE_HOSTS; i++) {
		assert_int_equal(standby_of(i, standby), 1);
		assert_true(standby[0].relay || standby[0].remote_type == ICE_CANDIDATE_RELAY);
	}
	lose_socket(0, 0);
	assert_int_equal(wire_path(&w, 0).relay, 1);
}

static void an_idle_session_has_none(void **state)
{
	struct ice_path standby[ICE_MAX_STANDBY];

	(void)state;
	for (size_t i = 0; i < WIRE_HOSTS; i++)
		ice_agent_set_idle(w.host[i].agent, w.now_us, true);
	wire_run(&w, US_PER_S);
	w.host[0].sent_requests = 0;
	wire_run(&w, 300 * US_PER_S);
	assert_int_equal(w.host[0].sent_requests, 0);
	assert_int_equal(standby_of(0, standby), 0);
	for (size_t i = 0; i < WIRE_HOSTS; i++)
		ice_agent_set_idle(w.host[i].agent, w.now_us, false);
	wire_run(&w, US_PER_S);
	assert_int_equal(standby_of(0, standby), 1);
	lose_socket(0, 0);
	assert_int_equal(wire_path(&w, 0).socket, 1);
}

/* It asks for nothing, so nothing is answered: that says nothing of the path. */
static void an_idle_end_stays_where_its_peer_is(void **state)
{
	(void)state;
	ice_agent_set_idle(w.host[1].agent, w.now_us, true);
	for (int i = 0; i < 300; i++) {
		wire_run(&w, US_PER_S);
		assert_int_equal(wire_path(&w, 0).socket, 0);
		assert_int_equal(wire_path(&w, 1).remote.port, 1000);
	}
}

/* It was valid, and has not answered since: at the loss it is no path. */
static void a_dead_one_is_not_taken(void **state)
{
	struct ice_path path;

	(void)state;
	dead_port = 1001;
	wire_run(&w, 40 * US_PER_S);
	lose_socket(0, 0);
	assert_false(ice_agent_get_path(w.host[0].agent, &path));
}

static void two_living_pairs_do_not_change_places(void **state)
{
	size_t events[WIRE_HOSTS];

	(void)state;
	for (size_t i = 0; i < WIRE_HOSTS; i++)
		events[i] = w.host[i].path_events;
	wire_run(&w, 600 * US_PER_S);
	/* Nor when one of them is lost for a while, again and again. */
	for (int i = 0; i < 20; i++) {
		dead_port = 1000;
		wire_run(&w, 13500 * US_PER_MS);
		dead_port = 0;
		wire_run(&w, 9700 * US_PER_MS);
	}
	for (size_t i = 0; i < WIRE_HOSTS; i++)
		assert_int_equal(w.host[i].path_events, events[i]);
}

/* Nobody has said anything: consent would run out after 30 s. */
static void a_silent_path_is_left_before_consent_ends(void **state)
{
	(void)state;
	dead_port = 1000;
	wire_run(&w, 14 * US_PER_S);
	assert_int_equal(wire_path(&w, 0).socket, 0);
	wire_run(&w, 26 * US_PER_S);
	for (size_t i = 0; i < WIRE_HOSTS; i++) {
		assert_true(wire_path(&w, i).nominated);
		assert_int_equal(w.host[i].states[ICE_AGENT_DISCONNECTED], 0);
	}
	assert_int_equal(wire_path(&w, 0).socket, 1);
	assert_int_equal(wire_path(&w, 1).remote.port, 1001);
}

static void a_word_about_no_pair_of_ours(void **state)
{
	struct netaddr ours = wire_addr("192.0.2.2:2000");
	struct netaddr unknown = wire_addr("192.0.2.66:6666");
	struct netaddr present = wire_addr("192.0.2.1:1000");
	struct ice_agent *a = w.host[1].agent;

	(void)state;
	assert_int_equal(ice_agent_on_peer_moved(a, w.now_us, &unknown, &ours), DROP_STATE);
	assert_int_equal(ice_agent_on_peer_moved(a, w.now_us, &present, &ours), OK);
	assert_int_equal(wire_path(&w, 1).remote.port, 1000);
	assert_int_equal(wire_path(&w, 1).lost, 0);
}

/* To where it did not answer: it is asked, and the path stays until it does. */
static void a_pair_that_is_not_valid_is_checked_first(void **state)
{
	struct netaddr ours = wire_addr("192.0.2.2:2000");
	struct netaddr theirs = wire_addr("192.0.2.3:1001");
	struct ice_agent *a = w.host[1].agent;

	(void)state;
	dead_port = 1001;
	wire_run(&w, 60 * US_PER_S);
	assert_int_equal(ice_agent_on_peer_moved(a, w.now_us, &theirs, &ours), DROP_STATE);
	assert_int_equal(wire_path(&w, 1).remote.port, 1000);
	dead_port = 0;
	wire_run(&w, US_PER_S);
	assert_int_equal(wire_path(&w, 1).remote.port, 1000);
	assert_int_equal(ice_agent_on_peer_moved(a, w.now_us, &theirs, &ours), OK);
	assert_int_equal(wire_path(&w, 1).remote.port, 1001);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(it_carries_the_data_in_the_same_call),
		TEST(a_nomination_is_followed_without_a_word),
		TEST(what_comes_after_the_nomination_stands_by),
		TEST(a_relay_stands_by_behind_a_direct_path),
		TEST(an_idle_session_has_none),
		TEST(an_idle_end_stays_where_its_peer_is),
		TEST(a_dead_one_is_not_taken),
		TEST(two_living_pairs_do_not_change_places),
		TEST(a_silent_path_is_left_before_consent_ends),
		TEST(a_word_about_no_pair_of_ours),
		TEST(a_pair_that_is_not_valid_is_checked_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
