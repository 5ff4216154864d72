/* Permissions, channels and data. */
#include <stdio.h>

#include "daemon/core/base/cursor.h"
#include "tests/unit/turn/link.h"

#include "daemon/core/stun/transaction.h"
#include "daemon/core/stun/writer.h"

static struct netaddr peer_number(unsigned int n)
{
	struct netaddr a = link_address("192.0.2.0:1000");

	a.ip[2] = (uint8_t)(n >> 8);
	a.ip[3] = (uint8_t)n;
	return a;
}

static void send_text(struct link *l, const struct netaddr *peer, const char *text, enum err want)
{
	uint8_t buf[256];
	size_t len;

	assert_int_equal(turn_allocation_wrap(l->a, l->now_us, peer, (const uint8_t *)text,
					      strlen(text), buf, sizeof(buf), &len),
			 want);
	if (want == OK)
		turn_server_input(&l->server, l->now_us, &l->server.address, &l->client, buf, len);
	link_pump(l);
}

static void receive_text(struct link *l, const struct netaddr *peer, const char *text)
{
	turn_server_input(&l->server, l->now_us, turn_allocation_relayed(l->a), peer,
			  (const uint8_t *)text, strlen(text));
	link_pump(l);
}

static void data_needs_a_permission(void **state)
{
	struct netaddr peer = peer_number(1);
	struct link l;

	(void)state;
	link_open(&l);
	link_start(&l);
	send_text(&l, &peer, "early", ERR_NOT_FOUND);
	receive_text(&l, &peer, "unasked");
	assert_int_equal(l.data_count, 0);
	assert_int_equal(turn_allocation_permit(l.a, l.now_us, &peer, 1), OK);
	link_pump(&l);
	assert_true(turn_allocation_is_permitted(l.a, l.now_us, &peer));
	assert_int_equal(link_event(&l, TURN_EVENT_PERMITTED)->peer.port, 0);
	send_text(&l, &peer, "hello", OK);
	assert_int_equal(l.to_peer_count, 1);
	assert_memory_equal(l.to_peer.bytes, "hello", 5);
	assert_true(netaddr_equal(&l.to_peer.from, turn_allocation_relayed(l.a)));
	receive_text(&l, &peer, "world");
	assert_int_equal(l.data_count, 1);
	assert_true(netaddr_equal(&l.data.peer, &peer));
	assert_memory_equal(l.bytes, "world", 5);
	link_close(&l);
}

/* RFC 8656 s. 11.6. It may be anybody's doing. */
static void an_icmp_error_is_a_hint(void **state)
{
	static const uint8_t too_big[] = {0, 0, 3, 4, 0, 0, 0x05, 0x14};
	static const uint8_t txid[STUN_TXID_BYTES];
	struct netaddr peer = peer_number(1);
	struct turn_data data;
	struct stun_writer w;
	uint8_t buf[128];
	struct link l;
	size_t len;

	(void)state;
	link_open(&l);
	link_start(&l);
	stun_write_begin(&w, buf, sizeof(buf), STUN_CLASS_INDICATION, STUN_METHOD_DATA, txid);
	stun_write_address(&w, STUN_XOR_PEER_ADDRESS, &peer);
	stun_write_bytes(&w, STUN_ICMP, too_big, sizeof(too_big));
	assert_int_equal(stun_write_finish(&w, NULL, 0, false, &len), OK);
	assert_int_equal(turn_allocation_input(l.a, l.now_us, buf, len, &data), DROP_STATE);
	assert_int_equal(turn_allocation_permit(l.a, l.now_us, &peer, 1), OK);
	link_pump(&l);
	assert_int_equal(turn_allocation_input(l.a, l.now_us, buf, len, &data), OK);
	assert_int_equal(data.kind, TURN_DATA_ICMP);
	assert_true(netaddr_equal(&data.peer, &peer));
	assert_int_equal(data.icmp_type, 3);
	assert_int_equal(data.icmp_code, 4);
	assert_int_equal(data.icmp_data, 1300);
	assert_int_equal(data.len, 0);
	assert_true(turn_allocation_is_permitted(l.a, l.now_us, &peer));
	link_close(&l);
}

