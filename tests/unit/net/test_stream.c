/* Streams against servers of this process, on the loopback: plain and TLS, good and bad
 * certificates. */
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/net/stream.h"

/* Long, for slow machines and valgrind; only a server that never answers uses them up. */
#define LIMIT_MS	  30000
#define CONNECT_MS	  20000
#define CONNECT_SILENT_MS 300

/* --- certificates --- */

static EVP_PKEY *key;
static char ca_file[64];

static void set_name(X509_NAME *name, const char *text)
{
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)text, -1, -1, 0);
}

static void add_extension(X509 *c, int id, const char *value)
{
	X509_EXTENSION *x = X509V3_EXT_conf_nid(NULL, NULL, id, value);

	X509_add_ext(c, x, -1);
	X509_EXTENSION_free(x);
}

/* A certificate of the authority's for @names, or its own for NULL, that is good from @from_s for
 * @for_s. */
static X509 *make_certificate(const char *names, long from_s, long for_s)
{
	X509 *c = X509_new();

	X509_set_version(c, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(c), names ? 2 : 1);
	X509_gmtime_adj(X509_getm_notBefore(c), from_s);
	X509_gmtime_adj(X509_getm_notAfter(c), from_s + for_s);
	set_name(X509_get_subject_name(c), names ? "server" : "authority");
	set_name(X509_get_issuer_name(c), "authority");
	X509_set_pubkey(c, key);
	add_extension(c, names ? NID_subject_alt_name : NID_basic_constraints,
		      names ? names : "CA:TRUE");
	assert_true(X509_sign(c, key, EVP_sha256()) > 0);
	return c;
}

/* --- the server: echoes one connection --- */

enum kind {
	KIND_TCP,
	KIND_TLS,
	KIND_SILENT,  /* takes the connection and says nothing */
	KIND_GARBAGE, /* speaks something else than TLS */
	KIND_CLOSES,
};

struct server {
	enum kind kind;
	int fd;
	struct netaddr address;
	X509 *certificate;
	pthread_t thread;
};

static void echo_tls(struct server *s, int fd)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	static char buf[20000];
	SSL *tls;
	int n;

	SSL_CTX_use_certificate(context, s->certificate);
	SSL_CTX_use_PrivateKey(context, key);
	tls = SSL_new(context);
	SSL_set_fd(tls, fd);
	if (SSL_accept(tls) == 1) {
		while ((n = SSL_read(tls, buf, sizeof(buf))) > 0) {
			if (SSL_write(tls, buf, n) != n)
				break;
		}
	}
	SSL_free(tls);
	SSL_CTX_free(context);
}

static void echo(int fd)
{
	char buf[4096];
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
		(void)!send(fd, buf, (size_t)n, MSG_NOSIGNAL);
}

static void *serve(void *arg)
{
	struct server *s = arg;
	int fd = accept(s->fd, NULL, NULL);
	char c;

	if (fd < 0)
		return NULL;
	switch (s->kind) {
	case KIND_TCP:
		echo(fd);
		break;
	case KIND_TLS:
		echo_tls(s, fd);
		break;
	case KIND_SILENT:
		while (recv(fd, &c, 1, 0) > 0)
			;
		break;
	case KIND_GARBAGE:
		(void)!send(fd, "220 hello\r\n", 11, MSG_NOSIGNAL);
		echo(fd);
		break;
	case KIND_CLOSES:
		break;
	}
	close(fd);
	return NULL;
}

static void server_start(struct server *s, enum kind kind, X509 *certificate)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sa);

	*s = (struct server){.kind = kind, .certificate = certificate};
	s->fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&sa, len), 0);
	assert_int_equal(listen(s->fd, 1), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&sa, &len), 0);
	assert_int_equal(netaddr_parse_ip("127.0.0.1", ntohs(sa.sin_port), &s->address), OK);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_stop(struct server *s)
{
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->fd);
	X509_free(s->certificate);
}

/* Instead of libuv's, which is the same but for this. */
static bool no_writes;

int uv_write(uv_write_t *request, uv_stream_t *stream, const uv_buf_t *bufs, unsigned int count,
	     uv_write_cb done)
{
	return no_writes ? UV_ENOMEM : uv_write2(request, stream, bufs, count, NULL, done);
}

/* --- the client --- */

struct client {
	uv_loop_t loop;
	uv_timer_t limit;
	struct net_stream *stream;
	bool open, closed, timed_out;
	size_t want, received, rooms;
	uint8_t sum;
	enum net_stream_reason reason;
	char detail[NET_STREAM_DETAIL];
};

static void on_open(void *ctx)
{
	struct client *c = ctx;

	c->open = true;
	uv_stop(&c->loop);
}

static void on_bytes(void *ctx, const uint8_t *buf, size_t len)
{
	struct client *c = ctx;

	for (size_t i = 0; i < len; i++)
		c->sum = (uint8_t)(c->sum + buf[i]);
	c->received += len;
	if (c->received >= c->want)
		uv_stop(&c->loop);
}

