/*
 * Somebody on the path who sees every STUN datagram of an end and does not know the passwords. Of
 * some he makes others: changed, cut, sent again later or from elsewhere, answers of his own
 * invention, requests with integrity that is wrong.
 */
#include <string.h>

#include "daemon/core/stun/message.h"
#include "daemon/core/stun/writer.h"
#include "tests/sim/ice_world.h"

static struct netaddr attacker_address(const struct netaddr *family_of)
{
	static const uint8_t ip6[16] = {0x20, 0x01, 0x0d, 0xb8, 0x66, [15] = 0x66};

	return family_of->family == NETADDR_IP6
		       ? netaddr_from_ip6(ip6, 6666)
		       : netaddr_from_ip4((const uint8_t[]){198, 51, 100, 66}, 6666);
}

static bool strikes(struct ice_end *e)
{
	struct ice_world *w = e->world;

	return w->scenario.forge_permille > 0 &&
	       random_below(&w->random, 1000) < w->scenario.forge_permille;
}

/* A request that pretends to be the other end's. */
static void put_false_request(struct ice_end *e, uint16_t socket, uint16_t relay,
			      const struct netaddr *from, const struct stun_message *m)
{
	static const char password[] = "0123456789abcdefghijkl";
	uint8_t out[STUN_SAFE_BYTES], txid[STUN_TXID_BYTES];
	const uint8_t *colon;
	char ours[STUN_SAFE_BYTES], theirs[STUN_SAFE_BYTES];
	struct stun_writer w;
	size_t len;

	if (!stun_has(m, STUN_USERNAME) || m->username.len >= sizeof(ours))
		return;
	colon = memchr(m->username.p, ':', m->username.len);
	if (!colon)
		return;
	memcpy(ours, m->username.p, (size_t)(colon - m->username.p));
	ours[colon - m->username.p] = '\0';
	len = m->username.len - (size_t)(colon - m->username.p) - 1;
	memcpy(theirs, colon + 1, len);
	theirs[len] = '\0';
	random_bytes(&e->world->random, txid, sizeof(txid));
	stun_write_begin(&w, out, sizeof(out), STUN_CLASS_REQUEST, STUN_METHOD_BINDING, txid);
	stun_write_username(&w, ours, theirs);
	stun_write_number(&w, STUN_PRIORITY, 0x7effffff);
	stun_write_number(&w, STUN_ICE_CONTROLLING, UINT64_MAX);
	stun_write_flag(&w, STUN_USE_CANDIDATE);
	if (stun_write_finish(&w, password, strlen(password), true, &len) == OK)
		ice_end_put(e, socket, relay, from, out, len);
}

static void put_flipped(struct ice_end *e, uint16_t socket, uint16_t relay,
			const struct netaddr *from, const uint8_t *buf, size_t len)
{
	uint8_t copy[SIMNET_MTU_BYTES];
	uint32_t bit = random_below(&e->world->random, (uint32_t)len * 8);

	memcpy(copy, buf, len);
	copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
	ice_end_put(e, socket, relay, from, copy, len);
}

void ice_attacker_on_input(struct ice_end *e, uint16_t socket, uint16_t relay,
			   const struct netaddr *from, const uint8_t *buf, size_t len)
{
	struct netaddr elsewhere = attacker_address(from);
	struct ice_capture *c = &e->captured;
	struct stun_message m;

	if (!strikes(e))
		return;
	switch (random_below(&e->world->random, 6)) {
	case 0:
		put_flipped(e, socket, relay, from, buf, len);
		break;
	case 1:
		ice_end_put(e, socket, relay, &elsewhere, buf, len);
		break;
	case 2:
		ice_end_put(e, socket, relay, from, buf,
			    random_below(&e->world->random, (uint32_t)len));
		break;
	case 3:
		if (c->len > 0)
			ice_end_put(e, c->socket, c->relay, &c->from, c->bytes, c->len);
		break;
	case 4:
		*c = (struct ice_capture){
			.socket = socket, .relay = relay, .from = *from, .len = len};
		memcpy(c->bytes, buf, len);
		break;
	case 5:
		if (stun_decode(&m, buf, len) == OK)
			put_false_request(e, socket, relay, from, &m);
		break;
	}
}

/* A false answer to a request. */
void ice_attacker_on_output(struct ice_end *e, const struct ice_transmit *t, const uint8_t *buf)
{
	static const uint16_t codes[] = {0,
					 STUN_ERROR_BAD_REQUEST,
					 STUN_ERROR_UNAUTHENTICATED,
					 STUN_ERROR_FORBIDDEN,
					 STUN_ERROR_UNKNOWN_ATTRIBUTE,
					 STUN_ERROR_ROLE_CONFLICT};
	static const char password[] = "0123456789abcdefghijkl";
	struct random_source *r = &e->world->random;
	struct netaddr mapped = attacker_address(&t->to);
	uint8_t out[STUN_SAFE_BYTES];
	struct stun_message m;
	struct stun_writer w;
	uint16_t code;
	bool has_integrity;
	size_t len;

	/* What goes to a STUN server has no integrity: there he may say what he likes. */
	if (!strikes(e) || stun_decode(&m, buf, t->len) != OK || m.class != STUN_CLASS_REQUEST ||
	    !stun_has(&m, STUN_USERNAME))
		return;
	code = codes[random_below(r, ARRAY_SIZE(codes))];
	has_integrity = random_below(r, 2);
	stun_write_begin(&w, out, sizeof(out), code ? STUN_CLASS_ERROR : STUN_CLASS_SUCCESS,
			 STUN_METHOD_BINDING, m.txid);
	if (code)
		stun_write_error(&w, code);
	else
		stun_write_address(&w, STUN_XOR_MAPPED_ADDRESS, &mapped);
	if (stun_write_finish(&w, has_integrity ? password : NULL,
			      has_integrity ? strlen(password) : 0, true, &len) == OK)
		ice_end_put(e, t->socket, t->relay, &t->to, out, len);
}