static void wishes_wait_for_the_allocation(void **state)
{
	struct netaddr peer = peer_number(1);
	struct link l;

	(void)state;
	link_open(&l);
	assert_int_equal(turn_allocation_create(&l.a, &l.params, l.now_us), OK);
	assert_int_equal(turn_allocation_bind(l.a, l.now_us, &peer), OK);
	send_text(&l, &peer, "early", ERR_WRONG_STATE);
	link_pump(&l);
	assert_int_equal(link_event(&l, TURN_EVENT_CHANNEL)->channel, TURN_CHANNEL_MIN);
	/* And are repeated when it begins anew. */
	turn_server_restart(&l.server, l.now_us);
	turn_allocation_verify(l.a, l.now_us);
	link_pump(&l);
	assert_int_equal(turn_allocation_state(l.a), TURN_LOST);
	assert_int_equal(turn_allocation_restart(l.a, l.now_us, NULL), OK);
	link_pump(&l);
	assert_int_equal(link_count(&l, TURN_EVENT_CHANNEL), 2);
	link_close(&l);
}

static void permissions_are_counted(void **state)
{
	struct netaddr peers[] = {peer_number(1), peer_number(1), peer_number(2)};
	struct link l;

	(void)state;
	link_open(&l);
	l.params.max_permissions = 2;
	link_start(&l);
	peers[1].port = 2000;
	assert_int_equal(turn_allocation_permit(l.a, l.now_us, peers, 3), OK);
	link_pump(&l);
	assert_int_equal(link_count(&l, TURN_EVENT_PERMITTED), 2);
	assert_int_equal(l.server.requests[STUN_METHOD_CREATE_PERMISSION], 1);
	turn_allocation_unpermit(l.a, &peers[0]);
	assert_true(turn_allocation_is_permitted(l.a, l.now_us, &peers[0]));
	peers[0] = peer_number(3);
	assert_int_equal(turn_allocation_permit(l.a, l.now_us, peers, 1), ERR_LIMIT);
	turn_allocation_unpermit(l.a, &peers[1]);
	assert_false(turn_allocation_is_permitted(l.a, l.now_us, &peers[1]));
	assert_int_equal(turn_allocation_permit(l.a, l.now_us, peers, 1), OK);
	peers[0] = link_address("[2001:db8::9]:1");
	assert_int_equal(turn_allocation_permit(l.a, l.now_us, peers, 1), ERR_INVALID);
	link_close(&l);
}

static void many_fit_one_request(void **state)
{
	struct netaddr peers[60];
	struct link l;

	(void)state;
	for (unsigned int i = 0; i < 60; i++)
		peers[i] = peer_number(i);
	link_open(&l);
	link_start(&l);
	assert_int_equal(turn_allocation_permit(l.a, l.now_us, peers, 60), OK);
	link_pump(&l);
	assert_int_equal(link_count(&l, TURN_EVENT_PERMITTED), 60);
	assert_int_equal(l.server.requests[STUN_METHOD_CREATE_PERMISSION], 3);
	assert_in_range(l.server.largest_request, 300, 548);
	link_close(&l);
}

/* One peer that the server refuses does not take the others with it. */
static void one_refusal_is_one(void **state)
{
	struct netaddr peers[10];
	struct link l;

	(void)state;
	for (unsigned int i = 0; i < 10; i++)
		peers[i] = peer_number(i);
	link_open(&l);
	l.server.config.refused = peers[4];
	link_start(&l);
	assert_int_equal(turn_allocation_permit(l.a, l.now_us, peers, 10), OK);
	link_run(&l, US_PER_S);
	assert_int_equal(link_count(&l, TURN_EVENT_PERMITTED), 9);
	assert_int_equal(link_count(&l, TURN_EVENT_PEER_REFUSED), 1);
	assert_true(netaddr_ip_equal(&link_event(&l, TURN_EVENT_PEER_REFUSED)->peer, &peers[4]));
	send_text(&l, &peers[4], "x", ERR_NOT_FOUND);
	/* Not asked for again by itself, but when somebody wants it anew. */
	link_run(&l, 3600 * US_PER_S);
	assert_int_equal(link_count(&l, TURN_EVENT_PEER_REFUSED), 1);
	l.server.config.refused = (struct netaddr){0};
	assert_int_equal(turn_allocation_permit(l.a, l.now_us, &peers[4], 1), OK);
	link_pump(&l);
	assert_int_equal(link_count(&l, TURN_EVENT_PERMITTED), 10);
	link_close(&l);
}

