#include "daemon/net/stream.h"

#include <errno.h>
#include <openssl/conf.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/net/sockaddr.h"

#define READ_BYTES 65536
#define QUEUE_MIN  1024
/* What TLS adds to what one call sends: a record is at most 16 KiB. */
#define TLS_RECORD_BYTES   16384
#define TLS_OVERHEAD_BYTES 64
#define MAX_NAME_BYTES	   255

struct net_tls {
	SSL_CTX *context;
};

enum state {
	/* TCP. Left to HANDSHAKE or OPEN. */
	STATE_CONNECTING,
	/* TLS. Left to OPEN when the certificate is right. */
	STATE_HANDSHAKE,
	/* Bytes go both ways. */
	STATE_OPEN,
	/* The owner hears nothing any more; handles are being closed. */
	STATE_CLOSING,
};

struct net_stream {
	struct net_stream_params params;
	enum state state;
	uv_tcp_t tcp;
	uv_timer_t timer; /* until it is open; then for what has failed inside of a call */
	int failed;	  /* of libuv */
	uv_connect_t connect;
	uv_write_t write;
	unsigned int handles;
	SSL *tls; /* NULL: TCP alone */
	BIO *from_net, *to_net;
	/* The ring: `used` bytes from `head`; the first `writing` of them are being written. */
	size_t head, used, writing;
	bool was_full;
	uint8_t read[READ_BYTES];
	uint8_t ring[];
};

/* --- names --- */

static const struct {
	const char *name, *text;
} reasons[NET_STREAM_REASON_COUNT] = {
#define X(code, short_name, sentence) [NET_STREAM_##code] = {short_name, sentence},
	NET_STREAM_REASON_TABLE(X)
#undef X
};

const char *net_stream_reason_name(enum net_stream_reason reason)
{
	return reason < NET_STREAM_REASON_COUNT ? reasons[reason].name : "unknown";
}

const char *net_stream_reason_text(enum net_stream_reason reason)
{
	return reason < NET_STREAM_REASON_COUNT ? reasons[reason].text : "unknown";
}

/* --- the store --- */

enum err net_tls_create(struct net_tls **ret, const char *ca_file)
{
	struct net_tls *t = calloc(1, sizeof(*t));
	bool own = ca_file && ca_file[0];

