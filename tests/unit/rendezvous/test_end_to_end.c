/* The real server, the real helper, loopback TCP. */
#include "tests/unit/rendezvous/world.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/core/stun/message.h"
#include "daemon/core/stun/writer.h"

#define LIMIT_MS 30000

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	world_init(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	world_fini(*state);
	free(*state);
	return 0;
}

/* A host that has joined and is registered. */
static struct host *member(struct world *w, const char *name)
{
	struct host *h = host_new(w, name);
	struct token token;

	world_token(w, "1", &token);
	assert_int_equal(host_join(h, &token), JOINER_DONE);
	host_register(h, 1);
	assert_true(world_wait(w, host_is_registered, h, LIMIT_MS));
	return h;
}

/* Waits for one more message of a type than there were. */
struct expected {
	struct host *host;
	enum signal_type type;
	unsigned count;
};

static bool has_come(void *ctx)
{
	const struct expected *e = ctx;

	return e->host->seen[e->type] >= e->count;
}

static bool wait_for(struct host *h, enum signal_type type, unsigned count)
{
	struct expected e = {.host = h, .type = type, .count = count};

	return world_wait(h->world, has_come, &e, LIMIT_MS);
}

static void forward(struct host *from, const char *to, uint8_t xid, const char *body)
{
	struct signal_message m = {.type = SIGNAL_FORWARD, .kind = SIGNAL_BODY_OFFER};

	snprintf(m.to, sizeof(m.to), "%s", to);
	memset(m.xid, xid, sizeof(m.xid));
	m.body = (const uint8_t *)body;
	m.body_len = strlen(body);
	host_send(from, &m);
}

/* A message goes from one to the other and is acknowledged. */
static void check_forward(struct host *from, struct host *to, uint8_t xid)
{
	unsigned delivered = to->seen[SIGNAL_DELIVER];
	unsigned acked = from->seen[SIGNAL_ACK];

	forward(from, to->name, xid, "hello");
	assert_true(wait_for(to, SIGNAL_DELIVER, delivered + 1));
	assert_true(wait_for(from, SIGNAL_ACK, acked + 1));
	assert_string_equal(to->last[SIGNAL_DELIVER].from, from->name);
	assert_int_equal(to->last[SIGNAL_DELIVER].xid[0], xid);
	assert_int_equal(to->last[SIGNAL_DELIVER].body_len, 5);
	assert_memory_equal(to->body, "hello", 5);
	assert_int_equal(from->last[SIGNAL_ACK].xid[15], xid);
}

static void test_two_hosts_meet(void **state)
{
	struct world *w = *state;
	struct host *alice = member(w, "alice");
	struct host *bob = member(w, "bob");
	struct signal_message lookup = {.type = SIGNAL_LOOKUP};
	const struct signal_server *servers = alice->last[SIGNAL_REGISTERED].servers;
	char uri[64];

	check_forward(alice, bob, 1);
	check_forward(bob, alice, 2);
	forward(alice, "carol", 3, "hello");
	assert_true(wait_for(alice, SIGNAL_ERROR, 1));
	assert_int_equal(alice->last[SIGNAL_ERROR].code, SIGNAL_ERROR_ABSENT);
	assert_int_equal(alice->last[SIGNAL_ERROR].xid[0], 3);

	/* The second host that joined has the second address. */
	assert_int_equal(netaddr_parse_ip("100.96.0.2", 0, &lookup.address), OK);
	memset(lookup.xid, 4, sizeof(lookup.xid));
	host_send(alice, &lookup);
	assert_true(wait_for(alice, SIGNAL_FOUND, 1));
	assert_true(alice->last[SIGNAL_FOUND].online);
	assert_int_equal(alice->last[SIGNAL_FOUND].certificate_len, bob->certificate_len);

	snprintf(uri, sizeof(uri), "stun:127.0.0.1:%d", w->stun_port);
	assert_int_equal(alice->last[SIGNAL_REGISTERED].server_count, 2);
	assert_string_equal(servers[0].uri, uri);
	assert_string_equal(servers[1].uri, "turn:192.0.2.1:3478");
	assert_non_null(strstr(servers[1].username, ":alice"));
}