/* Each second of many hours both ways, with a server that keeps its times to the second. */
static void never_run_out(void **state)
{
	struct netaddr permitted = peer_number(1), bound = peer_number(2);
	struct link l;

	(void)state;
	link_open(&l);
	l.server.config.nonce_life_us = 301 * US_PER_S;
	link_start(&l);
	assert_int_equal(turn_allocation_permit(l.a, l.now_us, &permitted, 1), OK);
	assert_int_equal(turn_allocation_bind(l.a, l.now_us, &bound), OK);
	link_pump(&l);
	for (size_t second = 1; second <= 4 * 3600; second++) {
		link_run(&l, US_PER_S);
		send_text(&l, &permitted, "a", OK);
		send_text(&l, &bound, "b", OK);
		receive_text(&l, &permitted, "c");
		receive_text(&l, &bound, "d");
		assert_int_equal(l.to_peer_count, 2 * second);
		assert_int_equal(l.data_count, 2 * second);
	}
	assert_int_equal(turn_allocation_channel(l.a, l.now_us, &bound), TURN_CHANNEL_MIN);
	/* A channel's renewal renews the permission of its address. */
	assert_in_range(l.server.requests[STUN_METHOD_CREATE_PERMISSION], 55, 65);
	assert_in_range(l.server.requests[STUN_METHOD_CHANNEL_BIND], 55, 65);
	link_close(&l);
}

static void a_channel_saves_bytes(void **state)
{
	struct netaddr peer = peer_number(2);
	uint8_t buf[64], text[] = "12345";
	struct link l;
	size_t len;

	(void)state;
	link_open(&l);
	link_start(&l);
	assert_int_equal(turn_allocation_bind(l.a, l.now_us, &peer), OK);
	assert_int_equal(
		turn_allocation_wrap(l.a, l.now_us, &peer, text, 5, buf, sizeof(buf), &len), OK);
	assert_true(len > 5 + TURN_CHANNEL_HEADER_BYTES); /* not bound yet: an indication */
	link_pump(&l);
	assert_int_equal(
		turn_allocation_wrap(l.a, l.now_us, &peer, text, 5, buf, sizeof(buf), &len), OK);
	assert_int_equal(len, 5 + TURN_CHANNEL_HEADER_BYTES);
	assert_memory_equal(buf,
			    "\x40\x00\x00\x05"
			    "12345",
			    9);
	/* In place, and not a byte beyond the buffer. */
	memcpy(buf + 4, text, 5);
	assert_int_equal(turn_allocation_wrap(l.a, l.now_us, &peer, buf + 4, 5, buf, 9, &len), OK);
	assert_memory_equal(buf,
			    "\x40\x00\x00\x05"
			    "12345",
			    9);
	assert_int_equal(turn_allocation_wrap(l.a, l.now_us, &peer, text, 5, buf, 8, &len),
			 ERR_NO_SPACE);
	link_close(&l);
}

static void streams_are_padded(void **state)
{
	struct netaddr peer = peer_number(2);
	uint8_t buf[64];
	struct link l;
	size_t len;

	(void)state;
	link_open(&l);
	l.params.stream = true;
	link_start(&l);
	assert_int_equal(turn_allocation_bind(l.a, l.now_us, &peer), OK);
	link_pump(&l);
	for (size_t n = 0; n < 9; n++) {
		assert_int_equal(turn_allocation_wrap(l.a, l.now_us, &peer,
						      (const uint8_t *)"12345678", n, buf,
						      sizeof(buf), &len),
				 OK);
		assert_int_equal(len, 4 + (n + 3) / 4 * 4);
	}
	assert_int_equal(
		turn_allocation_wrap(l.a, l.now_us, &peer, (const uint8_t *)"1", 1, buf, 7, &len),
		ERR_NO_SPACE);
	link_close(&l);
}