	if (!t)
		return ERR_NO_MEMORY;
	/* The system's rules for TLS, which aead_start() has left out. Without them the defaults
	 * hold. */
	(void)CONF_modules_load_file(NULL, NULL,
				     CONF_MFLAGS_DEFAULT_SECTION | CONF_MFLAGS_IGNORE_MISSING_FILE);
	ERR_clear_error();
	t->context = SSL_CTX_new(TLS_client_method());
	if (!t->context) {
		free(t);
		return ERR_NO_MEMORY;
	}
	SSL_CTX_set_verify(t->context, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_mode(t->context,
			 SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	if (SSL_CTX_set_min_proto_version(t->context, TLS1_2_VERSION) != 1 ||
	    (own ? SSL_CTX_load_verify_locations(t->context, ca_file, NULL)
		 : SSL_CTX_set_default_verify_paths(t->context)) != 1) {
		ERR_clear_error();
		net_tls_destroy(t);
		return ERR_INVALID;
	}
	*ret = t;
	return OK;
}

void net_tls_destroy(struct net_tls *tls)
{
	if (!tls)
		return;
	SSL_CTX_free(tls->context);
	free(tls);
}

/* --- closing --- */

static void on_handle_closed(uv_handle_t *h)
{
	struct net_stream *s = h->data;

	if (--s->handles > 0)
		return;
	SSL_free(s->tls); /* and its BIOs */
	free(s);
}

void net_stream_close(struct net_stream *s)
{
	if (!s || s->state == STATE_CLOSING)
		return;
	s->state = STATE_CLOSING;
	uv_close((uv_handle_t *)&s->timer, on_handle_closed);
	uv_close((uv_handle_t *)&s->tcp, on_handle_closed);
}

static void end(struct net_stream *s, enum net_stream_reason reason, const char *detail)
{
	void (*on_closed)(void *, enum net_stream_reason, const char *) = s->params.on_closed;
	char copy[NET_STREAM_DETAIL];
	void *ctx = s->params.ctx;

	if (s->state == STATE_CLOSING)
		return;
	snprintf(copy, sizeof(copy), "%s", detail);
	net_stream_close(s);
	on_closed(ctx, reason, copy);
}

static enum net_stream_reason reason_of(int status)
{
	switch (status) {
	case UV_ECONNREFUSED:
		return NET_STREAM_REFUSED;
	case UV_ETIMEDOUT:
		return NET_STREAM_TIMED_OUT;
	case UV_ENETUNREACH:
	case UV_EHOSTUNREACH:
	case UV_ENETDOWN:
	case UV_EADDRNOTAVAIL:
	case UV_EPERM:
	case UV_EACCES:
		return NET_STREAM_UNREACHABLE;
	case UV_EOF:
		return NET_STREAM_CLOSED;
	default:
		return NET_STREAM_BROKEN;
	}
}

static void end_by_status(struct net_stream *s, int status)
{
	end(s, reason_of(status), status == UV_EOF ? "" : uv_strerror(status));
}

static void end_by_tls(struct net_stream *s)
{
	long verdict = SSL_get_verify_result(s->tls);
	unsigned long code = ERR_peek_last_error();
	const char *why = ERR_reason_error_string(code);

	if (s->state == STATE_HANDSHAKE && verdict != X509_V_OK)
		end(s, NET_STREAM_CERTIFICATE, X509_verify_cert_error_string(verdict));
	else
		end(s, NET_STREAM_TLS, why ? why : "");
	ERR_clear_error();
}

/* --- sending --- */

static void flush(struct net_stream *s);
static void drain_tls(struct net_stream *s);

static size_t ring_room(const struct net_stream *s)
{
	return s->params.queue_bytes - s->used;
}

static void ring_put(struct net_stream *s, const uint8_t *buf, size_t len)
{
	size_t cap = s->params.queue_bytes;
	size_t at = (s->head + s->used) % cap;
	size_t first = len < cap - at ? len : cap - at;

	memcpy(s->ring + at, buf, first);
	memcpy(s->ring, buf + first, len - first);
	s->used += len;
}

static void on_written(uv_write_t *request, int status)
{
	struct net_stream *s = request->data;

	if (s->state == STATE_CLOSING)
		return;
	if (status < 0) {
		end_by_status(s, status);
		return;
	}
	s->head = (s->head + s->writing) % s->params.queue_bytes;
	s->used -= s->writing;
	s->writing = 0;
	if (s->tls)
		drain_tls(s);
	else
		flush(s);
	if (s->was_full && s->used <= s->params.queue_bytes / 2) {
		s->was_full = false;
		if (s->params.on_room)
			s->params.on_room(s->params.ctx);
	}
}

static void on_failed(uv_timer_t *t)
{
	struct net_stream *s = t->data;

	end_by_status(s, s->failed);
}

/* The owner may be inside of a call of its own. Until the loop turns what it sends is kept. */
static void fail_later(struct net_stream *s, int status)
{
	s->failed = status;
	uv_timer_start(&s->timer, on_failed, 0, 0);
}

/* One write at a time, of what is contiguous. */
static void flush(struct net_stream *s)
{
	size_t contiguous = s->params.queue_bytes - s->head;
	uv_buf_t buf;
	int n;

	if (s->writing > 0 || s->used == 0 || s->state == STATE_CLOSING)
		return;
	s->writing = s->used < contiguous ? s->used : contiguous;
	buf = uv_buf_init((char *)s->ring + s->head, (unsigned int)s->writing);
	s->write.data = s;
	n = uv_write(&s->write, (uv_stream_t *)&s->tcp, &buf, 1, on_written);
	if (n < 0)
		fail_later(s, n);
}

/* What TLS has for the network; there is room, or it is not taken. */
static void drain_tls(struct net_stream *s)
{
	uint8_t buf[4096];
	int n;

	while (ring_room(s) > 0) {
		size_t cap = ring_room(s) < sizeof(buf) ? ring_room(s) : sizeof(buf);

		n = BIO_read(s->to_net, buf, (int)cap);
		if (n <= 0)
			break;
		ring_put(s, buf, (size_t)n);
	}
	flush(s);
}

enum err net_stream_send(struct net_stream *s, const uint8_t *buf, size_t len)
{
	size_t records = len / TLS_RECORD_BYTES + 1;
	size_t need = s->tls ? len + records * TLS_OVERHEAD_BYTES : len;

	if (s->state != STATE_OPEN)
		return ERR_WRONG_STATE;
	if (need > ring_room(s)) {
		s->was_full = true;
		return DROP_QUEUE_FULL;
	}
	if (!s->tls) {
		ring_put(s, buf, len);
		flush(s);
		return OK;
	}
	/* A memory BIO takes everything; in a renegotiation, which TLS 1.3 has not, it might
	 * not. */
	while (len > 0) {
		int n = SSL_write(s->tls, buf,
				  (int)(len < TLS_RECORD_BYTES ? len : TLS_RECORD_BYTES));

		if (n <= 0) {
			ERR_clear_error();
			return DROP_QUEUE_FULL;
		}
		buf += n;
		len -= (size_t)n;
	}
	drain_tls(s);
	return OK;
}

/* --- receiving --- */

static void set_open(struct net_stream *s)
{
	s->state = STATE_OPEN;
	if (!s->failed)
		uv_timer_stop(&s->timer);
	s->params.on_open(s->params.ctx);
}

static void read_tls(struct net_stream *s)
{
	uint8_t buf[TLS_RECORD_BYTES];

	while (s->state == STATE_OPEN) {
		int n = SSL_read(s->tls, buf, sizeof(buf));

		if (n > 0) {
			s->params.on_bytes(s->params.ctx, buf, (size_t)n);
			continue;
		}
		switch (SSL_get_error(s->tls, n)) {
		case SSL_ERROR_WANT_READ:
		case SSL_ERROR_WANT_WRITE:
			drain_tls(s);
			return;
		case SSL_ERROR_ZERO_RETURN:
			end(s, NET_STREAM_CLOSED, "");
			return;
		default:
			end_by_tls(s);
			return;
		}
	}
}

static void advance_tls(struct net_stream *s)
{
	int n;

	if (s->state == STATE_HANDSHAKE) {
		n = SSL_do_handshake(s->tls);
		drain_tls(s);
		if (n == 1) {
			set_open(s);
		} else if (SSL_get_error(s->tls, n) != SSL_ERROR_WANT_READ) {
			end_by_tls(s);
			return;
		}
	}
	read_tls(s);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *ret)
{
	struct net_stream *s = h->data;

	(void)suggested;
	*ret = uv_buf_init((char *)s->read, sizeof(s->read));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct net_stream *s = stream->data;

	if (s->state == STATE_CLOSING || n == 0)
		return;
	if (n < 0) {
		end_by_status(s, (int)n);
	} else if (!s->tls) {
		s->params.on_bytes(s->params.ctx, (const uint8_t *)buf->base, (size_t)n);
	} else {
		/* A memory BIO grows by what one read brings at most: it is emptied at once. */
		(void)BIO_write(s->from_net, buf->base, (int)n);
		advance_tls(s);
	}
}

/* --- opening --- */

static void on_timeout(uv_timer_t *t)
{
	end(t->data, NET_STREAM_TIMED_OUT, "");
}

static void on_connected(uv_connect_t *request, int status)
{
	struct net_stream *s = request->data;

	if (s->state == STATE_CLOSING)
		return;
	if (status == 0)
		status = uv_read_start((uv_stream_t *)&s->tcp, on_alloc, on_read);
	if (status < 0) {
		end_by_status(s, status);
		return;
	}
	(void)uv_tcp_nodelay(&s->tcp, 1);
	if (s->tls) {
		s->state = STATE_HANDSHAKE;
		advance_tls(s);
	} else {
		set_open(s);
	}
}

static bool is_address(const char *name)
{
	struct netaddr a;

	return netaddr_parse_ip(name, 0, &a) == OK;
}

static enum err make_tls(struct net_stream *s)
{
	char name[MAX_NAME_BYTES + 1]; /* libssl takes it without const */
	bool ok;
	int n = snprintf(name, sizeof(name), "%s", s->params.name ? s->params.name : "");

	if (n <= 0 || (size_t)n >= sizeof(name))
		return ERR_INVALID;
	s->tls = SSL_new(s->params.tls->context);
	s->from_net = BIO_new(BIO_s_mem());
	s->to_net = BIO_new(BIO_s_mem());
	if (!s->tls || !s->from_net || !s->to_net) {
		BIO_free(s->from_net);
		BIO_free(s->to_net);
		return ERR_NO_MEMORY;
	}
	SSL_set_bio(s->tls, s->from_net, s->to_net);
	SSL_set_connect_state(s->tls);
	if (is_address(name))
		ok = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(s->tls), name) == 1;
	else
		ok = SSL_set1_host(s->tls, name) == 1 &&
		     SSL_set_tlsext_host_name(s->tls, name) == 1;
	SSL_set_hostflags(s->tls, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return ok ? OK : ERR_INVALID;
}

static enum err start(struct net_stream *s)
{
	union net_sockaddr server, local;
	int n = 0;

	if (uv_tcp_init(s->params.loop, &s->tcp) != 0)
		return ERR_LIMIT;
	uv_timer_init(s->params.loop, &s->timer);
	s->handles = 2;
	s->tcp.data = s->timer.data = s->connect.data = s;
	(void)net_sockaddr_from(&s->params.server, &server);
	if (net_sockaddr_from(&s->params.local, &local) > 0)
		n = uv_tcp_bind(&s->tcp, &local.any, 0);
	if (n == 0)
		n = uv_tcp_connect(&s->connect, &s->tcp, &server.any, on_connected);
	if (n == 0)
		n = uv_timer_start(
			&s->timer, on_timeout,
			s->params.connect_ms ? s->params.connect_ms : NET_STREAM_CONNECT_MS, 0);
	return n == 0 ? OK : net_error(-n);
}

enum err net_stream_open(struct net_stream **ret, const struct net_stream_params *params)
{
	struct net_stream *s;
	enum err e = OK;

	if (netaddr_ip_bytes(&params->server) == 0 || params->server.port == 0 ||
	    params->queue_bytes < QUEUE_MIN)
		return ERR_INVALID;
	s = calloc(1, sizeof(*s) + params->queue_bytes);
	if (!s)
		return ERR_NO_MEMORY;
	s->params = *params;
	if (params->tls)
		e = make_tls(s);
	if (e != OK) {
		SSL_free(s->tls);
		free(s);
		return e;
	}
	e = start(s);
	s->params.tls = NULL;
	s->params.name = NULL;
	if (e == OK) {
		*ret = s;
		return OK;
	}
	if (s->handles > 0) {
		net_stream_close(s);
	} else {
		SSL_free(s->tls);
		free(s);
	}
	return e;
}