static void test_bye_and_absent(void **state)
{
	struct world *w = *state;
	struct host *alice = member(w, "alice");
	struct host *bob = member(w, "bob");
	const struct signal_message watch = {.type = SIGNAL_WATCH, .name = "bob"};
	const struct signal_message bye = {.type = SIGNAL_BYE};

	host_send(alice, &watch);
	assert_true(wait_for(alice, SIGNAL_PRESENCE, 1));
	assert_true(alice->last[SIGNAL_PRESENCE].online);
	/* BYE, then the end of the helper at once: the message still leaves. */
	host_send(bob, &bye);
	host_free(bob);
	assert_true(wait_for(alice, SIGNAL_PRESENCE, 2));
	assert_false(alice->last[SIGNAL_PRESENCE].online);
	forward(alice, "bob", 9, "hello");
	assert_true(wait_for(alice, SIGNAL_ERROR, 1));
	assert_int_equal(alice->last[SIGNAL_ERROR].code, SIGNAL_ERROR_ABSENT);
}

static void test_token_is_for_one_host(void **state)
{
	struct world *w = *state;
	struct host *alice = host_new(w, "alice");
	struct host *bob = host_new(w, "bob");
	struct token token;
	uint8_t first[CERT_MAX_BYTES];

	world_token(w, "1", &token);
	assert_int_equal(host_join(alice, &token), JOINER_DONE);
	assert_int_equal(host_join(bob, &token), JOINER_FAILED);
	assert_int_equal(joiner_code(bob->joiner), SIGNAL_ERROR_TOKEN_USED);
	/* The same host may ask again, and gets the same. */
	memcpy(first, alice->certificate, sizeof(first));
	assert_int_equal(host_join(alice, &token), JOINER_DONE);
	assert_memory_equal(first, alice->certificate, alice->certificate_len);
	/* The name is taken for another host, also with a good token. */
	world_token(w, "1", &token);
	snprintf(bob->name, sizeof(bob->name), "alice");
	assert_int_equal(host_join(bob, &token), JOINER_FAILED);
	assert_int_equal(joiner_code(bob->joiner), SIGNAL_ERROR_NAME_TAKEN);
	token.secret[0] ^= 1;
	snprintf(bob->name, sizeof(bob->name), "bob");
	assert_int_equal(host_join(bob, &token), JOINER_FAILED);
	assert_int_equal(joiner_code(bob->joiner), SIGNAL_ERROR_TOKEN_INVALID);
}

static void test_taken_identifier_is_refused(void **state)
{
	struct world *w = *state;
	struct host *alice = member(w, "alice");
	struct host *bob = member(w, "bob");
	struct host *mallory = host_new(w, "alice");

	host_forge_certificate(mallory, "alice");
	host_register(mallory, 99);
	assert_true(world_wait(w, host_is_refused, mallory, LIMIT_MS));
	assert_int_equal(registrar_code(mallory->registrar), SIGNAL_ERROR_NAME_TAKEN);
	check_forward(bob, alice, 5);
	check_forward(alice, bob, 6);
}

static void test_foreign_certificate_is_refused(void **state)
{
	struct world *w = *state;
	struct host *alice = member(w, "alice");
	struct host *thief = host_new(w, "thief");

	/* A certificate is public; without its key it is worth nothing. */
	memcpy(thief->certificate, alice->certificate, alice->certificate_len);
	thief->certificate_len = alice->certificate_len;
	host_register(thief, 99);
	assert_true(world_wait(w, host_is_refused, thief, LIMIT_MS));
	assert_int_equal(registrar_code(thief->registrar), SIGNAL_ERROR_CERTIFICATE);
	assert_true(host_is_registered(alice));
}

static void test_copied_host_is_replaced(void **state)
{
	struct world *w = *state;
	struct host *alice = member(w, "alice");
	struct host *copy = host_new(w, "alice");
	struct signal_link_config config;

	world_link_config(w, &config);
	memcpy(config.curve_secret, alice->curve.secret, sizeof(config.curve_secret));
	memcpy(config.curve_public, alice->curve.public, sizeof(config.curve_public));
	assert_int_equal(signal_client_configure(copy->client, &config), OK);
	memcpy(copy->certificate, alice->certificate, alice->certificate_len);
	copy->certificate_len = alice->certificate_len;
	host_register(copy, 2);
	assert_true(world_wait(w, host_is_refused, alice, LIMIT_MS));
	assert_int_equal(registrar_code(alice->registrar), SIGNAL_ERROR_REPLACED);
	assert_true(world_wait(w, host_is_registered, copy, LIMIT_MS));
}