static void channel_data_is_taken(void **state)
{
	static const uint8_t padded[] = {0x40, 0, 0, 5, 'h', 'e', 'l', 'l', 'o', 0, 0, 0};
	struct netaddr peer = peer_number(2);
	struct turn_data data;
	struct link l;

	(void)state;
	link_open(&l);
	link_start(&l);
	assert_int_equal(turn_allocation_input(l.a, l.now_us, padded, 12, &data), DROP_STATE);
	assert_int_equal(turn_allocation_bind(l.a, l.now_us, &peer), OK);
	/* From the moment that it was asked for (RFC 8656 s. 12). */
	for (size_t len = 9; len <= 12; len++) {
		assert_int_equal(turn_allocation_input(l.a, l.now_us, padded, len, &data), OK);
		assert_int_equal(data.kind, TURN_DATA_BYTES);
		assert_int_equal(data.len, 5);
		assert_ptr_equal(data.bytes, padded + 4);
		assert_true(netaddr_equal(&data.peer, &peer));
	}
	for (size_t len = 0; len < 9; len++)
		assert_int_not_equal(turn_allocation_input(l.a, l.now_us, padded, len, &data), OK);
	link_pump(&l);
	link_close(&l);
}

/* RFC 8656 s. 12: a number rests 300 s after its binding has run out. */
static void numbers_are_not_used_again_early(void **state)
{
	struct netaddr first = peer_number(1), second = peer_number(2);
	struct link l;

	(void)state;
	link_open(&l);
	l.params.max_channels = 1;
	link_start(&l);
	assert_int_equal(turn_allocation_bind(l.a, l.now_us, &first), OK);
	link_pump(&l);
	turn_allocation_unbind(l.a, &first);
	assert_int_equal(turn_allocation_bind(l.a, l.now_us, &second), ERR_LIMIT);
	link_run(&l, 899 * US_PER_S);
	assert_int_equal(turn_allocation_bind(l.a, l.now_us, &second), ERR_LIMIT);
	link_run(&l, 2 * US_PER_S);
	assert_int_equal(turn_allocation_bind(l.a, l.now_us, &second), OK);
	link_run(&l, US_PER_S);
	assert_int_equal(link_count(&l, TURN_EVENT_CHANNEL), 2);
	link_close(&l);
}

static void the_same_peer_takes_its_number_up_again(void **state)
{
	struct netaddr peer = peer_number(1);
	struct link l;

	(void)state;
	link_open(&l);
	l.params.max_channels = 1;
	link_start(&l);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(turn_allocation_bind(l.a, l.now_us, &peer), OK);
		link_run(&l, US_PER_S);
		assert_int_equal(turn_allocation_channel(l.a, l.now_us, &peer), TURN_CHANNEL_MIN);
		turn_allocation_unbind(l.a, &peer);
		link_run(&l, (unsigned int)i * 47 * US_PER_S);
	}
	link_close(&l);
}

/* A storm of bindings of random peers: the strict server finds nothing wrong. */
static void no_sequence_confuses_the_server(void **state)
{
	struct random_seeded seed;
	struct random_source random;
	struct link l;

	(void)state;
	random_seeded_init(&seed, 7);
	random = random_seeded_source(&seed);
	link_open(&l);
	l.params.max_channels = 6;
	l.params.max_permissions = 16;
	link_start(&l);
	for (int i = 0; i < 5000; i++) {
		struct netaddr peer = peer_number(random_below(&random, 12));

		switch (random_below(&random, 5)) {
		case 0:
			(void)!turn_allocation_bind(l.a, l.now_us, &peer);
			break;
		case 1:
			turn_allocation_unbind(l.a, &peer);
			break;
		case 2:
			l.cut = random_below(&random, 10) == 0;
			break;
		case 3:
			link_run(&l, random_below(&random, 100) * US_PER_S);
			break;
		default:
			if (turn_allocation_state(l.a) == TURN_LOST)
				(void)!turn_allocation_restart(l.a, l.now_us, NULL);
			link_pump(&l);
		}
		l.event_count = 0;
	}
	link_close(&l);
}