static void on_room(void *ctx)
{
	struct client *c = ctx;

	c->rooms++;
	uv_stop(&c->loop);
}

static void on_closed(void *ctx, enum net_stream_reason reason, const char *detail)
{
	struct client *c = ctx;

	c->closed = true;
	c->stream = NULL;
	c->reason = reason;
	snprintf(c->detail, sizeof(c->detail), "%s", detail);
	uv_stop(&c->loop);
}

static void on_limit(uv_timer_t *t)
{
	struct client *c = t->data;

	c->timed_out = true;
	uv_stop(&c->loop);
}

static void client_run(struct client *c)
{
	uv_timer_start(&c->limit, on_limit, LIMIT_MS, 0);
	uv_run(&c->loop, UV_RUN_DEFAULT);
	uv_timer_stop(&c->limit);
	assert_false(c->timed_out);
}

static void client_open_within(struct client *c, const struct netaddr *server,
			       const struct net_tls *tls, const char *name, uint32_t connect_ms)
{
	struct net_stream_params params = {
		.loop = &c->loop,
		.server = *server,
		.tls = tls,
		.name = name,
		.queue_bytes = 65536,
		.connect_ms = connect_ms,
		.ctx = c,
		.on_open = on_open,
		.on_bytes = on_bytes,
		.on_room = on_room,
		.on_closed = on_closed,
	};

	memset(c, 0, sizeof(*c));
	uv_loop_init(&c->loop);
	uv_timer_init(&c->loop, &c->limit);
	c->limit.data = c;
	assert_int_equal(net_stream_open(&c->stream, &params), OK);
	assert_int_equal(net_stream_send(c->stream, (const uint8_t *)"x", 1), ERR_WRONG_STATE);
	client_run(c);
}

static void client_open(struct client *c, const struct netaddr *server, const struct net_tls *tls,
			const char *name)
{
	client_open_within(c, server, tls, name, CONNECT_MS);
}

static void client_close(struct client *c)
{
	net_stream_close(c->stream);
	uv_close((uv_handle_t *)&c->limit, NULL);
	uv_run(&c->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&c->loop), 0);
}

/* More than the queue holds, in pieces of all sizes; what is refused is sent again later. */
static void echo_much(struct client *c)
{
	static uint8_t buf[9000];
	uint8_t sum = 0;
	size_t refused = 0;

	c->want = SIZE_MAX;
	for (size_t i = 0; i < 400;) {
		size_t len = 1 + i * 22;
		enum err e;

		memset(buf, (int)i, len);
		e = net_stream_send(c->stream, buf, len);
		if (e == DROP_QUEUE_FULL) {
			refused++;
			client_run(c);
			continue;
		}
		assert_int_equal(e, OK);
		for (size_t k = 0; k < len; k++)
			sum = (uint8_t)(sum + (uint8_t)i);
		i++;
	}
	c->want = 400 + 22 * (399 * 400 / 2);
	while (c->received < c->want)
		client_run(c);
	assert_int_equal(c->received, c->want);
	assert_int_equal(c->sum, sum);
	assert_true(refused > 0 && c->rooms > 0);
}

/* --- tests --- */

static struct net_tls *tls;

static void plain(void **state)
{
	struct server s;
	struct client c;

	(void)state;
	server_start(&s, KIND_TCP, NULL);
	client_open(&c, &s.address, NULL, NULL);
	assert_true(c.open);
	echo_much(&c);
	client_close(&c);
	server_stop(&s);
}

static void encrypted(void **state)
{
	static const char *const names[] = {"relay.example.org", "127.0.0.1"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct server s;
		struct client c;

		server_start(&s, KIND_TLS,
			     make_certificate("DNS:relay.example.org,IP:127.0.0.1", -9, 99));
		client_open(&c, &s.address, tls, names[i]);
		assert_true(c.open);
		echo_much(&c);
		client_close(&c);
		server_stop(&s);
	}
}

static void bad_certificates(void **state)
{
	static const struct {
		const char *names, *name, *detail;
		long from_s, for_s;
	} bad[] = {
		{"DNS:relay.example.org", "other.example.org", "hostname mismatch", -9, 99},
		{"DNS:*.example.org", "a.b.example.org", "hostname mismatch", -9, 99},
		{"DNS:relay.example.org", "127.0.0.1", "IP address mismatch", -9, 99},
		{"DNS:relay.example.org", "relay.example.org", "certificate has expired", -99, 9},
		{"DNS:relay.example.org", "relay.example.org", "certificate is not yet valid", 99,
		 99},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct server s;
		struct client c;

		server_start(&s, KIND_TLS,
			     make_certificate(bad[i].names, bad[i].from_s, bad[i].for_s));
		client_open(&c, &s.address, tls, bad[i].name);
		assert_true(c.closed && !c.open);
		assert_int_equal(c.reason, NET_STREAM_CERTIFICATE);
		assert_string_equal(c.detail, bad[i].detail);
		client_close(&c);
		server_stop(&s);
	}
}

