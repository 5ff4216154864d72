#include "daemon/signaling/frame.h"

#include <string.h>

#include "daemon/core/base/cursor.h"
#include "daemon/core/crypto/secret.h"

static bool is_printable(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (p[i] < 0x20 || p[i] > 0x7e)
			return false;
	}
	return true;
}

/* Reads @len bytes of text into @dst, which holds @cap bytes. */
static void read_text(struct rd *r, size_t len, char *dst, size_t cap)
{
	const uint8_t *p = rd_bytes(r, len);

	if (!p || len >= cap || !is_printable(p, len)) {
		r->failed = true;
		return;
	}
	memcpy(dst, p, len);
	dst[len] = '\0';
}

static bool port_is_valid(const char *port)
{
	size_t len = strspn(port, "0123456789");
	unsigned value = 0;

	if (len == 0 || len > 5 || port[len])
		return false;
	for (size_t i = 0; i < len; i++)
		value = value * 10 + (unsigned)(port[i] - '0');
	return value >= 1 && value <= 65535;
}

enum err signal_endpoint_split(const char *endpoint, char *ret_host, char *ret_port)
{
	static const char scheme[] = "tcp://";
	const char *host = endpoint + sizeof(scheme) - 1;
	const char *colon;
	size_t len;

	if (strncmp(endpoint, scheme, sizeof(scheme) - 1))
		return ERR_INVALID;
	colon = strrchr(host, ':');
	if (!colon || !port_is_valid(colon + 1))
		return ERR_INVALID;
	len = (size_t)(colon - host);
	if (len >= 2 && host[0] == '[' && colon[-1] == ']') {
		host++;
		len -= 2;
	} else if (memchr(host, ':', len)) {
		return ERR_INVALID;
	}
	if (len == 0 || len >= SIGNAL_ENDPOINT_BYTES || memchr(host, '/', len) ||
	    memchr(host, '*', len) || memchr(host, ';', len))
		return ERR_INVALID;
	memcpy(ret_host, host, len);
	ret_host[len] = '\0';
	memcpy(ret_port, colon + 1, strlen(colon));
	return OK;
}

enum err signal_link_config_check(const struct signal_link_config *c)
{
	char host[SIGNAL_ENDPOINT_BYTES];
	char port[6];

	if (c->endpoint_count == 0 || c->endpoint_count > SIGNAL_ENDPOINTS_MAX)
		return ERR_INVALID;
	for (size_t i = 0; i < c->endpoint_count; i++) {
		if (!memchr(c->endpoint[i], '\0', sizeof(c->endpoint[i])))
			return ERR_INVALID;
		if (signal_endpoint_split(c->endpoint[i], host, port) != OK)
			return ERR_INVALID;
	}
	return OK;
}

static void write_config(struct wr *w, const struct signal_link_config *c)
{
	wr_bytes(w, c->server_key, sizeof(c->server_key));
	wr_bytes(w, c->curve_secret, sizeof(c->curve_secret));
	wr_bytes(w, c->curve_public, sizeof(c->curve_public));
	wr_u8(w, (uint8_t)c->endpoint_count);
	for (size_t i = 0; i < c->endpoint_count; i++) {
		size_t len = strlen(c->endpoint[i]);

		wr_u8(w, (uint8_t)len);
		wr_bytes(w, c->endpoint[i], len);
	}
}

static void read_config(struct rd *r, struct signal_link_config *c)
{
	rd_copy(r, c->server_key, sizeof(c->server_key));
	rd_copy(r, c->curve_secret, sizeof(c->curve_secret));
	rd_copy(r, c->curve_public, sizeof(c->curve_public));
	c->endpoint_count = rd_u8(r);
	if (c->endpoint_count > SIGNAL_ENDPOINTS_MAX) {
		r->failed = true;
		return;
	}
	for (size_t i = 0; i < c->endpoint_count; i++)
		read_text(r, rd_u8(r), c->endpoint[i], sizeof(c->endpoint[i]));
	if (rd_ok(r) && signal_link_config_check(c) != OK)
		r->failed = true;
}