static bool is_link_down(void *ctx)
{
	const struct host *h = ctx;

	return signal_client_state(h->client) == SIGNAL_LINK_DOWN;
}

static void test_server_is_killed(void **state)
{
	struct world *w = *state;
	struct host *alice = member(w, "alice");
	struct host *bob = member(w, "bob");

	world_kill_server(w);
	assert_true(world_wait(w, is_link_down, alice, LIMIT_MS));
	assert_true(world_wait(w, is_link_down, bob, LIMIT_MS));
	world_start_server(w);
	assert_true(world_wait(w, host_is_registered, alice, LIMIT_MS));
	assert_true(world_wait(w, host_is_registered, bob, LIMIT_MS));
	check_forward(alice, bob, 7);
}

static void test_helper_is_killed(void **state)
{
	struct world *w = *state;
	struct host *alice = member(w, "alice");
	struct host *bob = member(w, "bob");
	pid_t pid = signal_client_helper_pid(alice->client);

	assert_true(pid > 0);
	kill(pid, SIGABRT);
	assert_true(world_wait(w, is_link_down, alice, LIMIT_MS));
	assert_int_equal(alice->reason, SIGNAL_LINK_HELPER);
	assert_true(world_wait(w, host_is_registered, alice, LIMIT_MS));
	assert_int_equal(signal_client_restarts(alice->client), 1);
	assert_true(signal_client_helper_pid(alice->client) != pid);
	check_forward(bob, alice, 8);
	check_forward(alice, bob, 9);
}

static bool is_another_helper(void *ctx)
{
	const struct host *h = ctx;

	return signal_client_restarts(h->client) == 1;
}

static void test_stuck_helper_is_replaced(void **state)
{
	struct world *w = *state;
	struct host *alice = member(w, "alice");

	kill(signal_client_helper_pid(alice->client), SIGSTOP);
	signal_client_reconnect(alice->client);
	assert_true(world_wait(w, is_another_helper, alice, LIMIT_MS));
	assert_true(world_wait(w, host_is_registered, alice, LIMIT_MS));
}

static void test_reconnect_keeps_registration(void **state)
{
	struct world *w = *state;
	struct host *alice = member(w, "alice");
	struct host *bob = member(w, "bob");
	unsigned ups = alice->ups;

	for (unsigned i = 1; i <= 3; i++) {
		unsigned registered = alice->seen[SIGNAL_REGISTERED];

		signal_client_reconnect(alice->client);
		assert_true(wait_for(alice, SIGNAL_REGISTERED, registered + 1));
	}
	assert_int_equal(alice->ups, ups + 3);
	check_forward(bob, alice, 10);
}

struct reason_wait {
	struct host *host;
	enum signal_link_reason reason;
};

static bool is_down_because(void *ctx)
{
	const struct reason_wait *r = ctx;

	return r->host->reason == r->reason;
}

static void check_reason(struct host *h, const struct signal_link_config *config,
			 enum signal_link_reason reason)
{
	struct reason_wait wait = {.host = h, .reason = reason};

	assert_int_equal(signal_client_configure(h->client, config), OK);
	if (!world_wait(h->world, is_down_because, &wait, LIMIT_MS))
		fail_msg("reason %s instead of %s", signal_link_reason_name(h->reason),
			 signal_link_reason_name(reason));
}

static bool is_up(void *ctx)
{
	return ((const struct host *)ctx)->ups > 0;
}

static void test_reasons(void **state)
{
	const struct signal_message ping = {.type = SIGNAL_PING};
	struct world *w = *state;
	struct host *h = host_new(w, "alice");
	struct signal_link_config config;
	struct signal_link_config other;

	world_link_config(w, &config);
	memcpy(config.curve_secret, h->curve.secret, sizeof(config.curve_secret));
	memcpy(config.curve_public, h->curve.public, sizeof(config.curve_public));
	other = config;
	other.server_key[3] ^= 1;
	check_reason(h, &other, SIGNAL_LINK_SERVER_KEY);
	other = config;
	snprintf(other.endpoint[0], sizeof(other.endpoint[0]), "tcp://127.0.0.1:1");
	check_reason(h, &other, SIGNAL_LINK_UNREACHABLE);
	snprintf(other.endpoint[0], sizeof(other.endpoint[0]), "tcp://no..name:1");
	check_reason(h, &other, SIGNAL_LINK_NAME);
	/* One dead endpoint does not keep from the other. */
	snprintf(config.endpoint[1], sizeof(config.endpoint[1]), "%s", config.endpoint[0]);
	snprintf(config.endpoint[0], sizeof(config.endpoint[0]), "tcp://[::1]:1");
	config.endpoint_count = 2;
	assert_int_equal(signal_client_configure(h->client, &config), OK);
	assert_true(world_wait(w, is_up, h, LIMIT_MS));
	host_send(h, &ping);
	assert_true(wait_for(h, SIGNAL_CHALLENGE, 1));
}