static void unknown_authority(void **state)
{
	struct net_tls *of_the_system;
	struct server s;
	struct client c;

	(void)state;
	assert_int_equal(net_tls_create(&of_the_system, ""), OK);
	server_start(&s, KIND_TLS, make_certificate("DNS:relay.example.org", -9, 99));
	client_open(&c, &s.address, of_the_system, "relay.example.org");
	assert_int_equal(c.reason, NET_STREAM_CERTIFICATE);
	assert_string_equal(c.detail, "unable to get local issuer certificate");
	client_close(&c);
	server_stop(&s);
	net_tls_destroy(of_the_system);
	assert_int_equal(net_tls_create(&of_the_system, "/nonexistent"), ERR_INVALID);
}

static void servers_that_do_not_serve(void **state)
{
	static const struct {
		enum kind kind;
		bool tls;
		enum net_stream_reason reason;
	} bad[] = {
		{KIND_SILENT, true, NET_STREAM_TIMED_OUT},
		{KIND_GARBAGE, true, NET_STREAM_TLS},
		{KIND_CLOSES, true, NET_STREAM_CLOSED},
		{KIND_CLOSES, false, NET_STREAM_CLOSED},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct server s;
		struct client c;

		server_start(&s, bad[i].kind, NULL);
		client_open_within(&c, &s.address, bad[i].tls ? tls : NULL, "relay.example.org",
				   bad[i].kind == KIND_SILENT ? CONNECT_SILENT_MS : CONNECT_MS);
		if (!c.closed)
			client_run(&c);
		/* A connection that ends with bytes unread is reset. */
		if (c.reason != NET_STREAM_BROKEN || bad[i].kind != KIND_CLOSES)
			assert_int_equal(c.reason, bad[i].reason);
		client_close(&c);
		server_stop(&s);
	}
}

static void nobody_listens(void **state)
{
	struct server s;
	struct client c;

	(void)state;
	server_start(&s, KIND_TCP, NULL);
	server_stop(&s);
	client_open(&c, &s.address, NULL, NULL);
	assert_int_equal(c.reason, NET_STREAM_REFUSED);
	assert_string_equal(net_stream_reason_name(c.reason), "refused");
	assert_string_equal(net_stream_reason_text(c.reason), "the server refuses the connection");
	client_close(&c);
}

/* Never from inside of the call that caused it: the owner frees what it is working on. */
static void failures_come_from_the_loop(void **state)
{
	struct server s;
	struct client c;

	(void)state;
	for (int encrypted = 0; encrypted < 2; encrypted++) {
		X509 *certificate =
			encrypted ? make_certificate("DNS:relay.example.org", -9, 99) : NULL;

		server_start(&s, encrypted ? KIND_TLS : KIND_TCP, certificate);
		client_open(&c, &s.address, encrypted ? tls : NULL, "relay.example.org");
		assert_true(c.open);
		no_writes = true;
		assert_int_equal(net_stream_send(c.stream, (const uint8_t *)"x", 1), OK);
		assert_int_equal(net_stream_send(c.stream, (const uint8_t *)"y", 1), OK);
		assert_false(c.closed);
		client_run(&c);
		assert_true(c.closed);
		assert_int_equal(c.reason, NET_STREAM_BROKEN);
		no_writes = false;
		client_close(&c);
		server_stop(&s);
	}
}

static void params_are_checked(void **state)
{
	struct net_stream_params params = {.queue_bytes = 65536};
	struct net_stream *s;

	(void)state;
	assert_int_equal(net_stream_open(&s, &params), ERR_INVALID);
	assert_int_equal(netaddr_parse("127.0.0.1:1", &params.server), OK);
	params.queue_bytes = 1023;
	assert_int_equal(net_stream_open(&s, &params), ERR_INVALID);
	params.queue_bytes = 65536;
	params.tls = tls;
	assert_int_equal(net_stream_open(&s, &params), ERR_INVALID);
	net_stream_close(NULL);
}

static int set_up(void **state)
{
	X509 *ca;
	FILE *f;

	(void)state;
	signal(SIGPIPE, SIG_IGN); /* of the servers, whose clients may go at any time */
	key = EVP_EC_gen("P-256");
	ca = make_certificate(NULL, -1000, 100000);
	snprintf(ca_file, sizeof(ca_file), "/tmp/icetun-ca-XXXXXX");
	f = fdopen(mkstemp(ca_file), "w");
	if (!key || !f || PEM_write_X509(f, ca) != 1 || fclose(f) != 0)
		return -1;
	X509_free(ca);
	return net_tls_create(&tls, ca_file) == OK ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	net_tls_destroy(tls);
	EVP_PKEY_free(key);
	unlink(ca_file);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain),
		cmocka_unit_test(encrypted),
		cmocka_unit_test(bad_certificates),
		cmocka_unit_test(unknown_authority),
		cmocka_unit_test(servers_that_do_not_serve),
		cmocka_unit_test(nobody_listens),
		cmocka_unit_test(failures_come_from_the_loop),
		cmocka_unit_test(params_are_checked),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
