/* Which keys are in use: who may send with them, when they go, which messages make them, and what
 * is told of their paths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/crypto/secret.h"
#include "daemon/core/peer/control.h"
#include "daemon/core/signal/description.h"
#include "daemon/core/signal/message.h"
#include "daemon/core/stun/message.h"
#include "daemon/core/tunnel/packet.h"
#include "tests/support/mesh.h"

static struct mesh mesh;
#define alice (&mesh.hosts[0])
#define bob   (&mesh.hosts[1])

/* What the filters look at. */
static uint8_t first_offer[SIGNAL_MESSAGE_MAX_BYTES];
static size_t first_offer_len;
static uint32_t alone; /* sealed datagrams of another session do not leave bob */
static size_t sealed_by_bob;

static int set_up(void **state)
{
	(void)state;
	mesh_create(&mesh, 2, 12);
	first_offer_len = 0;
	sealed_by_bob = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	mesh_destroy(&mesh);
	return 0;
}

static bool both_registered(struct mesh *m)
{
	return overlay_is_registered(m->hosts[0].overlay) &&
	       overlay_is_registered(m->hosts[1].overlay);
}

static bool both_have_path(struct mesh *m)
{
	return mesh_state(&m->hosts[0], "bob") == OVERLAY_PEER_CONNECTED &&
	       mesh_state(&m->hosts[1], "alice") == OVERLAY_PEER_CONNECTED &&
	       m->hosts[0].has_path && m->hosts[1].has_path;
}

static void connect_from(struct mesh_host *h, const char *to)
{
	uint32_t peer;

	assert_int_equal(overlay_connect(h->overlay, mesh.now_us, to, &peer), OK);
}

static void connect_both(void)
{
	assert_true(mesh_run(&mesh, US_PER_S, both_registered));
	connect_from(alice, "bob");
	assert_true(mesh_run(&mesh, US_PER_S, both_have_path));
	(void)mesh_run(&mesh, US_PER_S, NULL);
}

static struct overlay_peer_info peer_of(const struct mesh_host *h)
{
	struct overlay_peer_info info;

	assert_int_equal(overlay_peer(h->overlay, 0, &info), OK);
	return info;
}

static bool is_sealed(const uint8_t *buf, size_t len, uint32_t *ret_index)
{
	struct tunnel_header header;

	if (buf[0] < TUNNEL_TYPE_MIN || tunnel_header_read(buf, len, &header) != OK)
		return false;
	*ret_index = header.receiver_index;
	return true;
}

/* --- messages --- */

static bool keep_first_offer(struct mesh *m, const struct mesh_host *from,
			     struct signal_message *message)
{
	struct signal_message copy = *message;

	(void)m;
	if (from != alice || message->type != SIGNAL_FORWARD ||
	    message->kind != SIGNAL_BODY_OFFER || first_offer_len)
		return true;
	copy.type = SIGNAL_DELIVER;
	memcpy(copy.from, "alice", sizeof("alice"));
	assert_int_equal(
		signal_message_encode(&copy, first_offer, sizeof(first_offer), &first_offer_len),
		OK);
	return false;
}

/* Both offer; alice's offer comes when bob's has been answered. */
static void an_offer_that_was_overtaken(void **state)
{
	uint32_t session;

	(void)state;
	assert_true(mesh_run(&mesh, US_PER_S, both_registered));
	mesh.filter_frame = keep_first_offer;
	connect_from(alice, "bob");
	connect_from(bob, "alice");
	assert_true(mesh_run(&mesh, US_PER_S, both_have_path));
	assert_true(first_offer_len > 0);
	session = peer_of(bob).session;
	(void)mesh_run(&mesh, US_PER_S, NULL);
	assert_int_equal(overlay_on_signal(bob->overlay, mesh.now_us, first_offer, first_offer_len),
			 DROP_STALE);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	assert_int_equal(peer_of(bob).session, session);
	assert_true(both_have_path(&mesh));
}

static bool drop_all_sealed(struct mesh *m, const struct mesh_host *from, const uint8_t *buf,
			    size_t len)
{
	uint32_t index;

	(void)m;
	return from != alice || !is_sealed(buf, len, &index);
}

/* Bob's offer is answered, but the answer does not come. Then alice moves and offers herself: she
 * has given his up, and bob, whose identifier is higher, does not insist on it. */
