/* Server-reflexive candidates: the test plays NAT and STUN servers. */
#include "tests/unit/ice/wire.h"

#define MAX_SERVERS 4

static struct wire w;
static struct netaddr servers[MAX_SERVERS];
static struct netaddr mapped; /* what the servers see; family NONE: they are silent */
static uint64_t asked_us[1000];
static size_t asked;

enum manner {
	XOR_MAPPED,
	PLAIN_MAPPED, /* a server of RFC 3489 */
	REFUSE,
	SEND_ELSEWHERE, /* 300 */
	FROM_ELSEWHERE,
	NO_ADDRESS,
};
static enum manner manner;

static void serve(struct wire *wire, size_t sender, const struct wire_datagram *d)
{
	struct netaddr from = d->to, elsewhere = wire_addr("198.51.100.99:3478");
	uint8_t buf[ICE_TRANSMIT_MAX_BYTES];
	struct stun_message m;
	struct stun_writer sw;
	size_t len;

	(void)sender;
	assert_int_equal(stun_decode(&m, d->buf, d->len), OK);
	assert_int_equal(m.class, STUN_CLASS_REQUEST);
	assert_false(stun_has(&m, STUN_USERNAME));
	assert_false(netaddr_equal(&d->to, &elsewhere));
	asked_us[asked++ % 1000] = wire->now_us - wire->delay_us;
	if (mapped.family == NETADDR_NONE)
		return;
	stun_write_begin(&sw, buf, sizeof(buf),
			 manner == REFUSE || manner == SEND_ELSEWHERE ? STUN_CLASS_ERROR
								      : STUN_CLASS_SUCCESS,
			 STUN_METHOD_BINDING, m.txid);
	switch (manner) {
	case FROM_ELSEWHERE:
		from.port++;
		/* fall through */
	case XOR_MAPPED:
		stun_write_address(&sw, STUN_XOR_MAPPED_ADDRESS, &mapped);
		break;
	case PLAIN_MAPPED:
		stun_write_address(&sw, STUN_MAPPED_ADDRESS, &mapped);
		break;
	case REFUSE:
		stun_write_error(&sw, STUN_ERROR_SERVER_ERROR);
		break;
	case SEND_ELSEWHERE:
		stun_write_error(&sw, STUN_ERROR_TRY_ALTERNATE);
		stun_write_address(&sw, STUN_ALTERNATE_SERVER, &elsewhere);
		break;
	case NO_ADDRESS:
		break;
	}
	/* Servers may leave FINGERPRINT out. */
	assert_int_equal(stun_write_finish(&sw, NULL, 0, false, &len), OK);
	wire_post(wire, &from, &d->from, buf, len);
}

static int set_up(void **state)
{
	(void)state;
	wire_init(&w, 41);
	w.stranger = serve;
	for (size_t i = 0; i < MAX_SERVERS; i++) {
		servers[i] = wire_addr("198.51.100.1:3478");
		servers[i].ip[3] = (uint8_t)(i + 1);
	}
	mapped = wire_addr("203.0.113.1:7777");
	asked = 0;
	manner = XOR_MAPPED;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	wire_fini(&w);
	return 0;
}

static void use_servers(size_t count)
{
	assert_int_equal(ice_engine_set_stun_servers(w.host[0].engine, w.now_us, servers, count),
			 OK);
}

static size_t candidates(void)
{
	size_t count;

	(void)ice_engine_local_candidates(w.host[0].engine, &count);
	return count;
}

static void without_servers_it_is_gathered_at_once(void **state)
{
	(void)state;
	assert_false(ice_engine_is_gathered(w.host[0].engine));
	wire_add_socket(&w, 0, 0, "10.0.0.1:1000");
	assert_true(ice_engine_is_gathered(w.host[0].engine));
	assert_int_equal(candidates(), 1);
	wire_drain(&w);
	assert_int_equal(w.host[0].gathered_events, 1);
	assert_int_equal(w.host[0].sent, 0);
}

static void a_server_reflexive_candidate(void **state)
{
	uint64_t start_us = w.now_us;
	const struct ice_candidate *c;
	size_t count;

	(void)state;
	use_servers(1);
	wire_add_socket(&w, 0, 0, "10.0.0.1:1000");
	assert_false(ice_engine_is_gathered(w.host[0].engine));
	wire_run_until(&w, start_us + 20 * US_PER_MS); /* asked at once */
	assert_true(ice_engine_is_gathered(w.host[0].engine));
	assert_int_equal(w.host[0].gathered_events, 1);
	assert_int_equal(w.host[0].candidate_events[ICE_CANDIDATE_SRFLX], 1);
	assert_true(netaddr_equal(&w.host[0].last_candidate.addr, &mapped));
	c = ice_engine_local_candidates(w.host[0].engine, &count);
	assert_int_equal(count, 2);
	assert_int_equal(c[1].type, ICE_CANDIDATE_SRFLX);
	assert_true(netaddr_equal(&c[1].addr, &mapped));
	assert_true(netaddr_equal(&c[1].base, &w.host[0].addr[0]));
}

