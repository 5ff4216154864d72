/*
 * One of everything that icetun writes in CBOR: each in its smallest form and with every field that
 * it can have. The unit tests read them back, and tests/cddl holds them to docs/icetun.cddl.
 */
#ifndef ICETUN_TEST_SAMPLES_H
#define ICETUN_TEST_SAMPLES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/cert/cert.h"
#include "daemon/core/cert/revocation.h"
#include "daemon/core/cert/token.h"
#include "daemon/core/crypto/aead.h"
#include "daemon/core/signal/handshake.h"
#include "daemon/core/signal/message.h"

#define SAMPLE_NOW_S 1700000000

struct sample_authority {
	uint8_t public[SIGN_PUBLIC_BYTES];
	uint8_t secret[SIGN_SECRET_BYTES];
};

/* Authorities with different @number are different. */
static inline struct sample_authority sample_authority(uint8_t number)
{
	uint8_t seed[SIGN_SEED_BYTES] = {number, 1, 2, 3};
	struct sample_authority a;

	sign_keypair(seed, a.public, a.secret);
	return a;
}

/* What a sample is made of may not fail. */
static inline void sample_is(bool made)
{
	if (!made)
		abort();
}

static inline struct netaddr sample_ip(const char *text, uint16_t port)
{
	struct netaddr a;

	sample_is(netaddr_parse_ip(text, port, &a) == OK);
	return a;
}

static inline struct netprefix sample_prefix(const char *text)
{
	struct netprefix p;

	sample_is(netprefix_parse(text, &p) == OK);
	return p;
}

static inline struct cert sample_cert(bool full)
{
	struct cert c = {
		.serial = 7,
		.name = "alice",
		.addresses = {sample_ip("10.77.0.2", 0)},
		.address_count = 1,
		.networks = {sample_prefix("10.77.0.0/16")},
		.network_count = 1,
		.issued_s = SAMPLE_NOW_S,
		.not_before_s = SAMPLE_NOW_S - 3600,
		.not_after_s = SAMPLE_NOW_S + 86400,
	};
	struct sample_authority a = sample_authority(1);

	sample_is(cert_network_id(a.public, c.network_id) == OK);
	memset(c.noise_public, 0x11, sizeof(c.noise_public));
	memset(c.curve_public, 0x22, sizeof(c.curve_public));
	if (!full)
		return c;
	c.serial = UINT64_MAX;
	c.not_after_s = INT64_MAX;
	memset(c.name, 'a', sizeof(c.name) - 1);
	c.address_count = CERT_MAX_ADDRESSES;
	for (size_t i = 1; i < CERT_MAX_ADDRESSES; i++) {
		c.addresses[i] = sample_ip("fd00:77::2", 0);
		c.addresses[i].ip[15] = (uint8_t)i;
	}
	c.network_count = CERT_MAX_NETWORKS;
	for (size_t i = 1; i < CERT_MAX_NETWORKS; i++)
		c.networks[i] = sample_prefix("fd00:77::/64");
	c.route_count = CERT_MAX_ROUTES;
	for (size_t i = 0; i < CERT_MAX_ROUTES; i++)
		c.routes[i] = sample_prefix(i % 2 ? "192.168.5.0/24" : "2001:db8:1::/48");
	c.routes[0] = sample_prefix("0.0.0.0/0");
	c.group_count = CERT_MAX_GROUPS;
	for (size_t i = 0; i < CERT_MAX_GROUPS; i++)
		memset(c.groups[i], 'a' + (char)i, CERT_GROUP_BYTES - 1);
	return c;
}

static inline struct revocation_list sample_revocation(bool full)
{
	struct revocation_list l = {.number = 3, .issued_s = SAMPLE_NOW_S};

	if (full) {
		l.number = UINT64_MAX;
		l.serial_count = REVOCATION_MAX_SERIALS;
	}
	for (size_t i = 0; i < l.serial_count; i++)
		l.serials[i] = UINT64_MAX - REVOCATION_MAX_SERIALS + i;
	return l;
}

