#include "tests/interop/sdp_relay.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/core/crypto/random.h"
#include "daemon/core/turn/frame.h"
#include "daemon/core/turn/uri.h"
#include "daemon/net/sockaddr.h"

struct sdp_relay {
	int fd;
	struct turn_uri uri;
	struct netaddr server;
	struct turn_allocation *allocation;
	struct turn_framer *framer;
	SSL_CTX *tls_context;
	SSL *tls;
	bool closed;
	uint8_t buf[65536];
};

static void __attribute__((noreturn)) die(const char *what, const char *why)
{
	fprintf(stderr, "icetun-sdp-agent: %s: %s\n", what, why);
	exit(1);
}

static void resolve(struct sdp_relay *r, uint8_t family)
{
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *list;
	union net_sockaddr sa = {0};
	char port[8];
	int n;

	hints.ai_family = family == NETADDR_IP6 ? AF_INET6 : family ? AF_INET : AF_UNSPEC;
	snprintf(port, sizeof(port), "%u", (unsigned int)r->uri.port);
	n = getaddrinfo(r->uri.host, port, &hints, &list);
	if (n != 0)
		die(r->uri.host, gai_strerror(n));
	memcpy(&sa, list->ai_addr, list->ai_addrlen);
	if (!net_sockaddr_to(&sa, list->ai_addrlen, &r->server))
		die(r->uri.host, "not an address");
	freeaddrinfo(list);
}

static void connect_socket(struct sdp_relay *r, const struct netaddr *bind_to)
{
	bool stream = r->uri.transport != TURN_TRANSPORT_UDP;
	union net_sockaddr sa;
	socklen_t len;

	resolve(r, bind_to ? bind_to->family : NETADDR_NONE);
	len = net_sockaddr_from(&r->server, &sa);
	r->fd = socket(sa.any.sa_family, stream ? SOCK_STREAM : SOCK_DGRAM, 0);
	if (r->fd < 0)
		die("socket", strerror(errno));
	if (bind_to) {
		union net_sockaddr local;
		struct netaddr any_port = *bind_to;

		any_port.port = 0;
		if (bind(r->fd, &local.any, net_sockaddr_from(&any_port, &local)) != 0)
			die("bind", strerror(errno));
	}
	if (connect(r->fd, &sa.any, len) != 0)
		die(r->uri.host, strerror(errno));
}

static void start_tls(struct sdp_relay *r)
{
	r->tls_context = SSL_CTX_new(TLS_client_method());
	if (!r->tls_context || SSL_CTX_set_default_verify_paths(r->tls_context) != 1)
		die("TLS", "no context");
	SSL_CTX_set_verify(r->tls_context, SSL_VERIFY_PEER, NULL);
	r->tls = SSL_new(r->tls_context);
	if (!r->tls || SSL_set_tlsext_host_name(r->tls, r->uri.host) != 1 ||
	    SSL_set1_host(r->tls, r->uri.host) != 1 || SSL_set_fd(r->tls, r->fd) != 1)
		die("TLS", "no session");
	if (SSL_connect(r->tls) != 1)
		die(r->uri.host, ERR_reason_error_string(ERR_get_error()));
}

struct sdp_relay *sdp_relay_open(const char *uri, const char *user, const char *password,
				 const struct netaddr *bind_to, uint64_t now_us)
{
	struct sdp_relay *r = calloc(1, sizeof(*r));
	struct turn_params params = {.random = random_system(),
				     .username = user,
				     .password = password,
				     .family = NETADDR_IP4};

	if (!r || turn_uri_parse(uri, &r->uri) != OK || r->uri.scheme == TURN_SCHEME_STUN ||
	    r->uri.scheme == TURN_SCHEME_STUNS || r->uri.transport == TURN_TRANSPORT_DTLS)
		die(uri, "not a TURN server that can be used");
	connect_socket(r, bind_to);
	params.stream = r->uri.transport != TURN_TRANSPORT_UDP;
	params.server = r->server;
	if (r->uri.transport == TURN_TRANSPORT_TLS)
		start_tls(r);
	if (turn_framer_create(&r->framer, TURN_FRAME_MAX_BYTES) != OK ||
	    turn_allocation_create(&r->allocation, &params, now_us) != OK)
		die(uri, "no allocation (are --user and --password there?)");
	fcntl(r->fd, F_SETFL, O_NONBLOCK);
	sdp_relay_pump(r);
	return r;
}