static void each_socket_asks_each_server_of_its_family(void **state)
{
	(void)state;
	servers[1] = wire_addr("[2001:db8:f::1]:3478");
	use_servers(3);
	wire_add_socket(&w, 0, 0, "10.0.0.1:1000");
	wire_add_socket(&w, 0, 1, "10.0.0.2:1000");
	wire_run(&w, US_PER_S);
	assert_int_equal(asked, 4);
	/* One new mapping in 50 ms. */
	for (size_t i = 1; i < asked; i++)
		assert_true(asked_us[i] - asked_us[i - 1] >= 50 * US_PER_MS);
	assert_int_equal(w.host[0].gathered_events, 1);
}

static void a_silent_server_delays_no_more_than_patience(void **state)
{
	uint64_t start_us = w.now_us;

	(void)state;
	mapped.family = NETADDR_NONE;
	use_servers(2);
	wire_add_socket(&w, 0, 0, "10.0.0.1:1000");
	wire_run_until(&w, start_us + 1499 * US_PER_MS);
	assert_false(ice_engine_is_gathered(w.host[0].engine));
	wire_run_until(&w, start_us + 1500 * US_PER_MS);
	assert_true(ice_engine_is_gathered(w.host[0].engine));
	assert_int_equal(w.host[0].gathered_events, 1);
	/* It is still being asked; a late answer is a new candidate. */
	mapped = wire_addr("203.0.113.1:7777");
	wire_run(&w, 10 * US_PER_S);
	assert_int_equal(w.host[0].candidate_events[ICE_CANDIDATE_SRFLX], 1);
	assert_int_equal(candidates(), 2);
	assert_int_equal(w.host[0].gathered_events, 1);
}

static void a_dead_server_is_tried_again(void **state)
{
	(void)state;
	mapped.family = NETADDR_NONE;
	use_servers(1);
	wire_add_socket(&w, 0, 0, "10.0.0.1:1000");
	wire_run(&w, 60 * US_PER_S);
	assert_int_equal(asked, 7);
	mapped = wire_addr("203.0.113.1:7777");
	wire_run(&w, 60 * US_PER_S);
	assert_int_equal(w.host[0].candidate_events[ICE_CANDIDATE_SRFLX], 1);
}

static void kept_warm(void **state)
{
	(void)state;
	use_servers(1);
	wire_add_socket(&w, 0, 0, "10.0.0.1:1000");
	wire_run(&w, 61 * US_PER_S);
	assert_int_equal(asked, 5);
	assert_int_equal(w.host[0].candidate_events[ICE_CANDIDATE_SRFLX], 1);
	assert_int_equal(w.host[0].changed_events, 0);
	ice_engine_set_keep_warm(w.host[0].engine, w.now_us, false);
	wire_run(&w, 600 * US_PER_S);
	assert_int_equal(asked, 5);
	assert_int_equal(ice_engine_next_deadline(w.host[0].engine), DEADLINE_NONE);
	ice_engine_set_keep_warm(w.host[0].engine, w.now_us, true);
	wire_run(&w, US_PER_S);
	assert_int_equal(asked, 6);
}

static void a_changed_mapping_is_an_event(void **state)
{
	const struct ice_candidate *c;
	size_t count;

	(void)state;
	use_servers(1);
	wire_add_socket(&w, 0, 0, "10.0.0.1:1000");
	wire_run(&w, US_PER_S);
	mapped.port = 8888;
	wire_run(&w, 20 * US_PER_S);
	assert_int_equal(w.host[0].changed_events, 1);
	/* For peers that are still being connected it is one more. */
	assert_int_equal(w.host[0].candidate_events[ICE_CANDIDATE_SRFLX], 2);
	assert_int_equal(w.host[0].last_candidate.addr.port, 8888);
	c = ice_engine_local_candidates(w.host[0].engine, &count);
	assert_int_equal(count, 2);
	assert_int_equal(c[1].addr.port, 8888);
}

static void no_nat_is_no_candidate(void **state)
{
	(void)state;
	mapped = wire_addr("10.0.0.1:1000");
	use_servers(1);
	wire_add_socket(&w, 0, 0, "10.0.0.1:1000");
	wire_run(&w, US_PER_S);
	assert_true(ice_engine_is_gathered(w.host[0].engine));
	assert_int_equal(candidates(), 1);
	assert_int_equal(w.host[0].candidate_events[ICE_CANDIDATE_SRFLX], 0);
}