static inline struct token sample_token(bool full)
{
	struct token t = {
		.network = "home",
		.endpoints = {"tcp://203.0.113.1:7117"},
		.endpoint_count = 1,
	};

	memset(t.server_key, 0x33, sizeof(t.server_key));
	memset(t.authority_key, 0x44, sizeof(t.authority_key));
	memset(t.secret, 0x55, sizeof(t.secret));
	if (!full)
		return t;
	memset(t.network, 'n', sizeof(t.network) - 1);
	t.endpoint_count = TOKEN_MAX_ENDPOINTS;
	for (size_t i = 0; i < TOKEN_MAX_ENDPOINTS; i++) {
		memset(t.endpoints[i], 'e', TOKEN_ENDPOINT_BYTES - 1);
		memcpy(t.endpoints[i], "tcp://", strlen("tcp://"));
	}
	return t;
}

static inline struct ice_candidate sample_candidate(enum ice_candidate_type type, bool full)
{
	struct ice_candidate c = {
		.type = type,
		.transport = ICE_TRANSPORT_UDP,
		.priority = 2130706431,
		.foundation = "1",
		.addr = sample_ip("192.0.2.1", 40000),
	};

	if (!full)
		return c;
	memset(c.foundation, 'f', ICE_FOUNDATION_MAX_BYTES);
	c.addr = sample_ip("2001:db8::1", 65535);
	c.related = sample_ip("192.168.1.2", 9);
	c.extension_count = ICE_MAX_CANDIDATE_EXTENSIONS;
	for (size_t i = 0; i < c.extension_count; i++) {
		snprintf(c.extensions[i].name, sizeof(c.extensions[i].name), "x-%zu", i);
		if (i > 0)
			snprintf(c.extensions[i].value, sizeof(c.extensions[i].value), "v%zu", i);
	}
	return c;
}

/* @certificate: @len bytes, which the handshake refers to. A full handshake has as many candidates
 * as fit with everything else. */
static inline struct signal_handshake sample_handshake(bool full, const uint8_t *certificate,
						       size_t len)
{
	struct signal_handshake h = {
		.ice = {.ufrag = "abcd", .pwd = "abcdefghijklmnopqrstuv"},
		.certificate = certificate,
		.certificate_len = len,
		.ciphers = {AEAD_CHACHA20_POLY1305},
		.cipher_count = 1,
		.timestamp_us = 1,
		.receiver_index = 1,
		.lanes = 1,
	};

	if (!full)
		return h;
	memset(h.ice.ufrag, 'u', ICE_UFRAG_MAX_BYTES);
	memset(h.ice.pwd, '/', ICE_PWD_MAX_BYTES);
	h.features = UINT32_MAX;
	h.seen_us = UINT64_MAX;
	h.ice.ta_ms = 10;
	h.ice.lite = true;
	h.ice.end_of_candidates = true;
	h.ice.option_count = ICE_MAX_OPTIONS;
	for (size_t i = 0; i < h.ice.option_count; i++)
		snprintf(h.ice.options[i], sizeof(h.ice.options[i]), "option%zu", i);
	h.ice.extension_count = ICE_MAX_EXTENSIONS;
	for (size_t i = 0; i < h.ice.extension_count; i++)
		snprintf(h.ice.extensions[i].name, sizeof(h.ice.extensions[i].name), "s%zu", i);
	h.ice.candidate_count = ICE_MAX_CANDIDATES;
	for (size_t i = 0; i < h.ice.candidate_count; i++)
		h.ice.candidates[i] = sample_candidate((enum ice_candidate_type)(i % 4), true);
	memcpy(h.ciphers, (uint8_t[]){AEAD_AES_256_GCM, AEAD_CHACHA20_POLY1305, 3, 255}, 4);
	h.cipher_count = SIGNAL_MAX_CIPHERS;
	h.timestamp_us = UINT64_MAX;
	h.receiver_index = UINT32_MAX;
	h.lanes = SIGNAL_MAX_LANES;
	h.mtu_bytes = 1420;
	return h;
}