static void an_offer_that_knows_ours(void **state)
{
	uint8_t ip[4] = {203, 0, 113, 60};
	struct netaddr address = netaddr_from_ip4(ip, 0);

	(void)state;
	connect_both();
	mesh_set_server(&mesh, false);
	mesh.filter_datagram = drop_all_sealed;
	assert_int_equal(overlay_restart(bob->overlay, mesh.now_us, 0), OK);
	(void)mesh_run(&mesh, 50 * US_PER_MS, NULL);
	assert_int_equal(peer_of(alice).restart_cause, OVERLAY_RESTART_PEER);
	mesh_remove_socket(alice, 1);
	for (int i = 0; i < 15; i++) {
		mesh_send_packet(alice, bob, 60);
		(void)mesh_run(&mesh, 100 * US_PER_MS, NULL);
	}
	mesh.filter_datagram = NULL;
	(void)mesh_add_address(alice, &address, 100);
	mesh_set_server(&mesh, true);
	assert_true(mesh_run(&mesh, US_PER_S, both_have_path));
}

/* --- keys --- */

static bool only_one_session(struct mesh *m, const struct mesh_host *from, const uint8_t *buf,
			     size_t len)
{
	uint32_t index;

	(void)m;
	return from != bob || !is_sealed(buf, len, &index) || index == alone;
}

/* Bob has heard alice with the new keys, and she does not hear him: he switches, she cannot. What
 * she sends with the old ones arrives all the same, for as long as she does. */
static void old_keys_open_while_they_are_used(void **state)
{
	size_t sent = 0;

	(void)state;
	connect_both();
	alone = peer_of(alice).session;
	mesh.filter_datagram = only_one_session;
	assert_int_equal(overlay_restart(alice->overlay, mesh.now_us, 0), OK);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	assert_int_equal(peer_of(bob).switches, 1);
	assert_int_equal(peer_of(alice).session, alone);
	bob->packets = 0;
	for (; sent < 20; sent++) {
		mesh_send_packet(alice, bob, 60);
		(void)mesh_run(&mesh, US_PER_S, NULL);
	}
	assert_int_equal(peer_of(alice).session, alone);
	assert_int_equal(bob->packets, sent);
	mesh.filter_datagram = NULL;
	(void)mesh_run(&mesh, 2 * US_PER_S, NULL);
	assert_int_equal(peer_of(alice).switches, 1);
	/* Both have said that they use the new ones: soon only those are there. */
	(void)mesh_run(&mesh, 6 * US_PER_S, NULL);
	assert_int_equal(mesh_count(alice, OVERLAY_EVENT_SESSION_REMOVE), 1);
	assert_int_equal(mesh_count(bob, OVERLAY_EVENT_SESSION_REMOVE), 1);
}

static bool no_answers(struct mesh *m, const struct mesh_host *from, struct signal_message *message)
{
	(void)m;
	return from != bob || message->type != SIGNAL_FORWARD ||
	       message->kind != SIGNAL_BODY_ANSWER;
}

static bool count_sealed(struct mesh *m, const struct mesh_host *from, const uint8_t *buf,
			 size_t len)
{
	uint32_t index;

	(void)m;
	sealed_by_bob += from == bob && is_sealed(buf, len, &index);
	return true;
}

/* Bob has keys that alice has not yet: what he sends waits, though his checks have succeeded. */
static void the_answerer_waits(void **state)
{
	(void)state;
	assert_true(mesh_run(&mesh, US_PER_S, both_registered));
	mesh.filter_frame = no_answers;
	mesh.filter_datagram = count_sealed;
	connect_from(alice, "bob");
	(void)mesh_run(&mesh, 500 * US_PER_MS, NULL);
	assert_int_equal(mesh_state(bob, "alice"), OVERLAY_PEER_CHECKING);
	mesh_send_packet(bob, alice, 60);
	(void)mesh_run(&mesh, 200 * US_PER_MS, NULL);
	assert_int_equal(sealed_by_bob, 0);
	mesh.filter_frame = NULL;
	assert_true(mesh_run(&mesh, US_PER_S, both_have_path));
	(void)mesh_run(&mesh, 200 * US_PER_MS, NULL);
	assert_int_equal(alice->packets, 1);
}

static size_t paths_told(const struct mesh_host *h)
{
	size_t n = 0;

	for (size_t i = 0; i < h->log_count; i++)
		n += h->log[i].type == OVERLAY_EVENT_PATH && h->log[i].is_new_path;
	return n;
}