enum err signal_frame_encode(const struct signal_frame *f, uint8_t *out, size_t cap,
			     size_t *ret_len)
{
	struct wr w = wr_init(out, cap < SIGNAL_FRAME_MAX_BYTES ? cap : SIGNAL_FRAME_MAX_BYTES);

	if (f->type == SIGNAL_FRAME_CONFIGURE && signal_link_config_check(&f->config) != OK)
		return ERR_INVALID;
	wr_u8(&w, (uint8_t)f->type);
	switch (f->type) {
	case SIGNAL_FRAME_CONFIGURE:
		write_config(&w, &f->config);
		break;
	case SIGNAL_FRAME_SEND:
	case SIGNAL_FRAME_MESSAGE:
		wr_bytes(&w, f->payload, f->payload_len);
		break;
	case SIGNAL_FRAME_RECONNECT:
		break;
	case SIGNAL_FRAME_STATE:
		wr_u8(&w, (uint8_t)f->state);
		wr_u8(&w, (uint8_t)f->reason);
		wr_bytes(&w, f->detail, strnlen(f->detail, sizeof(f->detail) - 1));
		break;
	}
	if (!wr_ok(&w))
		return ERR_NO_SPACE;
	*ret_len = wr_len(&w);
	return OK;
}

static void read_state(struct rd *r, struct signal_frame *f)
{
	uint8_t state = rd_u8(r);
	uint8_t reason = rd_u8(r);

	if (state >= SIGNAL_LINK_STATE_COUNT || reason >= SIGNAL_LINK_REASON_COUNT)
		r->failed = true;
	f->state = (enum signal_link_state)state;
	f->reason = (enum signal_link_reason)reason;
	read_text(r, rd_left(r), f->detail, sizeof(f->detail));
}

enum err signal_frame_decode(const uint8_t *buf, size_t len, struct signal_frame *ret)
{
	struct rd r = rd_init(buf, len);
	uint8_t type = rd_u8(&r);

	memset(ret, 0, sizeof(*ret));
	if (len == 0)
		return DROP_TRUNCATED;
	if (len > SIGNAL_FRAME_MAX_BYTES)
		return DROP_TOO_LONG;
	switch (type) {
	case SIGNAL_FRAME_CONFIGURE:
		read_config(&r, &ret->config);
		break;
	case SIGNAL_FRAME_SEND:
	case SIGNAL_FRAME_MESSAGE:
		ret->payload_len = rd_left(&r);
		ret->payload = rd_bytes(&r, ret->payload_len);
		break;
	case SIGNAL_FRAME_RECONNECT:
		break;
	case SIGNAL_FRAME_STATE:
		read_state(&r, ret);
		break;
	default:
		return DROP_UNKNOWN_TYPE;
	}
	if (!rd_at_end(&r)) {
		secret_wipe(ret, sizeof(*ret));
		return DROP_MALFORMED;
	}
	ret->type = (enum signal_frame_type)type;
	return OK;
}

const char *signal_link_state_name(enum signal_link_state state)
{
	switch (state) {
	case SIGNAL_LINK_CONNECTING:
		return "connecting";
	case SIGNAL_LINK_UP:
		return "up";
	case SIGNAL_LINK_DOWN:
		return "down";
	case SIGNAL_LINK_STATE_COUNT:
		break;
	}
	return "unknown";
}

const char *signal_link_reason_name(enum signal_link_reason reason)
{
	switch (reason) {
	case SIGNAL_LINK_NO_REASON:
		return "none";
	case SIGNAL_LINK_UNREACHABLE:
		return "unreachable";
	case SIGNAL_LINK_NAME:
		return "name";
	case SIGNAL_LINK_RESOLVER:
		return "resolver";
	case SIGNAL_LINK_SERVER_KEY:
		return "server_key";
	case SIGNAL_LINK_REFUSED:
		return "refused";
	case SIGNAL_LINK_CLOSED:
		return "closed";
	case SIGNAL_LINK_HELPER:
		return "helper";
	case SIGNAL_LINK_REASON_COUNT:
		break;
	}
	return "unknown";
}

const char *signal_link_reason_text(enum signal_link_reason reason)
{
	switch (reason) {
	case SIGNAL_LINK_NO_REASON:
		return "nothing is wrong";
	case SIGNAL_LINK_UNREACHABLE:
		return "the server does not answer";
	case SIGNAL_LINK_NAME:
		return "the server's name cannot be resolved: it has no address";
	case SIGNAL_LINK_RESOLVER:
		return "the server's name cannot be resolved: no name server answers";
	case SIGNAL_LINK_SERVER_KEY:
		return "what answers does not hold the server key";
	case SIGNAL_LINK_REFUSED:
		return "the server does not admit this host";
	case SIGNAL_LINK_CLOSED:
		return "the connection was lost";
	case SIGNAL_LINK_HELPER:
		return "the helper program does not run";
	case SIGNAL_LINK_REASON_COUNT:
		break;
	}
	return "the reason is not known";
}