struct sample_message {
	const char *rule; /* in docs/icetun.cddl */
	bool full;
	struct signal_message m;
};

/* Large enough for the longest body; what the samples refer to. */
static const uint8_t sample_bytes[SIGNAL_BODY_MAX_BYTES] = {1, 2, 3};

/* Fills every field with its longest value: a type takes those that it lists. */
static inline void sample_fill(struct signal_message *m)
{
	memset(m->xid, 0xaa, sizeof(m->xid));
	memset(m->to, 't', sizeof(m->to) - 1);
	memset(m->from, 'f', sizeof(m->from) - 1);
	memset(m->name, 'n', sizeof(m->name) - 1);
	m->kind = UINT8_MAX;
	m->body = m->certificate = m->revocation = sample_bytes;
	m->body_len = SIGNAL_BODY_MAX_BYTES;
	m->certificate_len = CERT_MAX_BYTES;
	m->revocation_len = REVOCATION_MAX_BYTES;
	memset(m->nonce, 0xbb, sizeof(m->nonce));
	m->server_time_s = INT64_MAX;
	m->epoch = m->seq = UINT64_MAX;
	m->lease_ms = m->ping_ms = m->retry_ms = UINT32_MAX;
	m->server_count = SIGNAL_MAX_SERVERS;
	for (size_t i = 0; i < SIGNAL_MAX_SERVERS; i++) {
		memset(m->servers[i].uri, 'u', sizeof(m->servers[i].uri) - 1);
		memset(m->servers[i].username, ' ', sizeof(m->servers[i].username) - 1);
		memset(m->servers[i].credential, '~', sizeof(m->servers[i].credential) - 1);
		m->servers[i].lifetime_s = UINT32_MAX;
	}
	m->online = true;
	m->code = SIGNAL_ERROR_COUNT - 1;
	memset(m->detail, 'd', sizeof(m->detail) - 1);
	memset(m->secret, 0xcc, sizeof(m->secret));
	memset(m->noise_public, 0xdd, sizeof(m->noise_public));
	memset(m->curve_public, 0xee, sizeof(m->curve_public));
}

/* The least that each type needs; what a type does not list is not written. */
static inline void sample_fill_minimal(struct signal_message *m)
{
	bool has_name = m->type != SIGNAL_WATCH;
	bool has_certificate = m->type != SIGNAL_PRESENCE;

	memcpy(m->to, "a", 1);
	memcpy(m->from, "b", 1);
	if (has_name)
		memcpy(m->name, "c", 1);
	m->kind = SIGNAL_BODY_OFFER;
	m->body = sample_bytes;
	m->body_len = 1;
	if (has_certificate) {
		m->certificate = sample_bytes;
		m->certificate_len = 1;
	}
	m->code = SIGNAL_ERROR_UNKNOWN;
}

#define SAMPLE_MESSAGES 64

/* Each type twice, LOOKUP by address as well. Return: how many. */
static inline size_t sample_messages(struct sample_message ret[static SAMPLE_MESSAGES])
{
	size_t n = 0;

	for (int full = 0; full < 2; full++) {
		for (int type = 1; type < SIGNAL_TYPE_COUNT; type++) {
			struct sample_message s = {.full = full != 0};

			s.m.type = (enum signal_type)type;
			s.rule = signal_type_name(s.m.type);
			if (full)
				sample_fill(&s.m);
			else
				sample_fill_minimal(&s.m);
			if (s.m.type == SIGNAL_LOOKUP) {
				s.rule = "lookup-address";
				ret[n] = s;
				memset(ret[n].m.name, 0, sizeof(ret[n].m.name));
				ret[n++].m.address = sample_ip(full ? "fd00::1" : "10.0.0.1", 0);
				s.rule = "lookup-name";
			}
			ret[n++] = s;
		}
	}
	return n;
}

#endif