static void answers_of_all_manners(void **state)
{
	static const struct {
		enum manner manner;
		const char *mapped;
		size_t candidates;
		uint64_t settled_ms;
		enum err drop;
	} table[] = {
		{XOR_MAPPED, "203.0.113.1:7", 2, 20, OK},
		{PLAIN_MAPPED, "203.0.113.1:7", 2, 20, OK},
		{REFUSE, "203.0.113.1:7", 1, 20, OK},
		{SEND_ELSEWHERE, "203.0.113.1:7", 1, 20, OK}, /* not followed, s. 5.1.1.2 */
		{FROM_ELSEWHERE, "203.0.113.1:7", 1, 1500, DROP_ASYMMETRIC},
		{NO_ADDRESS, "203.0.113.1:7", 1, 1500, DROP_MALFORMED},
		{XOR_MAPPED, "127.0.0.1:7", 1, 20, DROP_BLOCKED},
		{XOR_MAPPED, "203.0.113.1:0", 1, 20, DROP_BLOCKED},
		{XOR_MAPPED, "100.64.0.1:7", 1, 20, DROP_BLOCKED},
		{XOR_MAPPED, "[2001:db8::1]:7", 1, 20, DROP_BLOCKED},
	};
	struct netprefix overlay;

	(void)state;
	assert_int_equal(netprefix_parse("100.64.0.0/10", &overlay), OK);
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		uint64_t start_us;

		tear_down(NULL);
		set_up(NULL);
		manner = table[i].manner;
		mapped = wire_addr(table[i].mapped);
		assert_int_equal(ice_engine_set_blocked(w.host[0].engine, &overlay, 1), OK);
		use_servers(1);
		start_us = w.now_us;
		wire_add_socket(&w, 0, 0, "10.0.0.1:1000");
		wire_run_until(&w, start_us + table[i].settled_ms * US_PER_MS - 1);
		assert_false(ice_engine_is_gathered(w.host[0].engine));
		wire_run_until(&w, start_us + table[i].settled_ms * US_PER_MS);
		assert_true(ice_engine_is_gathered(w.host[0].engine));
		assert_int_equal(candidates(), table[i].candidates);
		wire_run(&w, 35 * US_PER_S);
		if (table[i].drop != OK)
			assert_true(wire_drops(&w, 0)->count[table[i].drop] > 0);
	}
}

static void servers_come_and_go(void **state)
{
	struct netaddr bad = wire_addr("127.0.0.1:3478");

	(void)state;
	assert_int_equal(ice_engine_set_stun_servers(w.host[0].engine, w.now_us, servers, 9),
			 ERR_LIMIT);
	assert_int_equal(ice_engine_set_stun_servers(w.host[0].engine, w.now_us, &bad, 1),
			 ERR_INVALID);
	wire_add_socket(&w, 0, 0, "10.0.0.1:1000");
	use_servers(1);
	wire_run(&w, US_PER_S);
	assert_int_equal(candidates(), 2);
	/* What is known from a server that stays is kept, without asking it anew. */
	use_servers(2);
	assert_int_equal(candidates(), 2);
	wire_run(&w, US_PER_S);
	assert_int_equal(asked, 2);
	use_servers(0);
	assert_int_equal(candidates(), 1);
	wire_run(&w, 60 * US_PER_S);
	assert_int_equal(asked, 2);
}

static void a_removed_socket_takes_its_candidates(void **state)
{
	(void)state;
	use_servers(1);
	wire_add_socket(&w, 0, 0, "10.0.0.1:1000");
	wire_add_socket(&w, 0, 1, "10.0.0.2:1000");
	wire_run(&w, 10 * US_PER_MS);
	ice_engine_remove_socket(w.host[0].engine, w.now_us, 0); /* while it is being asked for */
	ice_engine_remove_socket(w.host[0].engine, w.now_us, 0);
	wire_run(&w, US_PER_S);
	assert_int_equal(candidates(), 2);
	assert_true(wire_drops(&w, 0)->count[DROP_STATE] > 0);
	ice_engine_remove_socket(w.host[0].engine, w.now_us, 1);
	assert_int_equal(candidates(), 0);
	assert_false(ice_engine_is_gathered(w.host[0].engine));
	/* The same number once more is a new socket. */
	wire_add_socket(&w, 0, 1, "10.0.0.3:1000");
	wire_run(&w, US_PER_S);
	assert_int_equal(candidates(), 2);
}

static void a_session_over_server_reflexive_candidates(void **state)
{
	struct ice_description d;

	(void)state;
	use_servers(1);
	wire_add_socket(&w, 0, 0, "10.0.0.1:1000");
	wire_run(&w, US_PER_S);
	wire_open(&w, 0, true);
	ice_agent_get_description(w.host[0].agent, &d);
	assert_int_equal(ice_description_check(&d), OK);
	assert_true(d.end_of_candidates);
	assert_true(ice_description_has_option(&d, "ice2"));
	assert_int_equal(d.candidate_count, 2);
	/* The reflexive candidate makes no pair of its own. */
	wire_add_socket(&w, 1, 0, "192.0.2.2:2000");
	wire_open(&w, 1, false);
	wire_tell(&w, 0);
	assert_int_equal(ice_agent_get_pairs(w.host[0].agent, NULL, 0), 1);
}