static void wishes_are_copied(void **state)
{
	struct netaddr permitted = peer_number(1), bound = peer_number(2);
	struct turn_allocation *copy;
	struct link l;

	(void)state;
	link_open(&l);
	link_start(&l);
	assert_int_equal(turn_allocation_permit(l.a, l.now_us, &permitted, 1), OK);
	assert_int_equal(turn_allocation_bind(l.a, l.now_us, &bound), OK);
	assert_int_equal(turn_allocation_create(&copy, &l.params, l.now_us), OK);
	turn_allocation_copy_peers(copy, l.a, l.now_us);
	turn_allocation_destroy(l.a);
	l.a = copy;
	link_pump(&l);
	assert_int_equal(link_count(&l, TURN_EVENT_PERMITTED), 2);
	assert_int_equal(link_count(&l, TURN_EVENT_CHANNEL), 1);
	/* What was counted once is gone by one. */
	turn_allocation_unpermit(l.a, &permitted);
	assert_false(turn_allocation_is_permitted(l.a, l.now_us, &permitted));
	turn_allocation_unbind(l.a, &bound);
	assert_false(turn_allocation_is_permitted(l.a, l.now_us, &bound));
	link_close(&l);
}

static void ip6_peers_need_an_ip6_address(void **state)
{
	struct netaddr peer = link_address("[2001:db8::9]:1000");
	struct link l;

	(void)state;
	link_open(&l);
	l.params.family = NETADDR_NONE;
	l.server.config.ip6 = false;
	link_start(&l);
	assert_int_equal(turn_allocation_permit(l.a, l.now_us, &peer, 1), OK);
	link_pump(&l);
	assert_int_equal(link_event(&l, TURN_EVENT_PEER_REFUSED)->problem, TURN_PROBLEM_FAMILY);
	link_close(&l);

	link_open(&l);
	l.params.family = NETADDR_NONE;
	link_start(&l);
	assert_int_equal(turn_allocation_bind(l.a, l.now_us, &peer), OK);
	link_pump(&l);
	send_text(&l, &peer, "six", OK);
	assert_int_equal(l.to_peer.from.family, NETADDR_IP6);
	link_close(&l);
}

static void expects_only_its_own(void **state)
{
	uint8_t buf[TURN_REQUEST_MAX_BYTES], other[STUN_TXID_BYTES] = {0};
	struct stun_message m;
	struct stun_writer w;
	struct link l;
	size_t len;

	(void)state;
	link_open(&l);
	assert_int_equal(turn_allocation_create(&l.a, &l.params, l.now_us), OK);
	assert_true(turn_allocation_pop_transmit(l.a, buf, sizeof(buf), &len));
	assert_int_equal(stun_decode(&m, buf, len), OK);
	assert_true(turn_allocation_expects(l.a, m.txid));
	assert_false(turn_allocation_expects(l.a, other));
	/* Of what comes from the server: that answer, data, and channels. */
	assert_true(turn_allocation_wants(l.a, buf, len));
	stun_write_begin(&w, buf, sizeof(buf), STUN_CLASS_SUCCESS, STUN_METHOD_BINDING, other);
	assert_int_equal(stun_write_finish(&w, NULL, 0, true, &len), OK);
	assert_false(turn_allocation_wants(l.a, buf, len));
	stun_write_begin(&w, buf, sizeof(buf), STUN_CLASS_INDICATION, STUN_METHOD_DATA, other);
	assert_int_equal(stun_write_finish(&w, NULL, 0, true, &len), OK);
	assert_true(turn_allocation_wants(l.a, buf, len));
	stun_write_begin(&w, buf, sizeof(buf), STUN_CLASS_INDICATION, STUN_METHOD_BINDING, other);
	assert_int_equal(stun_write_finish(&w, NULL, 0, true, &len), OK);
	assert_false(turn_allocation_wants(l.a, buf, len));
	assert_true(turn_allocation_wants(l.a, (const uint8_t[]){0x40, 0, 0, 0}, 4));
	assert_false(turn_allocation_wants(l.a, (const uint8_t[]){0xc0, 0, 0, 0}, 4));
	assert_false(turn_allocation_wants(l.a, buf, 0));
	link_close(&l);
}

/* A permission that is wanted while another is asked for does not wait for that one's answer: its
 * first packet is right behind the request. */