void sdp_relay_close(struct sdp_relay *r)
{
	turn_allocation_destroy(r->allocation);
	turn_framer_destroy(r->framer);
	SSL_free(r->tls);
	SSL_CTX_free(r->tls_context);
	close(r->fd);
	free(r);
}

int sdp_relay_fd(const struct sdp_relay *r)
{
	return r->closed ? -1 : r->fd;
}

struct turn_allocation *sdp_relay_allocation(struct sdp_relay *r)
{
	return r->allocation;
}

/* A full send buffer loses a message, as a network may. */
static void write_bytes(struct sdp_relay *r, const uint8_t *buf, size_t len)
{
	if (r->tls)
		(void)SSL_write(r->tls, buf, (int)len);
	else
		(void)!send(r->fd, buf, len, MSG_NOSIGNAL);
}

void sdp_relay_pump(struct sdp_relay *r)
{
	uint8_t buf[TURN_REQUEST_MAX_BYTES];
	size_t len;

	while (turn_allocation_pop_transmit(r->allocation, buf, sizeof(buf), &len))
		write_bytes(r, buf, len);
}

void sdp_relay_send(struct sdp_relay *r, uint64_t now_us, const struct netaddr *peer,
		    const uint8_t *buf, size_t len)
{
	uint8_t out[65536];
	size_t out_len;

	if (turn_allocation_wrap(r->allocation, now_us, peer, buf, len, out, sizeof(out),
				 &out_len) == OK)
		write_bytes(r, out, out_len);
}

/* Return: what arrived, 0 for nothing. */
static size_t read_bytes(struct sdp_relay *r, uint8_t *buf, size_t cap)
{
	ssize_t n;

	if (r->closed)
		return 0;
	n = r->tls ? SSL_read(r->tls, buf, (int)cap) : recv(r->fd, buf, cap, 0);
	if (n > 0)
		return (size_t)n;
	if ((r->tls && SSL_get_error(r->tls, (int)n) == SSL_ERROR_ZERO_RETURN) ||
	    (!r->tls && r->uri.transport == TURN_TRANSPORT_TCP && n == 0))
		r->closed = true;
	return 0;
}

static bool next_frame(struct sdp_relay *r, const uint8_t **ret_frame, size_t *ret_len)
{
	uint8_t *at;
	size_t room, len;

	if (r->uri.transport == TURN_TRANSPORT_UDP) {
		*ret_frame = r->buf;
		*ret_len = read_bytes(r, r->buf, sizeof(r->buf));
		return *ret_len > 0;
	}
	while (turn_framer_next(r->framer, ret_frame, ret_len) != OK) {
		at = turn_framer_reserve(r->framer, &room);
		len = read_bytes(r, at, room);
		if (len == 0)
			return false;
		turn_framer_commit(r->framer, len);
	}
	return true;
}

bool sdp_relay_read(struct sdp_relay *r, uint64_t now_us, struct turn_data *ret)
{
	bool was_closed = r->closed;
	const uint8_t *frame;
	size_t len;

	while (next_frame(r, &frame, &len)) {
		enum err e = turn_allocation_input(r->allocation, now_us, frame, len, ret);

		if (e == OK && ret->kind == TURN_DATA_BYTES)
			return true;
	}
	if (r->closed && !was_closed)
		turn_allocation_on_stream_closed(r->allocation, now_us);
	sdp_relay_pump(r);
	return false;
}