static int connect_raw(const struct world *w)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				   .sin_port = htons((uint16_t)w->port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_return_code(fd, 0);
	assert_return_code(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void test_strangers_do_not_disturb(void **state)
{
	struct world *w = *state;
	static const char http[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
	/* The greeting of ZMTP 3, with the mechanism NULL instead of CURVE. */
	static const char null_greeting[64] = "\xff\0\0\0\0\0\0\0\x01\x7f\x03\0NULL";
	struct host *alice = member(w, "alice");
	struct host *bob = member(w, "bob");
	int fds[120];

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = connect_raw(w);
		/* A third of them says nothing. */
		if (i % 3 == 1)
			(void)!send(fds[i], http, sizeof(http), MSG_NOSIGNAL);
		if (i % 3 == 2)
			(void)!send(fds[i], null_greeting, sizeof(null_greeting), MSG_NOSIGNAL);
	}
	for (uint8_t i = 0; i < 10; i++)
		check_forward(alice, bob, i);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	check_forward(bob, alice, 20);
	assert_true(world_server_lives(w));
}

/* Asks the STUN responder at one of the host's addresses; the answer has to come from there, which
 * a connected socket sees to. */
static void check_stun(const struct sockaddr *server, socklen_t server_len)
{
	const uint8_t txid[STUN_TXID_BYTES] = {7};
	const struct timeval limit = {.tv_sec = 10};
	struct stun_writer writer;
	struct stun_message m;
	uint8_t buf[256];
	size_t len;
	ssize_t n;
	int fd = socket(server->sa_family, SOCK_DGRAM, 0);
	struct sockaddr_in6 self;
	socklen_t self_len = sizeof(self);

	assert_return_code(connect(fd, server, server_len), 0);
	assert_return_code(getsockname(fd, (struct sockaddr *)&self, &self_len), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	assert_int_equal(send(fd, "rubbish", 7, 0), 7);
	stun_write_begin(&writer, buf, sizeof(buf), STUN_CLASS_REQUEST, STUN_METHOD_BINDING, txid);
	assert_int_equal(stun_write_finish(&writer, NULL, 0, true, &len), OK);
	assert_int_equal(send(fd, buf, len, 0), len);
	n = recv(fd, buf, sizeof(buf), 0);
	assert_true(n > 0);
	assert_int_equal(stun_decode(&m, buf, (size_t)n), OK);
	assert_int_equal(m.class, STUN_CLASS_SUCCESS);
	assert_memory_equal(m.txid, txid, sizeof(txid));
	/* The port is at the same place in both kinds of address. */
	assert_int_equal(m.xor_mapped_address.port, ntohs(self.sin6_port));
	close(fd);
}

static void test_stun(void **state)
{
	struct world *w = *state;
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)w->stun_port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
				   .sin6_addr = IN6ADDR_LOOPBACK_INIT,
				   .sin6_port = htons((uint16_t)w->stun_port)};
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	check_stun((struct sockaddr *)&in, sizeof(in));
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
	check_stun((struct sockaddr *)&in, sizeof(in));
	/* Not every machine has IPv6. */
	if (fd >= 0 && connect(fd, (struct sockaddr *)&in6, sizeof(in6)) == 0)
		check_stun((struct sockaddr *)&in6, sizeof(in6));
	if (fd >= 0)
		close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_two_hosts_meet, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bye_and_absent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_token_is_for_one_host, setup, teardown),
		cmocka_unit_test_setup_teardown(test_taken_identifier_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_foreign_certificate_is_refused, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_copied_host_is_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_server_is_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_helper_is_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stuck_helper_is_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reconnect_keeps_registration, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reasons, setup, teardown),
		cmocka_unit_test_setup_teardown(test_strangers_do_not_disturb, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stun, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
