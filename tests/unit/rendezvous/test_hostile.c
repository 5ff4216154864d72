/*
 * The ways that are known to make libzmq 4.3.4 abort a server from outside. libzmq has not mended
 * them; our settings avoid them, and these tests hold us to that.
 */
#include "tests/unit/rendezvous/world.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

#include "daemon/core/base/cursor.h"
#include "daemon/core/crypto/random.h"
#include "daemon/core/crypto/secret.h"
#include "rendezvous/router.h"

static void set_int(void *socket, int option, int value)
{
	assert_int_equal(zmq_setsockopt(socket, option, &value, sizeof(value)), 0);
}

/* A client made of libzmq alone, without any of our care. */
static void *raw_client(void *zmq, const uint8_t server_key[static DH_BYTES], const void *id,
			size_t id_len)
{
	const struct random_source random = random_system();
	void *socket = zmq_socket(zmq, ZMQ_DEALER);
	struct dh_keypair keys;

	assert_non_null(socket);
	dh_generate(&keys, &random);
	assert_int_equal(zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, server_key, DH_BYTES), 0);
	assert_int_equal(zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, keys.secret, DH_BYTES), 0);
	assert_int_equal(zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, keys.public, DH_BYTES), 0);
	if (id_len)
		assert_int_equal(zmq_setsockopt(socket, ZMQ_ROUTING_ID, id, id_len), 0);
	set_int(socket, ZMQ_PROBE_ROUTER, 1);
	set_int(socket, ZMQ_LINGER, 0);
	set_int(socket, ZMQ_RCVTIMEO, 15000);
	set_int(socket, ZMQ_SNDTIMEO, 15000);
	return socket;
}

/* The descriptor of the client's TCP connection, once it stands. */
static int fd_of(void *monitor)
{
	for (;;) {
		uint8_t head[6];
		uint16_t event;
		int32_t value;

		assert_int_equal(zmq_recv(monitor, head, sizeof(head), 0), sizeof(head));
		assert_return_code(zmq_recv(monitor, NULL, 0, 0), 0);
		memcpy(&event, head, sizeof(event));
		memcpy(&value, head + 2, sizeof(value));
		if (event == ZMQ_EVENT_CONNECTED)
			return value;
	}
}

static unsigned count_messages;

static void on_message(void *ctx, uint32_t connection, const uint8_t key[static ROUTER_KEY_BYTES],
		       const uint8_t *buf, size_t len)
{
	(void)ctx;
	(void)connection;
	(void)key;
	(void)buf;
	(void)len;
	count_messages++;
}

/* Turns the loop until @until messages have come. */
static void turn(uv_loop_t *loop, unsigned until)
{
	uint64_t limit_ns = uv_hrtime() + 15000000000ULL;

	while (count_messages < until && uv_hrtime() < limit_ns) {
		uv_run(loop, UV_RUN_NOWAIT);
		usleep(1000);
	}
}

/* A client fills the receive queue while the server's thread is busy, and resets the connection.
 * With heartbeats on, the next beat aborts the process (stream_engine_base.cpp:331). The stall is
 * the condition that is tested: it has to be longer than any heartbeat that somebody may switch
 * on. */