/* The deadline is that of what was asked for just now, whatever comes later. */
static void what_got_lost_is_asked_for_again(void **state)
{
	struct netaddr peer = peer_number(1);
	uint8_t buf[TURN_REQUEST_MAX_BYTES];
	struct link l;
	size_t len;

	(void)state;
	link_open(&l);
	link_start(&l);
	assert_int_equal(turn_allocation_permit(l.a, l.now_us, &peer, 1), OK);
	assert_true(turn_allocation_pop_transmit(l.a, buf, sizeof(buf), &len));
	assert_true(turn_allocation_next_deadline(l.a) == l.now_us + STUN_RTO_US);
	link_run(&l, STUN_RTO_US);
	assert_true(turn_allocation_is_permitted(l.a, l.now_us, &peer));
	assert_int_equal(turn_allocation_bind(l.a, l.now_us, &peer), OK);
	assert_true(turn_allocation_pop_transmit(l.a, buf, sizeof(buf), &len));
	assert_true(turn_allocation_next_deadline(l.a) == l.now_us + STUN_RTO_US);
	link_run(&l, STUN_RTO_US);
	assert_true(turn_allocation_channel(l.a, l.now_us, &peer) != TURN_NO_CHANNEL);
	link_close(&l);
}

static void permissions_do_not_wait(void **state)
{
	struct netaddr a = link_address("192.0.2.101:1"), b = link_address("192.0.2.102:1"),
		       c = link_address("192.0.2.103:1"), found;
	uint8_t buf[TURN_REQUEST_MAX_BYTES];
	struct stun_message m;
	struct link l;
	size_t len;

	(void)state;
	link_open(&l);
	link_start(&l);
	/* Two before anything was written: one request with both. */
	assert_int_equal(turn_allocation_permit(l.a, l.now_us, &a, 1), OK);
	assert_int_equal(turn_allocation_permit(l.a, l.now_us, &b, 1), OK);
	assert_true(turn_allocation_pop_transmit(l.a, buf, sizeof(buf), &len));
	assert_int_equal(stun_decode(&m, buf, len), OK);
	assert_true(stun_find_address(&m, STUN_XOR_PEER_ADDRESS, 0, &found));
	assert_true(netaddr_ip_equal(&found, &a));
	assert_true(stun_find_address(&m, STUN_XOR_PEER_ADDRESS, 1, &found));
	assert_true(netaddr_ip_equal(&found, &b));
	assert_false(turn_allocation_pop_transmit(l.a, buf, sizeof(buf), &len));
	/* The third has a request of its own, without the first two. */
	assert_int_equal(turn_allocation_permit(l.a, l.now_us, &c, 1), OK);
	assert_true(turn_allocation_pop_transmit(l.a, buf, sizeof(buf), &len));
	assert_int_equal(stun_decode(&m, buf, len), OK);
	assert_true(stun_find_address(&m, STUN_XOR_PEER_ADDRESS, 0, &found));
	assert_true(netaddr_ip_equal(&found, &c));
	assert_false(stun_find_address(&m, STUN_XOR_PEER_ADDRESS, 1, &found));
	/* The first was lost; the second is answered; each gets its own answer. */
	turn_server_input(&l.server, l.now_us, &l.server.address, &l.client, buf, len);
	link_pump(&l);
	assert_true(turn_allocation_is_permitted(l.a, l.now_us, &c));
	assert_false(turn_allocation_is_permitted(l.a, l.now_us, &a));
	link_run(&l, US_PER_S);
	assert_true(turn_allocation_is_permitted(l.a, l.now_us, &a));
	assert_true(turn_allocation_is_permitted(l.a, l.now_us, &b));
	link_close(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(data_needs_a_permission),
		cmocka_unit_test(an_icmp_error_is_a_hint),
		cmocka_unit_test(wishes_wait_for_the_allocation),
		cmocka_unit_test(permissions_are_counted),
		cmocka_unit_test(many_fit_one_request),
		cmocka_unit_test(one_refusal_is_one),
		cmocka_unit_test(never_run_out),
		cmocka_unit_test(a_channel_saves_bytes),
		cmocka_unit_test(streams_are_padded),
		cmocka_unit_test(channel_data_is_taken),
		cmocka_unit_test(numbers_are_not_used_again_early),
		cmocka_unit_test(the_same_peer_takes_its_number_up_again),
		cmocka_unit_test(no_sequence_confuses_the_server),
		cmocka_unit_test(wishes_are_copied),
		cmocka_unit_test(ip6_peers_need_an_ip6_address),
		cmocka_unit_test(expects_only_its_own),
		cmocka_unit_test(permissions_do_not_wait),
		cmocka_unit_test(what_got_lost_is_asked_for_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