static struct ice_stun_server_info info_of(size_t i)
{
	struct ice_stun_server_info info;

	assert_true(ice_engine_stun_server_info(w.host[0].engine, i, &info));
	assert_true(netaddr_equal(&info.addr, &servers[i]));
	return info;
}

static void what_is_known_of_a_server(void **state)
{
	struct ice_stun_server_info info;
	uint64_t start_us;

	(void)state;
	servers[1] = wire_addr("[2001:db8:f::1]:3478");
	use_servers(2);
	assert_false(ice_engine_stun_server_info(w.host[0].engine, 2, &info));
	assert_int_equal(info_of(0).state, ICE_STUN_SERVER_UNUSED);
	start_us = w.now_us;
	wire_add_socket(&w, 0, 0, "10.0.0.1:1000");
	wire_add_socket(&w, 0, 1, "10.0.0.2:1000");
	assert_int_equal(info_of(0).state, ICE_STUN_SERVER_ASKING);
	assert_int_equal(info_of(0).last_answer_us, 0);
	wire_run_until(&w, start_us + 20 * US_PER_MS);
	info = info_of(0);
	assert_int_equal(info.state, ICE_STUN_SERVER_ANSWERED);
	assert_int_equal(info.since_us, start_us + 20 * US_PER_MS);
	assert_int_equal(info.last_answer_us, w.now_us);
	assert_int_equal(info.rtt_us, 20 * US_PER_MS);
	assert_true(netaddr_equal(&info.mapped, &mapped));
	assert_int_equal(info_of(1).state, ICE_STUN_SERVER_UNUSED); /* no socket of its family */
	wire_run(&w, 31 * US_PER_S);
	info = info_of(0);
	assert_int_equal(info.state, ICE_STUN_SERVER_ANSWERED);
	assert_int_equal(info.since_us, start_us + 20 * US_PER_MS);
	assert_in_range(info.last_answer_us, w.now_us - 16 * US_PER_S, w.now_us);
	/* It dies: the next request, at most 15 s later, finds out within our patience. */
	mapped.family = NETADDR_NONE;
	start_us = w.now_us;
	wire_run(&w, 17500 * US_PER_MS);
	info = info_of(0);
	assert_int_equal(info.state, ICE_STUN_SERVER_SILENT);
	assert_in_range(info.since_us, start_us, start_us + 16 * US_PER_S);
	/* And is there again. */
	mapped = wire_addr("203.0.113.1:7777");
	wire_run(&w, 60 * US_PER_S);
	assert_int_equal(info_of(0).state, ICE_STUN_SERVER_ANSWERED);
	manner = REFUSE;
	wire_run(&w, 20 * US_PER_S);
	info = info_of(0);
	assert_int_equal(info.state, ICE_STUN_SERVER_REFUSED);
	assert_int_equal(info.error, STUN_ERROR_SERVER_ERROR);
	assert_string_equal(ice_stun_server_state_name(info.state), "refused");
}

static void a_server_that_never_answers(void **state)
{
	uint64_t start_us = w.now_us;

	(void)state;
	mapped.family = NETADDR_NONE;
	use_servers(1);
	wire_add_socket(&w, 0, 0, "10.0.0.1:1000");
	wire_run_until(&w, start_us + 1499 * US_PER_MS);
	assert_int_equal(info_of(0).state, ICE_STUN_SERVER_ASKING);
	wire_run_until(&w, start_us + 1500 * US_PER_MS);
	assert_int_equal(info_of(0).state, ICE_STUN_SERVER_SILENT);
	assert_int_equal(info_of(0).since_us, start_us);
	wire_run(&w, 300 * US_PER_S);
	assert_int_equal(info_of(0).state, ICE_STUN_SERVER_SILENT);
	assert_int_equal(info_of(0).since_us, start_us);
	assert_int_equal(info_of(0).last_answer_us, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(without_servers_it_is_gathered_at_once),
		T(a_server_reflexive_candidate),
		T(each_socket_asks_each_server_of_its_family),
		T(a_silent_server_delays_no_more_than_patience),
		T(a_dead_server_is_tried_again),
		T(kept_warm),
		T(a_changed_mapping_is_an_event),
		T(no_nat_is_no_candidate),
		T(what_is_known_of_a_server),
		T(a_server_that_never_answers),
		T(answers_of_all_manners),
		T(servers_come_and_go),
		T(a_removed_socket_takes_its_candidates),
		T(a_session_over_server_reflexive_candidates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