/* The data plane hears of each session and of the nomination, people only of other addresses. */
static void a_path_is_news_once(void **state)
{
	struct overlay_preference list[] = {{1, 100}, {0, 200}};
	struct netaddr a = netaddr_from_ip4((const uint8_t[]){203, 0, 113, 50}, 0);
	size_t events, told;

	(void)state;
	connect_both();
	told = paths_told(alice);
	events = mesh_count(alice, OVERLAY_EVENT_PATH);
	assert_in_range(told, 1, events);
	assert_int_equal(overlay_restart(alice->overlay, mesh.now_us, 0), OK);
	(void)mesh_run(&mesh, 2 * US_PER_S, NULL);
	assert_int_equal(peer_of(alice).switches, 1);
	assert_in_range(mesh_count(alice, OVERLAY_EVENT_PATH), events + 2, SIZE_MAX);
	assert_int_equal(paths_told(alice), told);
	list[1].socket = mesh_add_address(alice, &a, 50);
	overlay_set_preferences(alice->overlay, mesh.now_us, list, 2);
	(void)mesh_run(&mesh, 5 * US_PER_S, NULL);
	assert_int_equal(alice->path.socket, list[1].socket);
	assert_int_equal(paths_told(alice), told + 1);
}

static bool alice_has_a_packet(struct mesh *m)
{
	return m->hosts[0].packets > 0;
}

/* No answer arrives, alice gives up and wants nothing any more; bob has something to say. */
static void the_answerer_does_not_wait_for_ever(void **state)
{
	(void)state;
	assert_true(mesh_run(&mesh, US_PER_S, both_registered));
	mesh.filter_frame = no_answers;
	connect_from(alice, "bob");
	(void)mesh_run(&mesh, 9 * US_PER_S, NULL);
	mesh_send_packet(bob, alice, 60);
	mesh.filter_frame = NULL;
	assert_true(mesh_run(&mesh, 3 * US_PER_S, alice_has_a_packet));
}

/* --- candidates --- */

static size_t checks_to[256];	   /* of bob, by the last byte of the address */
static unsigned int users_of[256]; /* two letters of the last user name */

static void watch_checks(struct mesh_host *h, uint16_t socket, const struct netaddr *to,
			 const uint8_t *buf, size_t len)
{
	(void)socket;
	struct stun_message m;

	if (h != bob || stun_decode(&m, buf, len) != OK || m.class != STUN_CLASS_REQUEST)
		return;
	checks_to[to->ip[3]]++;
	users_of[to->ip[3]] = m.username.p[0] * 256U + m.username.p[1];
}

static void say_to_bob(uint32_t session, const struct signal_candidates *c)
{
	uint8_t text[512] = {CONTROL_CANDIDATES};
	size_t len;

	assert_int_equal(signal_candidates_encode(c, text + 1, sizeof(text) - 1, &len), OK);
	(void)!overlay_on_control(bob->overlay, mesh.now_us, 0, session, true, text, 1 + len);
}

/* What comes with the keys of the session that is there is for its generation, not for that of the
 * restart: it may stand by there, and its end is not the end of the others. */
static void candidates_are_for_their_session(void **state)
{
	static const struct mesh_watch watch = {.sent = watch_checks};
	static struct signal_candidates c;
	struct ice_candidate candidate = {
		.type = ICE_CANDIDATE_HOST,
		.priority = ice_priority(ICE_CANDIDATE_HOST, 100),
		.foundation = "1",
		.addr = netaddr_from_ip4((const uint8_t[]){203, 0, 113, 61}, 4000),
	};
	struct netaddr a = netaddr_from_ip4((const uint8_t[]){203, 0, 113, 60}, 0);
	uint32_t session;

	(void)state;
	connect_both();
	session = peer_of(bob).session;
	mesh.direct_blocked = true;
	assert_int_equal(overlay_restart(alice->overlay, mesh.now_us, 0), OK);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	assert_int_equal(peer_of(bob).session, session);
	memset(checks_to, 0, sizeof(checks_to));
	mesh.watch = &watch;
	c = (struct signal_candidates){.end = true, .local = &candidate, .count = 1};
	say_to_bob(session, &c);
	(void)mesh_add_address(alice, &a, 100);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	assert_true(checks_to[60] > 0);
	assert_true(checks_to[61] == 0 || users_of[61] != users_of[60]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(an_offer_that_was_overtaken),
		TEST(an_offer_that_knows_ours),
		TEST(old_keys_open_while_they_are_used),
		TEST(the_answerer_waits),
		TEST(a_path_is_news_once),
		TEST(the_answerer_does_not_wait_for_ever),
		TEST(candidates_are_for_their_session),
	};

	if (crypto_start() != OK)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
