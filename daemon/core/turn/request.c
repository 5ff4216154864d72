/* The requests under way. The bytes of a request are built anew for each sending, so that it needs
 * no memory of its own; they differ from the first ones only if the server has rotated its nonce
 * meanwhile. */
#include "daemon/core/turn/private.h"

/* A stream delivers: it is sent once, and waited for as long (RFC 8489 s. 6.2.2). */
#define STREAM_RC 1
#define STREAM_RM 79
/* Giving back is no reason to wait long. */
#define RELEASE_RC 3
#define RELEASE_RM 4
/* A keepalive is sent once; three in a row say something. */
#define KEEPALIVE_RC  1
#define KEEPALIVE_RM  8
#define TRANSPORT_UDP 17
#define FAMILY_IP6    2

void turn_request_start(struct turn_allocation *a, struct turn_request *r,
			enum turn_request_kind kind, uint64_t now_us)
{
	uint8_t txid[STUN_TXID_BYTES];
	uint8_t rc = STUN_RC, rm = STUN_RM;

	if (a->stream) {
		rc = STREAM_RC;
		rm = STREAM_RM;
	}
	if (kind == TURN_REQUEST_RELEASE || kind == TURN_REQUEST_PURGE) {
		rc = a->stream ? STREAM_RC : RELEASE_RC;
		rm = a->stream ? RELEASE_RM + 3 : RELEASE_RM;
	} else if (kind == TURN_REQUEST_KEEPALIVE) {
		rc = KEEPALIVE_RC;
		rm = KEEPALIVE_RM;
	}
	random_bytes(&a->random, txid, sizeof(txid));
	stun_transaction_start(&r->txn, txid, now_us, STUN_RTO_US, rc, rm);
	r->kind = kind;
	r->to_send = true;
	r->authenticated = a->auth->challenged && kind != TURN_REQUEST_KEEPALIVE;
	r->reported_code = TURN_CODE_SILENCE;
	a->sent_us = now_us;
}

void turn_request_stop(struct turn_request *r)
{
	stun_transaction_stop(&r->txn);
	r->to_send = false;
	r->challenges = 0;
}

size_t turn_request_find(const struct turn_allocation *a,
			 const uint8_t txid[static STUN_TXID_BYTES])
{
	size_t i = 0;

	while (i < TURN_REQUESTS && !stun_transaction_matches(&a->requests[i].txn, txid))
		i++;
	return i;
}

static uint16_t method_of(enum turn_request_kind kind)
{
	switch (kind) {
	case TURN_REQUEST_ALLOCATE:
		return STUN_METHOD_ALLOCATE;
	case TURN_REQUEST_REFRESH:
	case TURN_REQUEST_RELEASE:
	case TURN_REQUEST_PURGE:
		return STUN_METHOD_REFRESH;
	case TURN_REQUEST_PERMISSION:
		return STUN_METHOD_CREATE_PERMISSION;
	case TURN_REQUEST_BIND:
		return STUN_METHOD_CHANNEL_BIND;
	case TURN_REQUEST_KEEPALIVE:
	case TURN_REQUEST_KIND_COUNT:
		break;
	}
	return STUN_METHOD_BINDING;
}

/* RFC 8656 s. 7.1. IPv4 is what a server does without being told. */
static void write_allocate(const struct turn_allocation *a, struct stun_writer *w)
{
	stun_write_number(w, STUN_REQUESTED_TRANSPORT, TRANSPORT_UDP);
	if (a->family == NETADDR_IP6)
		stun_write_number(w, STUN_REQUESTED_ADDRESS_FAMILY, FAMILY_IP6);
	else if (a->family == NETADDR_NONE && !a->one_family)
		stun_write_number(w, STUN_ADDITIONAL_ADDRESS_FAMILY, FAMILY_IP6);
}

bool turn_request_write(struct turn_allocation *a, struct turn_request *r, uint8_t *buf, size_t cap,
			size_t *ret_len)
{
	struct stun_writer w;

	if (!r->to_send)
		return false;
	r->to_send = false;
	stun_write_begin(&w, buf, cap, STUN_CLASS_REQUEST, method_of(r->kind), r->txn.txid);
	switch (r->kind) {
	case TURN_REQUEST_ALLOCATE:
		write_allocate(a, &w);
		break;
	case TURN_REQUEST_RELEASE:
	case TURN_REQUEST_PURGE:
		stun_write_number(&w, STUN_LIFETIME, 0);
		break;
	case TURN_REQUEST_PERMISSION:
	case TURN_REQUEST_BIND:
		turn_peers_write(a, r, &w);
		break;
	case TURN_REQUEST_REFRESH:
	case TURN_REQUEST_KEEPALIVE:
	case TURN_REQUEST_KIND_COUNT:
		break;
	}
	if (r->kind == TURN_REQUEST_KEEPALIVE)
		return stun_write_finish(&w, NULL, 0, true, ret_len) == OK;
	turn_auth_write(a->auth, &w);
	return turn_auth_finish(a->auth, &w, ret_len) == OK;
}