static void test_flood_and_reset_while_stalled(void **state)
{
	const struct random_source random = random_system();
	struct dh_keypair server;
	struct router *router;
	uv_loop_t loop;
	struct router_params params = {
		.loop = &loop,
		.listen = "tcp://127.0.0.1:*",
		.server_secret = server.secret,
		.on_message = on_message,
	};
	void *zmq = zmq_ctx_new();
	const struct linger reset = {.l_onoff = 1, .l_linger = 0};
	void *client;
	void *monitor;
	int fd;

	(void)state;
	assert_int_equal(crypto_start(), OK);
	count_messages = 0;
	dh_generate(&server, &random);
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(router_create(&router, &params), OK);
	client = raw_client(zmq, server.public, NULL, 0);
	set_int(client, ZMQ_SNDHWM, 0);
	assert_int_equal(zmq_socket_monitor(client, "inproc://watch", ZMQ_EVENT_CONNECTED), 0);
	monitor = zmq_socket(zmq, ZMQ_PAIR);
	set_int(monitor, ZMQ_LINGER, 0);
	set_int(monitor, ZMQ_RCVTIMEO, 15000);
	assert_int_equal(zmq_connect(monitor, "inproc://watch"), 0);
	assert_int_equal(zmq_connect(client, router_endpoint(router)), 0);
	fd = fd_of(monitor);
	turn(&loop, 1);
	assert_int_equal(count_messages, 1);
	for (int i = 0; i < 3000; i++)
		assert_return_code(zmq_send(client, "flood", 5, 0), 0);
	sleep(1); /* the server's thread is busy; its I/O thread is not */
	assert_return_code(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
	zmq_close(client);
	zmq_close(monitor);
	sleep(2);

	/* The server goes on, and serves the next one. */
	turn(&loop, 100);
	assert_true(count_messages >= 100);
	client = raw_client(zmq, server.public, NULL, 0);
	count_messages = 0;
	assert_int_equal(zmq_connect(client, router_endpoint(router)), 0);
	assert_return_code(zmq_send(client, "after", 5, 0), 0);
	turn(&loop, 2);
	assert_true(count_messages >= 2);
	zmq_close(client);
	zmq_ctx_term(zmq);
	router_destroy(router);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
}

/* The start of the routing ids of the socket number @index in a process that never called srand():
 * libzmq makes it of two numbers of rand(). */
static uint32_t unseeded_start(unsigned index)
{
	struct random_data data = {0};
	char buf[128];
	int32_t low = 0;
	int32_t high = 0;

	assert_int_equal(initstate_r(1, buf, sizeof(buf), &data), 0);
	for (unsigned i = 0; i <= index; i++) {
		random_r(&data, &low);
		random_r(&data, &high);
	}
	return (uint32_t)low | (uint32_t)high << 31;
}

/* A client claims the routing ids that the server would give out next if it had not seeded rand();
 * the server would abort when it comes to one (socket_base.cpp:2130). */
static void test_claimed_routing_ids(void **state)
{
	enum { CLAIMS = 72, CLIENTS = 40, STARTS = 3 };
	struct world *w = calloc(1, sizeof(*w));
	void *zmq = zmq_ctx_new();
	void *sockets[CLAIMS + CLIENTS];
	struct signal_link_config config;

	(void)state;
	assert_non_null(w);
	world_init(w);
	world_link_config(w, &config);
	for (unsigned i = 0; i < CLAIMS + CLIENTS; i++) {
		uint8_t id[5] = {0};
		uint8_t buf[256];
		struct wr wr = wr_init(id + 1, sizeof(id) - 1);
		struct signal_message m;
		int n;

		/* Far enough ahead that the claims themselves do not use them up. */
		wr_u32be(&wr, unseeded_start(i % STARTS) + 8 + i / STARTS);
		sockets[i] = raw_client(zmq, config.server_key, id, i < CLAIMS ? sizeof(id) : 0);
		assert_int_equal(zmq_connect(sockets[i], config.endpoint[0]), 0);
		n = zmq_recv(sockets[i], buf, sizeof(buf), 0);
		if (n < 0)
			fail_msg("client %u gets no answer", i);
		assert_int_equal(signal_message_decode(buf, (size_t)n, &m), OK);
		assert_int_equal(m.type, SIGNAL_CHALLENGE);
	}
	assert_true(world_server_lives(w));
	for (unsigned i = 0; i < CLAIMS + CLIENTS; i++)
		zmq_close(sockets[i]);
	zmq_ctx_term(zmq);
	world_fini(w);
	free(w);
}

/* Two frames, a frame beyond the limit, a routing id of another kind: nothing for the service. */
static void test_odd_messages(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	void *zmq = zmq_ctx_new();
	static uint8_t large[20000];
	struct signal_link_config config;
	struct signal_message m;
	uint8_t buf[256];
	void *foreign;
	void *client;
	int n;

	(void)state;
	assert_non_null(w);
	world_init(w);
	world_link_config(w, &config);
	foreign = raw_client(zmq, config.server_key, "alice", 5);
	set_int(foreign, ZMQ_RCVTIMEO, 0);
	assert_int_equal(zmq_connect(foreign, config.endpoint[0]), 0);
	assert_return_code(zmq_send(foreign, large, sizeof(large), 0), 0);
	client = raw_client(zmq, config.server_key, NULL, 0);
	assert_int_equal(zmq_connect(client, config.endpoint[0]), 0);
	n = zmq_recv(client, buf, sizeof(buf), 0);
	assert_true(n > 0);
	for (int i = 0; i < 20; i++) {
		assert_return_code(zmq_send(client, "two", 3, ZMQ_SNDMORE), 0);
		assert_return_code(zmq_send(client, "frames", 6, 0), 0);
		assert_return_code(zmq_send(client, "rubbish", 7, 0), 0);
	}
	/* The next answer is to the next good message, a PING of somebody unknown. */
	m = (struct signal_message){.type = SIGNAL_PING, .seq = 1};
	{
		uint8_t ping[64];
		size_t len;

		assert_int_equal(signal_message_encode(&m, ping, sizeof(ping), &len), OK);
		assert_return_code(zmq_send(client, ping, len, 0), 0);
	}
	n = zmq_recv(client, buf, sizeof(buf), 0);
	assert_true(n > 0);
	assert_int_equal(signal_message_decode(buf, (size_t)n, &m), OK);
	assert_int_equal(m.type, SIGNAL_CHALLENGE);
	set_int(client, ZMQ_RCVTIMEO, 0);
	assert_int_equal(zmq_recv(client, buf, sizeof(buf), 0), -1);
	assert_int_equal(zmq_recv(foreign, buf, sizeof(buf), 0), -1);
	zmq_close(client);
	zmq_close(foreign);
	zmq_ctx_term(zmq);
	world_fini(w);
	free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flood_and_reset_while_stalled),
		cmocka_unit_test(test_claimed_routing_ids),
		cmocka_unit_test(test_odd_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
